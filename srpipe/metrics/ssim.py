"""SSIM, window by window.

Z. Wang et al., "Image quality assessment", IEEE TIP 2004: Gaussian window 11x11 with sigma 1.5,
population covariance, K1 = 0.01, K2 = 0.03. The same figures as scikit-image's
`structural_similarity` with these settings, in a third of its time: four filtered maps, not five,
only where windows lie inside the image, and in strips that stay in the processor's cache.
"""

import numpy as np
import numpy.typing as npt

from srpipe.imaging.arrays import GreyImage

RADIUS = 5
SIGMA = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
# Rows computed at once: eight maps of 1024 columns are a megabyte or two. Half and twice as many
# are as fast.
ROWS = 16

_offsets = np.arange(-RADIUS, RADIUS + 1)
_weights = np.exp(-(_offsets**2) / (2 * SIGMA**2))
_weights /= _weights.sum()


def ssim_map(a: GreyImage, b: GreyImage) -> npt.NDArray[np.float64]:
    """Return the SSIM of each 11x11 window inside two images `(H, W)`: `float64 (H-10, W-10)`.

    Raises:
        ValueError: the images differ in shape, or a side is shorter than 11 pixels.
    """
    if a.shape != b.shape or min(a.shape) <= 2 * RADIUS:
        raise ValueError(
            f"images must be of one shape, at least 11 pixels a side, got {a.shape} and {b.shape}"
        )
    height, width = (size - 2 * RADIUS for size in a.shape)
    similarity = np.empty((height, width))
    for top in range(0, height, ROWS):
        rows = slice(top, min(top + ROWS, height) + 2 * RADIUS)
        similarity[top : top + ROWS] = _strip(a[rows].astype(np.float64), b[rows])
    return similarity


def _strip(x: npt.NDArray[np.float64], b: GreyImage) -> npt.NDArray[np.float64]:
    y = b.astype(np.float64)
    mean_x, mean_y = _mean(x), _mean(y)
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    covariance = _mean(x * y) - product
    variances = _mean(x * x + y * y) - squares
    above = (2 * product + C1) * (2 * covariance + C2)
    below = (squares + C1) * (variances + C2)
    quotient: npt.NDArray[np.float64] = above / below
    return quotient


def _mean(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Gaussian mean of the windows inside, `(h-10, w-10)`."""
    return _mean_of_rows(_mean_of_rows(x).T).T


def _mean_of_rows(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    count = x.shape[0] - 2 * RADIUS
    total: npt.NDArray[np.float64] = x[RADIUS : RADIUS + count] * _weights[RADIUS]
    for offset in range(RADIUS):
        mirrored = 2 * RADIUS - offset
        pair = x[offset : offset + count] + x[mirrored : mirrored + count]
        pair *= _weights[offset]
        total += pair
    return total
