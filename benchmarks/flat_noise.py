"""The noise of an image, from square blocks where anatomy is flattest.

Nobody has two exposures of one patient, so noise cannot be told from anatomy by a difference.
A quadratic surface is taken out of each block; two measures of what is left are given:

- **residual**: the standard deviation that a twentieth of the blocks stay below. It still holds
  anatomy, and so is an upper bound; of white noise alone it would be a few percent too low.
- **detail**: the root mean square of the diagonal differences (a - b - c + d) / 2 of 2x2 pixels, in
  the flattest twentieth. White noise keeps its standard deviation in them, while anatomy, whose
  power falls steeply with frequency, nearly vanishes; of noise whose spectrum falls it is less than
  the whole. Flatness is judged by the rest of a block's energy, which in white noise is independent
  of the detail, so that the choice has no bias.

Both are divided by what they are on simulated white noise of standard deviation 1 (`bias`).
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SHARE = 0.05
# Blocks of a level in an image, or it has no value there.
FEWEST = 40
SIMULATED = 20_000


@dataclass(frozen=True)
class Blocks:
    """Blocks of an image, row by row.

    Attributes:
        values: `(n, side, side)`, without their quadratic surfaces.
        level: `(n,)`, mean.
        whole: `(n,)`: no pixel is at or beyond the limits.
        residual, detail: `(n,)`, variances.
        rest: `(n,)`, the energy that is not detail; small in a flat block.
    """

    values: Array
    level: Array
    whole: npt.NDArray[np.bool_]
    residual: Array
    detail: Array
    rest: Array


def cut(image: Array, side: int, limits: tuple[float, float] = (-np.inf, np.inf)) -> Blocks:
    """Cut an image `(H, W)` into blocks of an even side; incomplete ones are left out."""
    down, across = (length // side for length in image.shape)
    tiles = image[: down * side, : across * side].reshape(down, side, across, side)
    flat = tiles.swapaxes(1, 2).reshape(-1, side * side)
    surface = _surface(side)
    left = flat - (flat @ surface) @ surface.T
    values = left.reshape(-1, side, side)
    squares = _diagonal(values) ** 2
    energy = (left**2).sum(axis=1)
    return Blocks(
        values,
        flat.mean(axis=1),
        (flat.min(axis=1) > limits[0]) & (flat.max(axis=1) < limits[1]),
        energy / (side**2 - surface.shape[1]),
        squares.mean(axis=1),
        energy - squares.sum(axis=1),
    )


def by_level(
    blocks: Blocks, edges: Array, rounding: float = 0.0, expected: Array | None = None
) -> Array:
    """Return residual and detail, `(2, levels)`, standard deviations between the edges.

    Args:
        blocks: of one image.
        edges: of the levels, ascending.
        rounding: a variance to subtract.
        expected: `(n,)`, variances that the results are relative to, block by block. Where noise
            changes much within a level, the flattest blocks would else be those of less noise.

    Returns:
        NaN where there are too few blocks.
    """
    expected = np.ones(len(blocks.level)) if expected is None else expected
    found = np.full((2, len(edges) - 1), np.nan)
    level = np.digitize(blocks.level, edges) - 1
    for each in range(len(edges) - 1):
        inside = np.flatnonzero(blocks.whole & (level == each))
        if len(inside) >= FEWEST:
            found[:, each] = _measure(blocks, inside, rounding, expected)
    return np.asarray(np.sqrt(np.maximum(found, 0)) / bias(blocks.values.shape[1])[:, None])


@functools.cache
def bias(side: int) -> Array:
    """Return residual and detail of simulated white noise of standard deviation 1."""
    white = np.random.default_rng(0).standard_normal((side * SIMULATED, side))
    variances = _measure(cut(white, side), np.arange(SIMULATED), 0.0, np.ones(SIMULATED))
    return np.asarray(np.sqrt(variances))


def flattest(blocks: Blocks, among: npt.NDArray[np.intp], expected: Array) -> npt.NDArray[np.intp]:
    """Return those of the given blocks whose energy over the expected variance is least."""
    order = among[np.argsort((blocks.rest / expected)[among])]
    return order[: round(SHARE * len(order))]


def spectra(values: Array) -> tuple[Array, Array]:
    """Return frequencies in cycles a pixel `(f,)`, and noise power by block `(n, f)`.

    Windowed (Hann) and averaged over rings. White noise has its variance at every frequency. The
    lowest two rings, which the removed surface empties, are left out.
    """
    side = values.shape[1]
    hann = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    window = np.outer(hann, hann)
    power = np.abs(np.fft.fft2(values * window)) ** 2 / (window**2).sum()
    cycles = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(cycles[:, None], cycles)).astype(int)
    rings = np.arange(2, side // 2 + 1)
    mean = np.stack([power[:, ring == each].mean(axis=1) for each in rings], axis=1)
    return rings / side, mean


def _measure(blocks: Blocks, of: npt.NDArray[np.intp], rounding: float, expected: Array) -> Array:
    """Return the variances of residual and detail, over the expected ones."""
    flat = flattest(blocks, of, expected)
    residual = np.quantile((blocks.residual[of] - rounding) / expected[of], SHARE)
    detail = ((blocks.detail[flat] - rounding) / expected[flat]).mean()
    return np.array([residual, detail])


def _diagonal(values: Array) -> Array:
    """Return the diagonal differences of 2x2 pixels, `(n, pixels / 4)`."""
    even, odd = values[:, ::2], values[:, 1::2]
    found = (even[..., ::2] - even[..., 1::2] - odd[..., ::2] + odd[..., 1::2]) / 2
    return found.reshape(len(values), -1)


def _surface(side: int) -> Array:
    """Return an orthonormal basis of quadratic surfaces, `(pixels, 6)`."""
    y, x = (each.ravel() for each in np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij"))
    basis, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))
    return np.asarray(basis)
