"""Data consistency: the downsampled SR image equals the LR image within 8-bit rounding.

Downsampling is linear, `D x`, so the images with a given LR image form an affine subspace. The
shortest way to it from an SR image `x` is `D+ (lr - D x)`, with the pseudo-inverse
`D+ = D^T (D D^T)^-1` (range-null space decomposition: Y. Wang et al., "DDNM", ICLR 2023;
back-projection, M. Irani and S. Peleg, CVGIP 1991, approaches it).

LR is rounded, so the HR image lies near that subspace, not on it, and a network's `D x` is often
closer to HR's than LR is: full projection copies LR's rounding error, which cost 0.03 dB on
radiographs. Here only pixels whose *rounded* value disagrees are corrected, and only until it
agrees.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # whole: its subpackages take a third of a second, and so load at first use

from srpipe.imaging.arrays import FloatImage, GreyImage
from srpipe.imaging.resample import downsample, keys, to_grey

# Where rounded values differ by r grey levels, D x is off by r - 0.5 to r + 0.5. Each step corrects
# by r - LESS, which may fall just short, and the result is checked again.
LESS = 0.7
STEPS = 20
# Radius of Keys' kernel: two LR pixels to either side.
REACH = 2
# LR pixels beyond which a pixel does not matter, in practice: what the pseudo-inverse makes of one
# falls to a third with each LR pixel, and later steps carry little further. Of textures, noise and
# saturated letters, pieces cut with this margin differed from the whole by 2e-5 grey levels; with
# half of it, 34 pixels of a million differed after rounding.
MARGIN = 32


@dataclass(frozen=True)
class _Axis:
    """Downsampling along one axis: its matrix, and the Cholesky factor of D D^T (banded)."""

    matrix: "scipy.sparse.csr_array"
    factor: npt.NDArray[np.float64]

    def back(self, small: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Apply D+ to the columns of `(n/scale, m)`: `(n, m)`."""
        solved = scipy.linalg.cho_solve_banded((self.factor, True), small, check_finite=False)
        result: npt.NDArray[np.float64] = self.matrix.T @ solved
        return result


def make_consistent(sr: FloatImage, lr: GreyImage) -> FloatImage:
    """Return an image near `sr` that downsamples to the LR image.

    Args:
        sr: float32 `(H, W)` in [0, 1], not yet rounded to 8 bits.
        lr: `uint8 (h, w)`, what `sr` was made from.

    Returns:
        float32 `(H, W)` in [0, 1]; rounded to 8 bits and downsampled by Pillow it equals `lr`,
        except for a few pixels at saturated letters or frames, where no image in [0, 1] near `sr`
        does.

    Raises:
        ValueError: the sides of `sr` are not the same multiple of those of `lr`.
    """
    scale = sr.shape[0] // lr.shape[0]
    if sr.shape != (lr.shape[0] * scale, lr.shape[1] * scale):
        raise ValueError(f"SR {sr.shape} is no multiple of LR {lr.shape}")
    down, across = (_axis(length, scale) for length in sr.shape)
    x = sr.astype(np.float64)
    for _ in range(STEPS):
        off = lr.astype(np.float64) - downsample(to_grey(x), scale)
        if not off.any():
            break
        off = np.sign(off) * np.maximum(np.abs(off) - LESS, 0) / 255
        x = np.clip(x + across.back(down.back(off).T).T, 0, 1)
    return x.astype(np.float32)


def undetermined(sr: npt.NDArray[Any], scale: int) -> FloatImage:
    """Return the part of an image that its LR image says nothing about, `x - D+ D x`.

    Downsampling takes all of it away: adding or leaving it out gives the same LR image.

    Args:
        sr: `(H, W)` of any range, sides multiples of the scale.
        scale: of the LR image.

    Returns:
        float32 `(H, W)`, around 0.
    """
    down, across = (_axis(length, scale) for length in sr.shape)
    x = sr.astype(np.float64)
    small = down.matrix @ (across.matrix @ x.T).T
    rest: FloatImage = (x - across.back(down.back(small).T).T).astype(np.float32)
    return rest


def downsampling_matrix(length: int, scale: int) -> "scipy.sparse.csr_array":
    """Return Pillow's antialiased bicubic along one axis, `(length/scale, length)`, in float64.

    Keys' kernel (a = -0.5), widened by the scale; where the border cuts it off, its weights are
    normalised to sum to 1.
    """
    count, reach = length // scale, REACH * scale
    offsets = np.arange(-reach, reach)
    at = (np.arange(count)[:, None] * scale + scale // 2) + offsets[None, :]
    weights = np.broadcast_to(keys((offsets + 0.5) / scale), at.shape) * ((at >= 0) & (at < length))
    weights = weights / weights.sum(1, keepdims=True)
    rows = np.repeat(np.arange(count), 2 * reach)
    columns = np.clip(at, 0, length - 1).ravel()
    return scipy.sparse.csr_array((weights.ravel(), (rows, columns)), shape=(count, length))


@functools.lru_cache(maxsize=8)
def _axis(length: int, scale: int) -> _Axis:
    matrix = downsampling_matrix(length, scale)
    product = (matrix @ matrix.T).tocsr()
    # Rows further apart than the kernel is wide do not overlap.
    bands = np.zeros((2 * REACH, product.shape[0]))
    for distance in range(min(2 * REACH, product.shape[0])):
        diagonal = product.diagonal(-distance)
        bands[distance, : len(diagonal)] = diagonal
    return _Axis(matrix, scipy.linalg.cholesky_banded(bands, lower=True))
