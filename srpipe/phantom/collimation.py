"""Edges of the exposed field: collimator blades in the beam, and the black shutter added later.

A blade's shadow is unexposed, so it comes out *bright* unless the vendor covers it with a black
shutter. Fields are often rotated by a degree or two, and padding to a square leaves straight bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srpipe.imaging.arrays import FloatArray

# How often the left, right, top and bottom edge of the field is in the image.
_EDGE_SHARE = (0.32, 0.42, 0.34, 0.1)


@dataclass(frozen=True)
class Field:
    """Exposed field of one image; lengths as shares of the image side.

    Attributes:
        margins: width left out at the left, right, top and bottom.
        turns: slope of each of those edges.
        softness: width of the penumbra in pixels of a 1024-pixel image.
        shutter: True if the outside is covered black, False if the blades show bright.
        bars: width of straight black padding at the left, right, top and bottom.
    """

    margins: tuple[float, float, float, float]
    turns: tuple[float, float, float, float]
    softness: float
    shutter: bool
    bars: tuple[float, float, float, float]


def sample_field(rng: np.random.Generator) -> Field:
    """Draw the field of an image: about one image in four shows no edge at all."""
    kind = rng.random()
    margins, turns, bars = [0.0] * 4, [0.0] * 4, [0.0] * 4
    if kind > 0.4:
        turn = rng.normal(0, 0.011)
        for edge in range(4):
            if rng.random() < _EDGE_SHARE[edge]:
                margins[edge] = float(rng.gamma(1.2, 0.024))
                turns[edge] = float(turn if edge < 2 else -turn)
    if 0.12 < kind < 0.75:
        pair = 0 if rng.random() < 0.85 else 2
        for edge in (pair, pair + 1):
            if rng.random() < 0.6:
                bars[edge] = float(min(rng.exponential(0.022), 0.12))
    return Field(
        _four(margins),
        _four(turns),
        float(rng.uniform(0.6, 3.0)),
        bool(rng.random() < 0.8),
        _four(bars),
    )


def exposed_share(field: Field, size: int) -> FloatArray:
    """Return how much of the beam each pixel gets, float32 (size, size), 0..1."""
    at = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = at[None, :], at[:, None]
    distances = (x, 1 - x, y, 1 - y)
    along = (y, y, x, x)
    share = np.ones((size, size), np.float32)
    for edge in range(4):
        if field.margins[edge] > 0:
            limit = field.margins[edge] + field.turns[edge] * (along[edge] - 0.5)
            inside = (distances[edge] - limit) * np.float32(1024 / field.softness)
            share *= np.clip(inside + 0.5, 0, 1)
    return share


def bar_mask(field: Field, size: int) -> NDArray[np.bool_]:
    """Return where straight padding lies, bool (size, size)."""
    left, right, top, bottom = (round(b * size) for b in field.bars)
    mask = np.ones((size, size), bool)
    mask[top : size - bottom, left : size - right] = False
    return mask


def _four(values: list[float]) -> tuple[float, float, float, float]:
    return values[0], values[1], values[2], values[3]
