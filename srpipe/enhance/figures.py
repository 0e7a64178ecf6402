"""Figures of a result: how it agrees with its input, and how much of it is the network's own."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from srpipe.enhance.tiles import DEFAULT_TILE, pieces
from srpipe.formats.raster import Values
from srpipe.imaging.arrays import FloatImage
from srpipe.imaging.consistency import MARGIN, REACH, undetermined
from srpipe.imaging.resample import BICUBIC
from srpipe.runtime.given import given_range


def lr_psnr(enlarged: npt.NDArray[Any], values: Values, scale: int) -> float:
    """Return the PSNR in dB of an image, downsampled and rounded, against its input; at most 100.

    The peak is the range that the network was given. Pieces overlap by what Pillow's kernel sees.

    Args:
        enlarged: whole numbers `(h*scale, w*scale)`, in grey values of the input.
        values: `(h, w)`, the input.
        scale: how many times as large each way.
    """
    low, high = given_range(values)
    lr, total = values.array, 0.0
    for piece in pieces((lr.shape[0], lr.shape[1]), DEFAULT_TILE, REACH):
        down, across = piece.seen
        sr = enlarged[
            down.start * scale : down.stop * scale, across.start * scale : across.stop * scale
        ]
        size = (across.stop - across.start, down.stop - down.start)
        kept = sr if sr.dtype == np.uint8 else sr.astype(np.float32)
        small = np.asarray(Image.fromarray(np.ascontiguousarray(kept)).resize(size, BICUBIC))
        own = piece.cut(np.rint(small.astype(np.float64)), 1)
        total += float(((own - lr[piece.inside]) ** 2).sum())
    error = total / lr.size / max(high - low, 1) ** 2
    return round(float(-10 * np.log10(max(error, 1e-10))), 4)


def added_detail(sr: npt.NDArray[Any], scale: int) -> FloatImage:
    """Return the part of a result that LR does not determine: `consistency.undetermined`.

    Of the result less its mean: at the border, a constant is no result of D+.

    Args:
        sr: whole numbers `(H, W)`.
        scale: of the generator.

    Returns:
        float32 `(H, W)` in grey values of the result, around 0. It is made in pieces, which differ
        from the whole by far less than a grey level.
    """
    height, width = (side // scale for side in sr.shape)
    found, mean = np.empty(sr.shape, np.float32), sr.mean(dtype=np.float64)
    for piece in pieces((height, width), DEFAULT_TILE, MARGIN):
        down, across = (slice(seen.start * scale, seen.stop * scale) for seen in piece.seen)
        found[piece.place(scale)] = piece.cut(undetermined(sr[down, across] - mean, scale), scale)
    return found


def added_share(detail: FloatImage, sr: npt.NDArray[Any]) -> float:
    """Return the energy of the added detail over that of the result about its mean, 0 to 1."""
    energy = float(np.var(sr, dtype=np.float64)) * sr.size
    return float(np.sum(detail**2, dtype=np.float64)) / energy if energy else 0.0
