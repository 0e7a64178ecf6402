"""Fit the range that the default network was trained for, on half of the training patients.

    python -m srpipe.evaluation.out_of_range.fit FOLDER [--out FILE]

The folder holds the network's training radiographs, HR, and is read as
`python -m srpipe.evaluation.comparison` reads it. Writes srpipe/trust/range.json. Each limit is
what 99% of the images keep to that were not among those whose components they are compared with
(five parts, by patient). Which half a patient is in, its ID alone decides, so that
`python -m srpipe.evaluation.out_of_range` finds the other half again.
"""

import argparse
import functools
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from srpipe.acquisition.detector import recorded
from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import replacing, rounded
from srpipe.core.parallel import parallel
from srpipe.data.packed import Pair
from srpipe.data.pairs import make_pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.evaluation.comparison.examine import MADE, chosen
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.shown import NOISE_SEED
from srpipe.imaging.arrays import FloatImage, RecordedImage
from srpipe.imaging.resample import grey_levels
from srpipe.models.released import DEFAULT
from srpipe.settings.acquisition import Acquisition
from srpipe.trust.range import FILE, Array, Range, Space, edges, layout, noise, thumbnail

T = TypeVar("T")

SHARE = 0.99
PARTS = 5
COMPONENTS = {"layout": 20, "edges": 30}
# What recipes/plain_sr.txt trained on at the worst, and LR's side.
WORST = Acquisition(noise=8.0, dose=0.05)
SIDE = 256
# Half of that, and half of the lowest contrast, is still called trained for.
SMALLEST = SIDE // 2
FEWEST = 100


@dataclass(frozen=True)
class Seen:
    """What of a training image is fitted.

    Attributes:
        patient: whose it is.
        small: thumbnail of ideal LR, float32 `(48, 48)` in [0, 1].
        noise: estimated of the worst LR trained on, in grey levels of 255.
    """

    patient: str
    small: FloatImage
    noise: float


def as_given(lr: RecordedImage) -> FloatImage:
    """Return LR as the network is given it, float32 in [0, 1]."""
    image: FloatImage = grey_levels(lr) / np.float32(255)
    return image


def fits(patient: str) -> bool:
    """Say whether a patient is of the half that is fitted; the other half checks."""
    return zlib.crc32(patient.encode()) % 2 == 0


def examined(pair: Pair) -> Seen:
    """Look at a training image."""
    worst = recorded(pair.hr, pair.image, SCALE, WORST, NOISE_SEED)
    return Seen(pair.patient, thumbnail(as_given(pair.lr)), noise(as_given(worst)))


def fitted(seen: Sequence[Seen]) -> Range:
    """Return the range of images.

    Raises:
        DataError: they are fewer than `FEWEST`.
    """
    if len(seen) < FEWEST:
        raise DataError(
            f"{len(seen)} images are of the half of the patients that is fitted: give a folder "
            f"with at least {2 * FEWEST} radiographs"
        )
    part = np.array([zlib.crc32(each.patient.encode()) // 2 % PARTS for each in seen])
    away = {
        name: _held_out([each.small for each in seen], part, features, COMPONENTS[name])
        for name, features in (("layout", layout), ("edges", edges))
    }
    # Of each distance by itself, and then of the largest relative to that.
    limits = {name: np.quantile(found, SHARE, axis=0) for name, found in away.items()}
    largest = np.max([(found / limits[name]).max(axis=1) for name, found in away.items()], axis=0)
    joint = float(np.quantile(largest, SHARE))
    spaces = {
        name: replace(
            _space(np.stack([features(each) for each in _both(seen)]), COMPONENTS[name]),
            limits=(rounded(limits[name][0] * joint), rounded(limits[name][1] * joint)),
        )
        for name, features in (("layout", layout), ("edges", edges))
    }
    contrast = min(float(each.small.std()) * 255 for each in seen)
    return Range(
        model=DEFAULT,
        side=SIDE,
        smallest=SMALLEST,
        noise=WORST.noise,
        most_noise=rounded(np.quantile([each.noise for each in seen], SHARE)),
        contrast=rounded(contrast),
        least_contrast=rounded(contrast / 2),
        layout=spaces["layout"],
        edges=spaces["edges"],
        fitted={
            "patients": len({each.patient for each in seen}),
            "images": len(seen),
            "share": SHARE,
        },
    )


def _both(seen: Sequence[Seen]) -> Iterator[FloatImage]:
    """Yield thumbnails, and as if the heart were on the other side."""
    for each in seen:
        yield each.small
        yield each.small[:, ::-1]


def _held_out(
    thumbnails: Sequence[FloatImage],
    part: npt.NDArray[np.intp],
    features: Callable[[FloatImage], Array],
    components: int,
) -> Array:
    """Return each image's distances from the images of the other parts, `(n, 2)`."""
    own = np.stack([features(each) for each in thumbnails])
    mirrored = np.stack([features(each[:, ::-1]) for each in thumbnails])
    found = np.empty((len(own), 2))
    for number in set(part.tolist()):
        rest = part != number
        space = _space(np.concatenate([own[rest], mirrored[rest]]), components)
        found[~rest] = space.distances(own[~rest])
    return found


def _space(features: Array, components: int) -> Space:
    """Return the first principal components of features `(n, d)`, as a file keeps them."""
    mean = features.mean(axis=0).round(3)
    away = features - mean
    directions = np.linalg.svd(away, full_matrices=False)[2][:components].round(3)
    variances = ((away @ directions.T) ** 2).mean(axis=0)
    rest = (away**2).sum(axis=1).mean() - variances.sum()
    return Space(mean, directions, variances, rounded(rest))


def looked(work: Callable[[Pair], T], folder: Path) -> Iterator[T]:
    """Yield what a module's function makes of each radiograph in a folder, with progress."""
    with tempfile.TemporaryDirectory() as listed:
        source, entries = chosen(folder, Path(listed))
        yield from parallel(functools.partial(_looked, work, source), entries, what="look")


def _looked(work: Callable[[Pair], T], source: Source, entry: Entry) -> T:
    return work(make_pair(source, MADE, entry))


@console.entry_point
def main() -> None:
    """Fit, and write the file."""
    options = _options()
    found = fitted([seen for seen in looked(examined, options.folder) if fits(seen.patient)])
    with replacing(options.out) as temporary:
        temporary.write_text(json.dumps(found.record(), indent=1) + "\n", encoding="utf-8")
    console.say(
        f"wrote {options.out}: the limits of {SHARE:.0%} of {found.fitted['images']} images of "
        f"{found.fitted['patients']} patients"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m srpipe.evaluation.out_of_range.fit",
        description=str(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="HR radiographs that the network was trained on")
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE", help="JSON to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
