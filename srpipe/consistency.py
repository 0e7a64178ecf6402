"""Data consistency: the SR image, made small again, is the LR image within 8-bit rounding.

Downsampling is linear, `D x`, so the images that give a certain LR image form a flat. The nearest
of them to an SR image `x` is `x + D+ (lr - D x)`, with the pseudo-inverse `D+ = D^T (D D^T)^-1`.
The HR image lies (within rounding) on that flat too, and a projection onto a convex set brings
nothing in the set further away: PSNR cannot fall by more than what rounding does. Range-null space
decomposition (Y. Wang et al., "DDNM", ICLR 2023) is the same step; back-projection (M. Irani and
S. Peleg, CVGIP 1991) approaches it.

The LR image's own rounding and noise are copied too, for which a small difference is left alone.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded

from srpipe.resample import FloatImage, GreyImage

# Grey levels of 255 that D x may be off: of the half that rounding allows, what is left for the
# rounding of SR and of Pillow's two passes.
TOLERANCE = 0.1
# Clipping to [0, 1] undoes a little of a projection, where letters overshoot: it is repeated.
STEPS = 40
# Of Keys' kernel: it reaches two LR pixels to either side.
REACH = 2


@dataclass(frozen=True)
class _Axis:
    """Downsampling along one axis: its matrix, and the Cholesky factor of D D^T (banded)."""

    matrix: sparse.csr_array
    factor: npt.NDArray[np.float64]

    def back(self, small: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Apply D+ to the columns of `(n/scale, m)`: `(n, m)`."""
        solved = cho_solve_banded((self.factor, True), small, check_finite=False)
        result: npt.NDArray[np.float64] = self.matrix.T @ solved
        return result


def make_consistent(sr: FloatImage, lr: GreyImage) -> FloatImage:
    """Return the nearest image that downsamples to the LR image.

    Args:
        sr: float32 `(H, W)` in [0, 1], not yet rounded to 8 bits.
        lr: `uint8 (h, w)`, what `sr` was made from.

    Returns:
        float32 `(H, W)` in [0, 1]; rounded to 8 bits and downsampled by Pillow it is `lr` but for
        less than one pixel in a hundred (at 2x, four), which are one grey level off. Where letters
        or frames are saturated some pixels are further off: no image in [0, 1] near `sr` fits LR.

    Raises:
        ValueError: the sides of `sr` are not the same multiple of those of `lr`.
    """
    scale = sr.shape[0] // lr.shape[0]
    if sr.shape != (lr.shape[0] * scale, lr.shape[1] * scale):
        raise ValueError(f"SR {sr.shape} is no multiple of LR {lr.shape}")
    down, across = (_axis(length, scale) for length in sr.shape)
    x, target = sr.astype(np.float64) * 255, lr.astype(np.float64)
    for _ in range(STEPS):
        off = target - (across.matrix @ (down.matrix @ x).T).T
        off -= np.clip(off, -TOLERANCE, TOLERANCE)
        if not off.any():
            break
        x = np.clip(x + across.back(down.back(off).T).T, 0, 255)
    return (x / 255).astype(np.float32)


def downsampling_matrix(length: int, scale: int) -> sparse.csr_array:
    """Return Pillow's antialiased bicubic along one axis, `(length/scale, length)`, in float64.

    Keys' kernel (a = -0.5), widened by the scale; at the border, where it is cut, its weights still
    sum to 1.
    """
    count, reach = length // scale, REACH * scale
    offsets = np.arange(-reach, reach)
    at = (np.arange(count)[:, None] * scale + scale // 2) + offsets[None, :]
    weights = np.broadcast_to(_keys((offsets + 0.5) / scale), at.shape) * (
        (at >= 0) & (at < length)
    )
    weights = weights / weights.sum(1, keepdims=True)
    rows = np.repeat(np.arange(count), 2 * reach)
    columns = np.clip(at, 0, length - 1).ravel()
    return sparse.csr_array((weights.ravel(), (rows, columns)), shape=(count, length))


@functools.lru_cache(maxsize=8)
def _axis(length: int, scale: int) -> _Axis:
    matrix = downsampling_matrix(length, scale)
    product = (matrix @ matrix.T).tocsr()
    # Rows that are further apart than the kernel is wide have nothing in common.
    bands = np.zeros((2 * REACH, product.shape[0]))
    for distance in range(min(2 * REACH, product.shape[0])):
        diagonal = product.diagonal(-distance)
        bands[distance, : len(diagonal)] = diagonal
    return _Axis(matrix, cholesky_banded(bands, lower=True))


def _keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Keys' cubic kernel with a = -0.5 (R. Keys, IEEE TASSP 1981)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
