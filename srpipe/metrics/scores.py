"""The scores of an SR image, and their conventions.

PSNR and SSIM are computed on 8-bit images scaled to [0, 1], so the peak is 1 (not the image's
maximum), over the whole image without cropping a border. SSIM has the settings of Z. Wang et al.,
"Image quality assessment", IEEE TIP 2004: Gaussian window 11x11 with sigma 1.5, population
covariance, K1 = 0.01, K2 = 0.03, mean over the windows that lie wholly inside the image. The
content distance is that of `perception`, of the whole image too.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import downsample
from srpipe.metrics import perception
from srpipe.metrics.mask import anatomy_mask

Mask = npt.NDArray[np.bool_]

# Identical images have no finite PSNR; this is reported instead (an MSE of 1e-10).
PSNR_MAX = 100.0
# The windows of SSIM that lie wholly inside the image are centred 5 px from its border.
INSIDE = np.s_[5:-5, 5:-5]
# For the other scores, higher is better.
LOWER_IS_BETTER = frozenset({"content_distance"})


@dataclass(frozen=True)
class Scores:
    """Scores of one SR image: PSNR in dB, SSIM in [-1, 1], content distance from 0 (lower: better).

    A content distance has no unit; bicubic's on a radiograph at 4x is about 7.
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


@dataclass(frozen=True)
class Reference:
    """An HR image with all that methods are scored against.

    `hr` is `uint8 (H, W)`, `lr` `uint8 (H/scale, W/scale)`, `mask` `bool (H, W)`.
    """

    hr: GreyImage
    lr: GreyImage
    mask: Mask
    scale: int

    @cached_property
    def features(self) -> perception.Features:
        """Return the HR image's features, computed once for all methods."""
        return perception.features(self.hr)


def reference(hr: GreyImage, lr: GreyImage) -> Reference:
    """Return the reference for an HR image and its LR image.

    Raises:
        ValueError: the sides of `hr` are not the same multiple of those of `lr`.
    """
    scale = hr.shape[0] // lr.shape[0]
    if hr.shape != (lr.shape[0] * scale, lr.shape[1] * scale):
        raise ValueError(f"HR {hr.shape} is no multiple of LR {lr.shape}")
    return Reference(hr, lr, anatomy_mask(hr), scale)


def score(sr: GreyImage, against: Reference) -> Scores:
    """Score an SR image `uint8 (H, W)`.

    `lr_psnr` is the PSNR between the downsampled SR image and the LR image that it was made from:
    how faithful it is to its input.

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
        psnr_masked=psnr(_mean(error, mask)),
        ssim_masked=_mean(similarity, mask[INSIDE]),
        lr_psnr=psnr(float(squared_error(downsample(sr, against.scale), against.lr).mean())),
        content_distance=perception.content_distance(perception.features(sr), against.features),
    )


def squared_error(a: GreyImage, b: GreyImage) -> npt.NDArray[np.float64]:
    """Return the squared difference in [0, 1] of two 8-bit images of one shape."""
    difference = (a.astype(np.float64) - b) / 255
    return difference * difference


def psnr(mse: float) -> float:
    """Return the PSNR in dB at peak 1 of a mean squared error, at most 100 dB."""
    return PSNR_MAX if mse <= 10 ** (-PSNR_MAX / 10) else -10 * math.log10(mse)


def ssim_map(a: GreyImage, b: GreyImage) -> npt.NDArray[np.float64]:
    """Return the SSIM of each 11x11 window inside the image: `float64 (H-10, W-10)`."""
    _, similarity = structural_similarity(
        a / 255.0,
        b / 255.0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inside: npt.NDArray[np.float64] = similarity[INSIDE]
    return inside


def _mean(values: npt.NDArray[np.float64], where: Mask) -> float:
    """Return the mean where the mask is True; of everything if it is True nowhere."""
    chosen = values[where]
    return float(chosen.mean() if chosen.size else values.mean())
