"""The scorer of SR images against HR.

The stages baseline and evaluate, `srpipe evaluate` and the results pages all use it, so that their
figures are comparable.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from srpipe.data.packed import Pair, packed_pair
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.baselines import baseline_images
from srpipe.metrics.scores import reference, score

# SR images of an LR image, by the prefix of their scores' names.
Methods = Callable[[GreyImage], Mapping[str, GreyImage]]
Row = dict[str, str | float]


def scores(hr: GreyImage, lr: GreyImage, images: Mapping[str, GreyImage]) -> dict[str, float]:
    """Return every score of SR images of one radiograph, under `<prefix><score>`.

    Args:
        hr: `uint8 (H, W)`.
        lr: `uint8 (H/scale, W/scale)`, what the SR images were made from.
        images: `uint8 (H, W)` by prefix, "" for the one that is evaluated.
    """
    against = reference(hr, lr)
    return {
        f"{prefix}{name}": value
        for prefix, sr in images.items()
        for name, value in asdict(score(sr, against)).items()
    }


def scored_pair(methods: Methods, pair: Pair) -> Row:
    """Return image, patient and `scores` of the methods' SR images of a pair."""
    found = scores(pair.hr, pair.lr, methods(pair.lr))
    return {"image": pair.image, "patient": pair.patient, **found}


def scored_packed_pair(methods: Methods, folder: Path, row: int) -> Row:
    """Return `scored_pair` of a row of a packed folder: a task for a worker process."""
    return scored_pair(methods, packed_pair(folder, row))


def baselines(scale: int, back_projections: int, lr: GreyImage) -> dict[str, GreyImage]:
    """Return the baselines' images by the prefixes of their scores: `bicubic_`, `bicubic_bp_`."""
    made = baseline_images(lr, scale, back_projections)
    return {f"{name}_": image for name, image in made.items()}
