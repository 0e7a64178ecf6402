"""What the benchmarks work on: synthetic radiographs, as PNG files and packed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from srpipe.core.parallel import parallel
from srpipe.data.packed import HR, LR, Packed, Pair, open_packed, write_packed
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import downsample
from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.render import render

SEED = 0


@dataclass(frozen=True)
class Radiographs:
    """The same square images as PNG files and in a packed folder, each several times there."""

    pngs: list[Path]
    packed: Packed

    @property
    def side(self) -> int:
        """Return the side of the images in HR pixels."""
        return int(self.packed.manifest["height"].iloc[0])

    @property
    def rows(self) -> list[int]:
        """Return all rows of the packed folder."""
        return list(range(len(self.packed.manifest)))


def phantoms(count: int) -> list[GreyImage]:
    """Return synthetic radiographs, `uint8 (1024, 1024)`: what a PNG costs depends on them."""
    return list(parallel(render, plan_cohort(count, 1, SEED), what="phantoms"))


@contextmanager
def written(images: Sequence[GreyImage], copies: int, scale: int) -> Iterator[Radiographs]:
    """Write images to a temporary folder and read them once, so that they lie in the page cache.

    Each is packed `copies` times, moved sideways: few images would be read from the processor's own
    caches, which no real data set fits in.
    """
    with tempfile.TemporaryDirectory(prefix="srpipe-benchmark-") as name:
        folder = Path(name)
        pngs = []
        for index, image in enumerate(images):
            pngs.append(folder / f"{index}.png")
            Image.fromarray(image).save(pngs[-1])
        write_packed(folder / "packed", _pairs(images, copies, scale), scale)
        for file in (HR, LR):
            with (folder / "packed" / file).open("rb") as stream:
                while stream.read(1 << 24):
                    pass
        yield Radiographs(pngs, open_packed(folder / "packed"))


def _pairs(images: Sequence[GreyImage], copies: int, scale: int) -> Iterator[Pair]:
    for copy in range(copies):
        for index, image in enumerate(images):
            hr = np.roll(image, copy * image.shape[1] // copies, axis=1)
            yield Pair(f"{index}_{copy}.png", str(index), "", hr, downsample(hr, scale))
