"""One image, with nodules and without: what the observer's channels see, and detail."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from srpipe.acquisition.detector import acquire
from srpipe.data.packed import Pair
from srpipe.data.pairs import make_pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.evaluation.comparison.examine import MADE
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.observer.detail import lost_and_invented
from srpipe.evaluation.observer.hotelling import outputs
from srpipe.evaluation.observer.methods import ACQUISITIONS, all_images
from srpipe.evaluation.observer.nodules import CONTRASTS, Nodule, with_nodules
from srpipe.evaluation.observer.places import field, places
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.mask import anatomy_mask

PER_SIZE = 6
# The HR image is not acquired.
HR, NOT_ACQUIRED = "HR", "none"


@dataclass(frozen=True)
class Examined:
    """What was found in one image.

    Attributes:
        seen: a row an acquisition, method and place: image, patient, acquisition, method, diameter,
            y, x, and the channels' outputs `absent` and `present`.
        detail: a row an acquisition and method: image, patient, acquisition, method, lost,
            invented.
    """

    seen: list[dict[str, Any]]
    detail: list[dict[str, Any]]


def examined_entry(files: Mapping[str, Path], seed: int, source: Source, entry: Entry) -> Examined:
    """Examine an image of a source; here, because workers do not find what `__main__` defines."""
    return examined(files, seed, make_pair(source, MADE, entry))


def examined(files: Mapping[str, Path], seed: int, pair: Pair) -> Examined:
    """Examine one image; in one without places for each size once, nothing is found.

    Args:
        files: the generators by name.
        seed: of places and noise, which also depend on the image's name and on nothing else.
        pair: the image; its LR is not used.
    """
    torch.set_num_threads(1)
    own = seed, zlib.crc32(pair.image.encode())
    nodules = drawn(pair.hr, np.random.default_rng(own))
    if not nodules:
        return Examined([], [])
    there = field(pair.hr.shape)
    here = np.s_[there.top : there.bottom, there.left : there.right]
    full, counted = with_nodules(pair.hr, nodules), anatomy_mask(pair.hr)[here]

    def made() -> Iterator[tuple[str, str, GreyImage, GreyImage]]:
        """Yield acquisition, method, and its image without and with nodules."""
        yield NOT_ACQUIRED, HR, pair.hr[here], full[here]
        for index, (acquisition, how) in enumerate(ACQUISITIONS.items()):
            both = []
            for present, hr in enumerate((pair.hr, full)):
                # Two exposures: each has noise of its own, the same for every method.
                rng = np.random.default_rng((*own, index, present))
                lr = cast(GreyImage, acquire(hr, SCALE, how, rng, there))  # all have 8 bits
                both.append(all_images(lr, how, files))
            for method, absent in both[0].items():
                yield acquisition, method, absent, both[1][method]

    found = Examined([], [])
    for acquisition, method, absent, present in made():
        row = {
            "image": pair.image,
            "patient": pair.patient,
            "acquisition": acquisition,
            "method": method,
        }
        for nodule in nodules:
            y, x = nodule.y - there.top, nodule.x - there.left
            seen = {
                "absent": outputs(absent, y, x, nodule.diameter),
                "present": outputs(present, y, x, nodule.diameter),
            }
            at = {"diameter": nodule.diameter, "y": nodule.y, "x": nodule.x}
            found.seen.append({**row, **at, **seen})
        if method != HR:
            shares = lost_and_invented(absent, pair.hr[here], counted)
            found.detail.append({**row, "lost": shares.lost, "invented": shares.invented})
    return found


def drawn(hr: GreyImage, rng: np.random.Generator) -> list[Nodule]:
    """Return at most `PER_SIZE` nodules of each size for an image, equally many of each."""
    sizes = list(CONTRASTS)
    found = places(hr, PER_SIZE * len(sizes), rng)
    found = found[: len(found) // len(sizes) * len(sizes)]
    return [Nodule(y, x, sizes[index % len(sizes)]) for index, (y, x) in enumerate(found)]
