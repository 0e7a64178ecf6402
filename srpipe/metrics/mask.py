"""The anatomy mask: everything but burned-in markers and the image border.

Most of a network's gain over bicubic on whole radiographs is sharp burned-in text, not anatomy, so
PSNR and SSIM are also reported under this mask. It depends only on the HR image and is the same for
every method.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import rank

from srpipe.imaging.arrays import GreyImage

MEDIAN = 15
CONTRAST = 0.2
DILATION = 12
BORDER = 8


def anatomy_mask(hr: GreyImage) -> npt.NDArray[np.bool_]:
    """Return `bool (H, W)`, True on the pixels that masked scores count.

    A pixel belongs to a marker where it differs from the median of its 15x15 neighbourhood by more
    than 0.2 of full range; markers grow by 12 px in each direction (a 25x25 square); an 8-px border
    is excluded too.
    """
    median = rank.median(np.array(hr), np.ones((MEDIAN, MEDIAN), np.uint8))
    marker = np.abs(hr.astype(np.int16) - median) > CONTRAST * 255
    left_out: npt.NDArray[np.bool_] = ndimage.maximum_filter(marker, size=2 * DILATION + 1)
    left_out[:BORDER] = left_out[-BORDER:] = True
    left_out[:, :BORDER] = left_out[:, -BORDER:] = True
    return ~left_out
