"""Cutting HR and LR training crops from the packed arrays.

An LR crop is what the LR of the whole image has there (or would have, if the crop is shifted, drawn
on, jittered or acquired otherwise), so downsampling adds no borders to crops. But the network sees
zero padding beyond a crop's edges, as it does beyond an image's. For it to learn what is at the
edges of images (many radiographs have a frame there), crops are drawn there far more often than
uniformly; at all other edges a margin may be excluded from the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from srpipe.acquisition.detector import REACH, Region, acquire
from srpipe.acquisition.draws import drawn
from srpipe.imaging.arrays import GreyImage, RecordedImage
from srpipe.imaging.resample import BICUBIC
from srpipe.settings.acquisition import IDEAL, Acquisition
from srpipe.settings.train import Crops
from srpipe.training.crops.jitter import jitter
from srpipe.training.crops.markers import with_marker
from srpipe.training.crops.source import CropSource

# Columns copied at a time when a crop is transposed.
STRIP = 32


class Batch(NamedTuple):
    """Crops as stored: `uint8 (N, 1, side, side)`, `side` of LR is crop/scale.

    Where acquisitions are drawn, which may have more than 8 bits, LR is uint16 of 0..65535.
    `hidden` is `uint8 (N, 4)`: LR pixels at the top, bottom, left and right that the loss ignores,
    0 at image edges. (A crop that jitter widens up to an edge keeps its margin.)
    """

    lr: Tensor
    hr: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Draw:
    """The random numbers of one crop, each in [0, 1).

    `turn` and `flip` choose its symmetry, `choice` one of the candidate `places` (alternating tops
    and lefts), `marked` whether markers are drawn and `marker` which, `jittered` whether it is
    jittered and `jitter` how; `acquired` whether LR is acquired otherwise than ideally and
    `acquisition` how.
    """

    turn: float
    flip: float
    choice: float
    marked: float
    marker: float
    places: tuple[float, ...]
    jitter: float = 0.0
    jittered: float = 1.0
    acquisition: float = 0.0
    acquired: float = 1.0

    @staticmethod
    def count(crops: Crops) -> int:
        """Return how many numbers a crop takes: none for what is off, so that old runs repeat."""
        options = (crops.jitter, crops.acquired.share)
        return 5 + 2 * crops.candidates + 2 * sum(bool(each) for each in options)

    @classmethod
    def of(cls, numbers: Sequence[float], crops: Crops) -> "Draw":
        """Name the numbers, drawn from a NumPy generator in this order."""
        turn, flip, choice, marked, marker, *rest = numbers
        places, how = rest[: 2 * crops.candidates], rest[2 * crops.candidates :]
        jitter, jittered = how[:2] if crops.jitter else (0.0, 1.0)
        acquisition, acquired = how[-2:] if crops.acquired.share else (0.0, 1.0)
        return cls(
            turn,
            flip,
            choice,
            marked,
            marker,
            tuple(places),
            jitter,
            jittered,
            acquisition,
            acquired,
        )


def read_crops(
    source: CropSource, rows: Sequence[int], draws: Sequence[Draw], *, pinned: bool = False
) -> Batch:
    """Cut one crop per row, at the position and in the symmetry of its draw.

    Args:
        source: where and how crops are drawn; its batch size is ignored.
        rows: N manifest rows.
        draws: N draws.
        pinned: put the result in page-locked memory.
    """
    size, scale = source.crops.size, source.packed.scale
    side, count = size // scale, len(rows)
    deep = source.crops.acquired.share > 0
    kind = torch.uint16 if deep else torch.uint8
    lr = torch.empty((count, 1, side, side), dtype=kind, pin_memory=pinned)
    hr = torch.empty((count, 1, size, size), dtype=torch.uint8, pin_memory=pinned)
    hidden = torch.empty((count, 4), dtype=torch.uint8, pin_memory=pinned)
    lr_out, hr_out, hidden_out = lr.numpy(), hr.numpy(), hidden.numpy()
    for index, (row, draw) in enumerate(zip(rows, draws, strict=True)):
        y, x = _corner(source, row, draw)
        small, large = _cut(source, row, (y, x), draw)
        symmetry = _symmetry(source.crops, draw)
        _place(lr_out[index, 0], _sixteen_bits(small) if deep else small, *symmetry)
        _place(hr_out[index, 0], large, *symmetry)
        hidden_out[index] = _turned(_margins(source, row, (y, x)), *symmetry)
    return Batch(lr, hr, hidden)


def _corner(source: CropSource, row: int, draw: Draw) -> tuple[int, int]:
    """Return top and left of the crop, in HR pixels."""
    size = source.crops.size
    height, width = source.packed.hr(row).shape
    step = 1 if source.crops.shifts else source.packed.scale
    corners = [
        (_position(top, height, size, step), _position(left, width, size, step))
        for top, left in zip(draw.places[::2], draw.places[1::2], strict=True)
    ]
    if len(corners) == 1:
        return corners[0]
    return corners[source.difficulty.choose(row, corners, size, draw.choice)]


def _cut(
    source: CropSource, row: int, corner: tuple[int, int], draw: Draw
) -> tuple[RecordedImage, GreyImage]:
    """Return LR and HR of the crop, as stored or drawn on, shifted, jittered and acquired."""
    packed, crops, (y, x) = source.packed, source.crops, corner
    size, scale, hr = crops.size, packed.scale, packed.hr(row)
    seed = int(draw.marker * 2**53) if draw.marked < crops.markers else None
    acquired = draw.acquired < crops.acquired.share
    # In HR pixels: of the bicubic kernel, which widens by the scale, or of an acquisition.
    reach = 2 * scale if not acquired and source.acquisition == IDEAL else REACH * scale
    if draw.jittered < crops.jitter:
        around, y, x = jitter(hr, y, x, size, reach, int(draw.jitter * 2**53))
    elif acquired or seed is not None or crops.shifts:
        top, left = max(y - reach, 0), max(x - reach, 0)
        around = np.ascontiguousarray(hr[top : y + size + reach, left : x + size + reach])
        y, x = y - top, x - left
    else:
        side = size // scale
        small = packed.lr(row)[y // scale :, x // scale :][:side, :side]
        return small, hr[y : y + size, x : x + size]
    if seed is not None:
        around = with_marker(around, np.random.default_rng(seed))
    # A number that chose the place is as good a seed as any for the noise of the data set's own LR.
    rng = np.random.default_rng(int((draw.acquisition if acquired else draw.choice) * 2**53))
    how = drawn(crops.acquired, rng) if acquired else source.acquisition
    return _recorded(around, (y, x), source, how, rng), around[y : y + size, x : x + size]


def _recorded(
    around: GreyImage,
    corner: tuple[int, int],
    source: CropSource,
    how: Acquisition,
    rng: np.random.Generator,
) -> RecordedImage:
    """Return LR of a crop at `corner` of its surroundings.

    LR is that of the whole image with a grid that starts at the crop's corner.
    """
    (y, x), size, scale = corner, source.crops.size, source.packed.scale
    side = size // scale
    if how == IDEAL:
        box = (x, y, x + size, y + size)
        return np.asarray(Image.fromarray(around).resize((side, side), BICUBIC, box))
    # LR pixels around the crop, which share its noise and the blocks of JPEG.
    above, before = y // scale, x // scale
    below = (around.shape[0] - y - size) // scale
    after = (around.shape[1] - x - size) // scale
    region = Region(
        x - before * scale, y - above * scale, x + size + after * scale, y + size + below * scale
    )
    recorded = acquire(around, scale, how, rng, region)
    return recorded[above : above + side, before : before + side]


def _sixteen_bits(image: RecordedImage) -> npt.NDArray[np.uint16]:
    """Return 8 bits as 16, whose full scale is 65535: the same grey level."""
    return np.asarray(image, np.uint16) * np.uint16(257 if image.dtype == np.uint8 else 1)


def _symmetry(crops: Crops, draw: Draw) -> tuple[int, bool]:
    """Return quarter turns and whether to mirror; all but a fraction `turns` stay upright."""
    if draw.turn >= crops.turns:
        return 0, False
    return int(draw.turn / crops.turns * 4), draw.flip < 0.5


def _margins(source: CropSource, row: int, corner: tuple[int, int]) -> list[int]:
    """Return the LR pixels to ignore at top, bottom, left and right; 0 at image edges.

    For the position before jitter, which keeps crops at image edges there.
    """
    (y, x), size = corner, source.crops.size
    height, width = source.packed.hr(row).shape
    edges = (y == 0, y + size == height, x == 0, x + size == width)
    return [0 if edge else source.crops.margin for edge in edges]


def _position(draw: float, length: int, crop: int, step: int) -> int:
    """Return a crop's start, a multiple of `step` in [0, length - crop].

    Drawn from a range that is half a crop wider on either side, then clamped into the image: pixels
    at its edges would otherwise hardly ever be seen.
    """
    room, beyond = (length - crop) // step, crop // 2 // step
    return min(max(int(draw * (room + 1 + 2 * beyond)) - beyond, 0), room) * step


def _turned(edges: list[int], symmetry: int, flip: bool) -> list[int]:
    """Return top, bottom, left and right after a symmetry, as `_place` applies it."""
    top, bottom, left, right = edges
    if symmetry & 2:
        top, bottom = bottom, top
    if flip:
        left, right = right, left
    return [left, right, top, bottom] if symmetry & 1 else [top, bottom, left, right]


def _place(out: npt.NDArray[Any], image: npt.NDArray[Any], symmetry: int, flip: bool) -> None:
    """Copy a square into the batch in one of its eight symmetries, with a single copy."""
    if symmetry & 2:
        image = image[::-1]
    if flip:
        image = image[:, ::-1]
    if not symmetry & 1:
        out[...] = image
        return
    turned = image.T
    # In strips, so that strided reads stay in the processor's cache.
    for left in range(0, turned.shape[1], STRIP):
        out[:, left : left + STRIP] = turned[:, left : left + STRIP]
