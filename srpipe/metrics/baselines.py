"""The baselines: bicubic, and bicubic with back-projection."""

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import back_project, bicubic

BASELINES = ("bicubic", "bicubic_bp")


def baseline_images(lr: GreyImage, scale: int, back_projections: int) -> dict[str, GreyImage]:
    """Return the baselines' SR images, `uint8 (h*scale, w*scale)`, by name."""
    return {
        "bicubic": bicubic(lr, scale),
        "bicubic_bp": back_project(lr, scale, back_projections),
    }
