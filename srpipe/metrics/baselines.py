"""The baselines: bicubic, with back-projection, and after denoising."""

import numpy as np
from skimage.restoration import denoise_nl_means

from srpipe.imaging.arrays import GreyImage, RecordedImage
from srpipe.imaging.resample import back_project, bicubic, grey_levels, to_grey

BASELINES = ("bicubic", "bicubic_bp")
# Non-local means: patches of 5x5, sought 6 pixels around; the filter's strength in standard
# deviations of the noise, which scikit-image advises and which was the best of 0.6, 0.8 and 1.0.
PATCH, DISTANCE, STRENGTH = 5, 6, 0.6


def baseline_images(lr: RecordedImage, scale: int, back_projections: int) -> dict[str, GreyImage]:
    """Return the baselines' SR images, `uint8 (h*scale, w*scale)`, by name."""
    return {
        "bicubic": bicubic(lr, scale),
        "bicubic_bp": back_project(lr, scale, back_projections),
    }


def denoised(lr: RecordedImage, noise: float) -> GreyImage:
    """Denoise an LR image by non-local means, told the noise's standard deviation in [0, 1].

    A. Buades, B. Coll and J.-M. Morel, "A non-local algorithm for image denoising", CVPR 2005, as
    in scikit-image.

    Args:
        lr: `uint8` or `uint16 (h, w)`.
        noise: above 0.

    Returns:
        `uint8 (h, w)`.
    """
    clean = denoise_nl_means(
        grey_levels(lr) / np.float32(255),
        patch_size=PATCH,
        patch_distance=DISTANCE,
        h=STRENGTH * noise,
        sigma=noise,
        fast_mode=True,
    )
    return to_grey(clean)
