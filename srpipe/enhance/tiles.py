"""Super-resolution by overlapping tiles: working memory is bounded by the tile, not the image.

A tile is given to the network with as much of the image around it as an SR pixel depends on (its
reach), and only the middle of the result is used. At the image's edges nothing is added, so that
the network pads there as it does for the whole image. Results equal those of the whole image, to
the bit where convolutions add in the same order whatever the size, else up to float32's rounding.

The network is a plain function of arrays, so that any engine can stand behind it.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from srpipe.core import memory
from srpipe.imaging.arrays import FloatImage
from srpipe.imaging.consistency import MARGIN, make_consistent
from srpipe.imaging.resample import to_grey

# LR pixels. An LR image of 256x256 is one tile, and plain_sr takes 0.3 GB for a larger one; on CPUs
# larger tiles are no faster.
DEFAULT_TILE = 384

Place = tuple[slice, slice]


@dataclass(frozen=True)
class Network:
    """What super-resolves a piece of an image.

    Attributes:
        run: float32 `(h, w)` in [0, 1] to float32 `(h*scale, w*scale)` in [0, 1]; several threads
            may call it at once.
        scale: how many times as large each way.
        reach: LR pixels beside its own, each way, that an SR pixel depends on.
    """

    run: Callable[[FloatImage], FloatImage]
    scale: int
    reach: int


@dataclass(frozen=True)
class Piece:
    """A tile of an LR image: rows and columns that it is to give, and those that it is made from.

    Attributes:
        inside: its place in the image; the pieces' places cover the image, each pixel once.
        seen: that with the overlap, as far as the image goes.
    """

    inside: Place
    seen: Place

    def place(self, scale: int) -> Place:
        """Return its place in the SR image."""
        down, across = (slice(axis.start * scale, axis.stop * scale) for axis in self.inside)
        return down, across

    def cut(self, sr: FloatImage, scale: int) -> FloatImage:
        """Return its own part of what was made from all that is seen."""
        down, across = (
            slice((axis.start - seen.start) * scale, (axis.stop - seen.start) * scale)
            for axis, seen in zip(self.inside, self.seen, strict=True)
        )
        return sr[down, across]


def pieces(shape: tuple[int, int], tile: int, overlap: int) -> Iterator[Piece]:
    """Yield the pieces of an image, row by row, as equal in size as they can be.

    Args:
        shape: of the LR image, `(h, w)`.
        tile: the longest side of a piece, without its overlap, in LR pixels.
        overlap: LR pixels that are seen beyond a piece, each way.
    """
    down, across = (_parts(length, tile, overlap) for length in shape)
    for rows, seen_rows in down:
        for columns, seen_columns in across:
            yield Piece((rows, columns), (seen_rows, seen_columns))


def _parts(length: int, tile: int, overlap: int) -> list[tuple[slice, slice]]:
    count = -(-length // tile)
    ends = [length * part // count for part in range(count + 1)]
    return [
        (slice(start, stop), slice(max(0, start - overlap), min(length, stop + overlap)))
        for start, stop in itertools.pairwise(ends)
    ]


def in_tiles(
    run: Callable[[FloatImage], FloatImage], lr: FloatImage, scale: int, tile: int, overlap: int
) -> Iterator[tuple[Piece, FloatImage]]:
    """Super-resolve an image piece by piece.

    Args:
        run: as `Network.run`.
        lr: float32 `(h, w)` in [0, 1].
        scale: of `run`.
        tile: see `pieces`.
        overlap: at least the reach of `run`.

    Yields:
        Each piece, and its SR pixels, float32 in [0, 1].
    """
    for piece in pieces((lr.shape[0], lr.shape[1]), tile, overlap):
        yield piece, piece.cut(run(lr[piece.seen]), scale)


def consistent_network(network: Network) -> Network:
    """Return a network whose results downsample to their inputs within the rounding of 8 bits."""

    def run(lr: FloatImage) -> FloatImage:
        sr = network.run(lr)
        what = f"making {lr.shape[1]}x{lr.shape[0]} pixels consistent"
        with memory.guarded(what, "Take smaller tiles (srpipe upscale --tile)."):
            return make_consistent(sr, to_grey(lr))

    return Network(run, network.scale, network.reach + MARGIN)
