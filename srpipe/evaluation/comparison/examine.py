"""One image of the comparison: every method's scores, and details to be drawn.

Apart from the command, because worker processes do not import a package's `__main__`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from srpipe.core.files import rounded
from srpipe.data.packed import Pair
from srpipe.data.pairs import make_pair
from srpipe.data.sources import folder
from srpipe.data.sources.manifest import Entry, Source, open_source
from srpipe.evaluation.comparison import pictures
from srpipe.evaluation.comparison.methods import SCALE, Weights, all_images
from srpipe.evaluation.comparison.pictures import Detail
from srpipe.evaluation.scorer import Row, scores
from srpipe.imaging.arrays import GreyImage
from srpipe.settings.acquisition import IDEAL
from srpipe.settings.downsample import Downsample
from srpipe.settings.params import load_params

MADE = Downsample(scale=4, sixteen_bit="minmax", acquisition=IDEAL, seed=0, damaged="refuse")


def chosen(images: Path, listed: Path) -> tuple[Source, Sequence[Entry]]:
    """Return the source and its images that are to be compared.

    Args:
        images: the folder of HR radiographs.
        listed: a folder in which their list is made.

    Raises:
        DataError: as `data.sources.folder.fetch` says.
    """
    settings = load_params().datasets.folder
    settings = settings.model_copy(update={"path": str(images.absolute())})
    folder.fetch(
        settings, listed / "raw", scale=SCALE, sixteen_bit=MADE.sixteen_bit, use_lists=True
    )
    source = open_source(listed / "raw")
    return source, [entry for entry in source.entries if entry.list == "test"] or source.entries


def examined(weights: Weights, source: Source, entry: Entry) -> tuple[list[Row], dict[str, Detail]]:
    """Return of one image a row a method (image, patient, method, scores), and its details."""
    torch.set_num_threads(1)
    pair = make_pair(source, MADE, entry)
    images = all_images(pair.lr, weights)
    return scored(pair, images), pictures.details(pair.hr, images)


def scored(pair: Pair, images: Mapping[str, GreyImage]) -> list[Row]:
    """Return the scores of methods on one image, a row a method."""
    found = scores(pair.hr, pair.lr, {f"{name}/": image for name, image in images.items()})
    return [
        {
            "image": pair.image,
            "patient": pair.patient,
            "method": name,
            **{
                key.removeprefix(f"{name}/"): rounded(value, 5)
                for key, value in found.items()
                if key.startswith(f"{name}/")
            },
        }
        for name in images
    ]
