"""The scores of an SR image, and their conventions.

PSNR and SSIM are computed on 8-bit images scaled to [0, 1], so the peak is 1 (not the image's
maximum), over the whole image without cropping a border. SSIM is the mean of `ssim.ssim_map`, over
the windows that lie wholly inside the image. The content distance is that of `perception`, of the
whole image too.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import downsample
from srpipe.metrics import perception
from srpipe.metrics.error import psnr, squared_error
from srpipe.metrics.mask import anatomy_mask, mean_inside
from srpipe.metrics.ssim import RADIUS, ssim_map

Mask = npt.NDArray[np.bool_]

# Where the windows of SSIM that lie wholly inside the image are centred.
INSIDE = np.s_[RADIUS:-RADIUS, RADIUS:-RADIUS]
# For the other scores, higher is better.
LOWER_IS_BETTER = frozenset({"content_distance"})


@dataclass(frozen=True)
class Scores:
    """Scores of one SR image: PSNR in dB, SSIM in [-1, 1], content distance from 0 (lower: better).

    A content distance has no unit; bicubic's on a radiograph at 4x is about 7. It is NaN where it
    was not computed.
    """

    psnr: float
    ssim: float
    psnr_masked: float
    ssim_masked: float
    lr_psnr: float
    content_distance: float

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the scores, in order."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, eq=False)
class Original:
    """An HR image with all of it that scores need, computed once for any number of LR images.

    `image` is `uint8 (H, W)`, `mask` `bool (H, W)`.
    """

    image: GreyImage
    mask: Mask

    @cached_property
    def features(self) -> perception.Features:
        """Return the HR image's features, computed once, when first needed."""
        return perception.features(self.image)


@dataclass(frozen=True, eq=False)
class Reference:
    """What SR images of one LR image, `uint8 (H/scale, W/scale)`, are scored against."""

    original: Original
    lr: GreyImage
    scale: int

    @property
    def hr(self) -> GreyImage:
        """Return the HR image, `uint8 (H, W)`."""
        return self.original.image

    @property
    def mask(self) -> Mask:
        """Return the pixels that masked scores count, `bool (H, W)`."""
        return self.original.mask


def original(hr: GreyImage) -> Original:
    """Return an HR image `uint8 (H, W)` as `reference` takes it."""
    return Original(hr, anatomy_mask(hr))


def reference(hr: GreyImage | Original, lr: GreyImage) -> Reference:
    """Return the reference for an HR image and its LR image.

    To score several LR images of one HR image, give its `original` with each.

    Raises:
        ValueError: the sides of `hr` are not the same multiple of those of `lr`.
    """
    height, width = (hr.image if isinstance(hr, Original) else hr).shape
    scale = height // lr.shape[0]
    if (height, width) != (lr.shape[0] * scale, lr.shape[1] * scale):
        raise ValueError(f"HR {(height, width)} is no multiple of LR {lr.shape}")
    return Reference(hr if isinstance(hr, Original) else original(hr), lr, scale)


def score(sr: GreyImage, against: Reference, *, content: bool = True) -> Scores:
    """Score an SR image.

    Args:
        sr: `uint8 (H, W)`.
        against: what it is compared with.
        content: compute the content distance, which takes two thirds of the time; else it is NaN.

    Returns:
        The scores; `lr_psnr` is the PSNR between the downsampled SR image and the LR image that it
        was made from: how faithful it is to its input.

    Raises:
        ValueError: `sr` is not uint8 or has another shape than the HR image.
    """
    hr, mask = against.hr, against.mask
    if sr.dtype != np.uint8 or sr.shape != hr.shape:
        raise ValueError(f"SR must be uint8 {hr.shape}, got {sr.dtype} {sr.shape}")
    error = squared_error(sr, hr)
    similarity = ssim_map(sr, hr)
    return Scores(
        psnr=psnr(float(error.mean())),
        ssim=float(similarity.mean()),
        psnr_masked=psnr(mean_inside(error, mask)),
        ssim_masked=mean_inside(similarity, mask[INSIDE]),
        lr_psnr=psnr(float(squared_error(downsample(sr, against.scale), against.lr).mean())),
        content_distance=perception.content_distance(
            perception.features(sr), against.original.features
        )
        if content
        else math.nan,
    )
