"""Detail that an SR image invents, and detail that it loses.

Detail is what a band-pass filter keeps: the difference of two Gaussians of 1 and 2 HR pixels, whose
gain is highest at periods of 6.5 pixels, just beyond the 8 that LR can hold at 4x. It counts where
it exceeds `SIGMAS` standard deviations of HR's noise in that band. That noise is estimated from
each HR image: the lower quartile of the standard deviations in tiles of 32x32 pixels, because the
quiet tiles hold little else, and at least that of rounding to 8 bits.

    lost      of the pixels at which HR has detail: the share at which SR has less than half of it,
              or the opposite
    invented  of the pixels at which SR has detail: the share at which HR has none, and less than
              half of SR's
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from srpipe.imaging.arrays import FloatImage, GreyImage

FINE, COARSE = 1.0, 2.0
SIGMAS = 3.0
TILE, QUIET = 32, 0.25
# Of the band-pass filter for white noise, and of rounding, in grey levels.
GAIN = 0.189
ROUNDING = GAIN / 12**0.5


@dataclass(frozen=True)
class Detail:
    """Shares of detail, in [0, 1]; 0 where there is no detail to lose, or none was made."""

    lost: float
    invented: float


def band(image: GreyImage) -> FloatImage:
    """Return the detail of `uint8 (H, W)`, signed, in grey levels."""
    grey = image.astype(np.float32)
    found: FloatImage = ndimage.gaussian_filter(grey, FINE) - ndimage.gaussian_filter(grey, COARSE)
    return found


def noise(detail: FloatImage) -> float:
    """Return the standard deviation of an HR image's noise in the band, in grey levels."""
    height, width = (max(side // TILE, 1) for side in detail.shape)
    tiles = detail[: height * TILE, : width * TILE]
    spread = tiles.reshape(height, len(tiles) // height, width, -1).std(axis=(1, 3))
    return max(float(np.quantile(spread, QUIET)), ROUNDING)


def lost_and_invented(
    sr: GreyImage, hr: GreyImage, counted: npt.NDArray[np.bool_] | None = None
) -> Detail:
    """Return the shares of detail of `hr` that `sr` loses, and of `sr` that it invents.

    Args:
        sr: `uint8 (H, W)`.
        hr: `uint8 (H, W)`.
        counted: `bool (H, W)`, the pixels that count; None: all.
    """
    true, made = band(hr), band(sr)
    least = SIGMAS * noise(true)
    if counted is not None:
        true, made = true[counted], made[counted]
    real, shown = np.abs(true) > least, np.abs(made) > least
    lost = real & (made * np.sign(true) < np.abs(true) / 2)
    invented = shown & ~real & (true * np.sign(made) < np.abs(made) / 2)
    return Detail(_share(lost, real), _share(invented, shown))


def _share(part: npt.NDArray[np.bool_], of: npt.NDArray[np.bool_]) -> float:
    whole = int(of.sum())
    return int(part.sum()) / whole if whole else 0.0
