"""The anatomy mask: everything but burned-in markers and the image border.

Most of a network's gain over bicubic on whole radiographs is sharp burned-in text, not anatomy, so
PSNR and SSIM are also reported under this mask. It depends only on the HR image and is the same for
every method.

The median itself is not needed, only whether it differs by more than a fifth: it lies far below a
pixel if more than half of the neighbourhood does. Neighbours are counted only where one of them is
far away at all, a few percent of a radiograph.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from srpipe.imaging.arrays import GreyImage

MEDIAN = 15
REACH = MEDIAN // 2
# Grey levels; a fifth of full range.
CONTRAST = 51
DILATION = 12
BORDER = 8
# Pixels whose neighbourhoods are counted at once: 4 MB.
AT_ONCE = 16384


def anatomy_mask(hr: GreyImage) -> npt.NDArray[np.bool_]:
    """Return `bool (H, W)`, True on the pixels that masked scores count.

    A pixel belongs to a marker where it differs from the median of its 15x15 neighbourhood by more
    than 0.2 of full range; markers grow by 12 px in each direction (a 25x25 square); an 8-px border
    is excluded too. At the border of the image, the neighbourhood is what lies inside; the median
    of an even number is the greater one of the two in the middle.
    """
    left_out: npt.NDArray[np.bool_] = ndimage.maximum_filter(markers(hr), size=2 * DILATION + 1)
    left_out[:BORDER] = left_out[-BORDER:] = True
    left_out[:, :BORDER] = left_out[:, -BORDER:] = True
    return ~left_out


def mean_inside(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]) -> float:
    """Return the mean of `values`, `(H, W)`, where the mask is True; of all if that is nowhere."""
    chosen = values[mask]
    return float(chosen.mean() if chosen.size else values.mean())


def markers(hr: GreyImage) -> npt.NDArray[np.bool_]:
    """Return where a pixel differs from the median around it by more than 51 levels, `(H, W)`."""
    marker = np.zeros(hr.shape, bool)
    # The median is the greater one of two: half of the pixels above are enough, below they are not.
    for image, half in ((hr, False), (255 - hr, True)):
        # Padding is white, so that no pixel finds it darker than itself.
        around = np.pad(image, REACH, constant_values=255)
        windows = np.lib.stride_tricks.sliding_window_view(around, (MEDIAN, MEDIAN))
        rows, columns = np.nonzero(image - _least(around) > CONTRAST)
        for start in range(0, len(rows), AT_ONCE):
            here = rows[start : start + AT_ONCE], columns[start : start + AT_ONCE]
            limits = image[here] - CONTRAST
            below = np.count_nonzero(windows[here] < limits[:, None, None], axis=(1, 2))
            inside = _length(here[0], hr.shape[0]) * _length(here[1], hr.shape[1])
            marker[here] |= 2 * below >= inside + (not half)
    return marker


def _least(around: GreyImage) -> GreyImage:
    """Return the minimum of each 15x15 window, `(H-14, W-14)`."""
    least = around
    for _ in range(2):
        for shift in (1, 2, 4, 7):  # windows of 2, 4, 8 and 15
            least = np.minimum(least[:-shift], least[shift:])
        least = least.T
    return least


def _length(at: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.intp]:
    """Return how many of the 15 pixels around each one are inside the image."""
    return np.minimum(at + REACH + 1, size) - np.maximum(at - REACH, 0)
