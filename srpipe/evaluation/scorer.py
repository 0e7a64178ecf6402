"""The scorer of SR images against HR.

The stages baseline and evaluate, `srpipe evaluate` and the results pages all use it, so that their
figures are comparable.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

from srpipe.core.parallel import parallel, parallel_as_made
from srpipe.data.packed import Pair
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.tensors import one_thread
from srpipe.metrics.baselines import baseline_images
from srpipe.metrics.scores import reference, score

# SR images of an LR image, by the prefix of their scores' names.
Methods = Callable[[GreyImage], Mapping[str, GreyImage]]
Row = dict[str, str | float]
T = TypeVar("T")


def scores(
    hr: GreyImage, lr: GreyImage, images: Mapping[str, GreyImage], *, content: bool = True
) -> dict[str, float]:
    """Return every score of SR images of one radiograph, under `<prefix><score>`.

    Args:
        hr: `uint8 (H, W)`.
        lr: `uint8 (H/scale, W/scale)`, what the SR images were made from.
        images: `uint8 (H, W)` by prefix, "" for the one that is evaluated.
        content: compute content distances; else they are NaN.
    """
    against = reference(hr, lr)
    return {
        f"{prefix}{name}": value
        for prefix, sr in images.items()
        for name, value in asdict(score(sr, against, content=content)).items()
    }


def scored_pair(methods: Methods, pair: Pair, sample: frozenset[str] | None = None) -> Row:
    """Return image, patient and `scores` of the methods' SR images of a pair.

    Content distances are computed if the image is named in the sample, or there is none.
    """
    return _row(pair, methods(pair.lr), sample)


def _row(pair: Pair, images: Mapping[str, GreyImage], sample: frozenset[str] | None) -> Row:
    content = sample is None or pair.image in sample
    found = scores(pair.hr, pair.lr, images, content=content)
    return {"image": pair.image, "patient": pair.patient, **found}


def scored_pairs(
    methods: Methods,
    load: Callable[[T], Pair],
    items: Sequence[T],
    device: str,
    *,
    what: str,
    sample: frozenset[str] | None = None,
) -> Iterator[Row]:
    """Yield `scored_pair` of each item in order, computed by worker processes, with progress.

    Args:
        methods: makes the SR images; it can be pickled.
        load: makes the pair of an item; a module-level function or a `functools.partial` of one.
        items: what is scored.
        device: torch device name. On a CPU, each worker makes its own SR images, on one thread;
            another device makes them in this process, while the workers score those before.
        what: named in the progress bar.
        sample: names of the images whose content distances are computed; None: of all.
    """
    if device == "cpu":
        return parallel(
            functools.partial(_made_and_scored, methods, load, sample), items, what=what
        )
    made = ((pair, methods(pair.lr)) for pair in map(load, items))
    work = functools.partial(_scored, sample)
    return parallel_as_made(work, made, total=len(items), what=what)


def _made_and_scored(
    methods: Methods, load: Callable[[T], Pair], sample: frozenset[str] | None, item: T
) -> Row:
    with one_thread():
        return scored_pair(methods, load(item), sample)


def _scored(sample: frozenset[str] | None, made: tuple[Pair, Mapping[str, GreyImage]]) -> Row:
    return _row(*made, sample)


def baselines(scale: int, back_projections: int, lr: GreyImage) -> dict[str, GreyImage]:
    """Return the baselines' images by the prefixes of their scores: `bicubic_`, `bicubic_bp_`."""
    made = baseline_images(lr, scale, back_projections)
    return {f"{name}_": image for name, image in made.items()}
