"""Made chest radiographs with lungs whose place is known."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

SIDE = 512
# Centres (y, x) and half axes of the lungs.
LUNGS = (((256, 160), (150, 62)), ((256, 352), (150, 62)))


def lung(shrunk: int = 0) -> npt.NDArray[np.bool_]:
    """Return where the lungs are, or what is more than `shrunk` pixels inside on both axes."""
    y, x = np.ogrid[:SIDE, :SIDE]
    inside = np.zeros((SIDE, SIDE), np.bool_)
    for (top, left), (height, width) in LUNGS:
        inside |= ((y - top) / (height - shrunk)) ** 2 + ((x - left) / (width - shrunk)) ** 2 < 1
    return inside


def chest(seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return `uint8 (512, 512)`: lungs of 125 in a body of 170, air of 20 beside it, texture."""
    rng = np.random.default_rng(seed)
    image = np.where(lung(), 125.0, 170.0)
    image[:, :40] = image[:, -40:] = 20
    image += ndimage.gaussian_filter(rng.normal(size=image.shape), 3) * 20
    image += rng.normal(size=image.shape) * 2
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
