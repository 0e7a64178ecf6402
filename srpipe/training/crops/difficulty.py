"""Where an image is hard: the local error of bicubic interpolation.

Most of a radiograph is smooth, and the hard parts - a catheter, a rib's edge, burned-in letters -
are a few percent of its area: uniformly drawn crops hardly show them. Drawing crops in proportion
to the error of the simplest method is importance sampling (A. Katharopoulos and F. Fleuret, ICML
2018, use the gradient norm).
"""

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from srpipe.data.packed import Packed
from srpipe.imaging.resample import bicubic

# Side of the cells, in HR pixels, over which the error is averaged.
CELL = 16


class Difficulty:
    """The difficulty of the images of a packed folder.

    Computed at first use and cached: 16 KB per 1024x1024 image. Threads may share it.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        self._sums: dict[int, npt.NDArray[np.float32]] = {}
        self._locks: dict[int, threading.Lock] = {}

    def choose(self, row: int, corners: Sequence[tuple[int, int]], crop: int, draw: float) -> int:
        """Sample the index of one of the places.

        Args:
            row: manifest row.
            corners: top and left of each place, in HR pixels.
            crop: side of a place, in HR pixels.
            draw: a random number in [0, 1).

        Returns:
            The first index at which the cumulative error of the places exceeds `draw` times their
            total. A place's error is the root mean squared difference between the image and its
            bicubic interpolation, over the cells that the place touches.
        """
        sums = self._of(row)
        errors = []
        for top, left in corners:
            y0, x0 = top // CELL, left // CELL
            y1, x1 = -(-(top + crop) // CELL), -(-(left + crop) // CELL)
            total = float(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0])
            errors.append(max(total, 0.0) ** 0.5 / ((y1 - y0) * (x1 - x0)) ** 0.5 + 1e-6)
        passed = np.cumsum(errors)
        return min(int(np.searchsorted(passed, draw * passed[-1], side="right")), len(errors) - 1)

    def _of(self, row: int) -> npt.NDArray[np.float32]:
        """Return the integral image of the cells' mean squared errors, `(h + 1, w + 1)`."""
        # One lock per image: threads working on other images do not wait.
        with self._locks.setdefault(row, threading.Lock()):
            if row not in self._sums:
                self._sums[row] = self._find(row)
            return self._sums[row]

    def _find(self, row: int) -> npt.NDArray[np.float32]:
        hr = self._packed.hr(row)
        error = (hr.astype(np.float32) - bicubic(self._packed.lr(row), self._packed.scale)) ** 2
        height, width = (-(-side // CELL) for side in hr.shape)
        cells = np.zeros((height * CELL, width * CELL), np.float32)
        cells[: hr.shape[0], : hr.shape[1]] = error
        means = cells.reshape(height, CELL, width, CELL).mean((1, 3))
        sums = np.zeros((height + 1, width + 1), np.float32)
        sums[1:, 1:] = means.cumsum(0).cumsum(1)
        return sums
