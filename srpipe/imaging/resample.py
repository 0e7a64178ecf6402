"""Bicubic resampling, always by Pillow's convention.

Pillow's BICUBIC is the Keys kernel with a = -0.5, antialiased when downsampling (the kernel widens
by the scale), pixel centres aligned. LR images are 8-bit, as a smaller radiograph would be stored.
R. Keys, "Cubic Convolution Interpolation", IEEE TASSP 1981.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from srpipe.imaging.arrays import FloatImage, GreyImage, RecordedImage

# LR pixels; below that, no structure of a radiograph is left to restore.
MIN_LR_SIDE = 16
BICUBIC = Image.Resampling.BICUBIC


def crop_to_multiple(image: GreyImage, scale: int) -> GreyImage:
    """Crop `(H, W)` at the right and bottom to the largest multiples of `scale`."""
    height, width = image.shape
    return image[: height // scale * scale, : width // scale * scale]


def downsample(hr: GreyImage, scale: int) -> GreyImage:
    """Make the LR image: `uint8 (H, W)` to `uint8 (H/scale, W/scale)`.

    Raises:
        ValueError: a side is not a multiple of `scale`, or `hr` is not `uint8 (H, W)`.
    """
    _require_grey(hr)
    height, width = hr.shape
    if height % scale or width % scale:
        raise ValueError(f"sides must be multiples of {scale}, got {height}x{width}")
    small = Image.fromarray(hr).resize((width // scale, height // scale), BICUBIC)
    return np.asarray(small)


def bicubic(lr: RecordedImage, scale: int) -> GreyImage:
    """Interpolate `(h, w)` of 8 or 16 bits to `uint8 (h*scale, w*scale)`: the first baseline.

    Raises:
        ValueError: `lr` is not `uint8` or `uint16 (h, w)`.
    """
    _require_recorded(lr)
    if lr.dtype != np.uint8:
        return to_grey(_resize(grey_levels(lr), scale) / 255)
    height, width = lr.shape
    return np.asarray(Image.fromarray(lr).resize((width * scale, height * scale), BICUBIC))


def back_project(
    lr: RecordedImage, scale: int, steps: int, start: FloatImage | None = None
) -> GreyImage:
    """Return an image made consistent with the LR image; from bicubic, it is the second baseline.

    Each step adds the interpolated difference between the LR image and the downsampled result
    (M. Irani and S. Peleg, "Improving resolution by image registration", CVGIP 1991), in float32.

    Args:
        lr: `uint8` or `uint16 (h, w)`.
        scale: 2, 4 or 8.
        steps: number of back-projections, at least 0.
        start: float32 `(h*scale, w*scale)` in [0, 1] to start from; None: bicubic.

    Returns:
        `uint8 (h*scale, w*scale)`, rounded and clipped.
    """
    _require_recorded(lr)
    target = grey_levels(lr)
    sr = _resize(target, scale) if start is None else start * np.float32(255)
    for _ in range(steps):
        sr = sr + _resize(target - _resize(sr, 1 / scale), scale)
    return to_grey(sr / 255)


def to_grey(image: npt.NDArray[np.floating]) -> GreyImage:
    """Round a float image in [0, 1] to 8 bits, clipping values outside."""
    grey: GreyImage = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    return grey


def grey_levels(image: RecordedImage) -> FloatImage:
    """Return an image of 8 or 16 bits in grey levels of 255, as float32."""
    levels: FloatImage = image.astype(np.float32)
    return levels if image.dtype == np.uint8 else levels / np.float32(257)


def _resize(image: FloatImage, factor: float) -> FloatImage:
    height, width = image.shape
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(image).resize(size, BICUBIC))


def _require_recorded(image: RecordedImage) -> None:
    if image.dtype not in (np.uint8, np.uint16) or image.ndim != 2:
        raise ValueError(f"must be uint8 or uint16 (H, W), got {image.dtype} {image.shape}")


def _require_grey(image: GreyImage) -> None:
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"must be uint8 (H, W), got {image.dtype} {image.shape}")


def keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Keys' cubic kernel with a = -0.5 (R. Keys, IEEE TASSP 1981): Pillow's bicubic."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
