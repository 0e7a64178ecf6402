"""Places for nodules in the lung fields, found by a simple rule.

A pixel counts as lung where the image, smoothed, is darker than the median of its middle part. The
middle part leaves out a fifth of the height above and below and an eighth of the width on each
side. Not lung are the air around the patient (what is darker than half of that median and connected
with the image's edge), burned-in markers with their surroundings (`metrics.mask`) and saturated
pixels. A place is lung to `INSIDE` pixels in each direction, and places are so far apart that what
is cut out around one holds nothing of the next nodule. The rule lets in dark soft tissue at the
armpits now and then, for every method alike.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from srpipe.acquisition.detector import Region
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.observer.hotelling import HALF
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.mask import anatomy_mask

# In HR pixels: smoothing, the least distance of two places along either axis, of a place from what
# is no lung, and of the middle part from the end of the part that is super-resolved.
SMOOTHING, APART, INSIDE, AROUND = 8, 56, 16, 48


def field(shape: tuple[int, ...]) -> Region:
    """Return the part of an HR image that is acquired: its middle part and a bit around."""
    top, left = (max(start - AROUND, 0) // SCALE * SCALE for start, _ in _middle(shape))
    bottom, right = (
        min(-(-(end + AROUND) // SCALE) * SCALE, size)
        for (_, end), size in zip(_middle(shape), shape, strict=True)
    )
    return Region(left, top, right, bottom)


def lungs(hr: GreyImage) -> npt.NDArray[np.bool_]:
    """Return `bool (H, W)`: where the rule finds lung; nowhere if there is no middle part."""
    (top, bottom), (left, right) = _middle(hr.shape)
    middle = np.s_[top:bottom, left:right]
    if not hr[middle].size:
        return np.zeros(hr.shape, np.bool_)
    smooth = ndimage.gaussian_filter(hr.astype(np.float32), SMOOTHING)
    median = np.median(hr[middle])
    parts, _ = ndimage.label(smooth < median / 2)
    edges = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    air = np.isin(parts, edges[edges > 0])
    inside = np.zeros(hr.shape, np.bool_)
    inside[middle] = True
    found: npt.NDArray[np.bool_] = (
        inside & (smooth < median) & ~air & anatomy_mask(hr) & (hr > 0) & (hr < 255)
    )
    return found


def places(hr: GreyImage, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the `(y, x)` of at most `count` places, drawn at random; fewer where no more fit."""
    free = ndimage.minimum_filter(lungs(hr), 2 * INSIDE + 1, mode="constant")
    found: list[tuple[int, int]] = []
    while len(found) < count and free.any():
        y, x = (int(at) for at in np.argwhere(free)[rng.integers(free.sum())])
        free[max(y - APART + 1, 0) : y + APART, max(x - APART + 1, 0) : x + APART] = False
        found.append((y, x))
    return found


def _middle(shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first and last row, and column, of the middle part; crops around it are whole."""
    edges = max(shape[0] // 5, HALF), max(shape[1] // 8, HALF)
    return (edges[0], shape[0] - edges[0]), (edges[1], shape[1] - edges[1])
