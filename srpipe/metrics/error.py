"""Squared errors and PSNR of 8-bit images scaled to [0, 1]: the peak is 1."""

import math

import numpy as np
import numpy.typing as npt

from srpipe.imaging.arrays import GreyImage

# Identical images have no finite PSNR; this is reported instead (an MSE of 1e-10).
PSNR_MAX = 100.0


def squared_error(a: GreyImage, b: GreyImage) -> npt.NDArray[np.float64]:
    """Return the squared difference in [0, 1] of two 8-bit images of one shape."""
    difference = (a.astype(np.float64) - b) / 255
    return difference * difference


def psnr(mse: float) -> float:
    """Return the PSNR in dB at peak 1 of a mean squared error, at most 100 dB."""
    return PSNR_MAX if mse <= 10 ** (-PSNR_MAX / 10) else -10 * math.log10(mse)
