"""The released generators on radiographs that they were not trained on, beside everything else.

    make results FOLDER=hr [PUBLISHED=netG_4x_epoch5.pth.tar]
    python -m srpipe.evaluation.comparison hr [--published FILE]
    python -m srpipe.evaluation.comparison --from-csv docs/results.csv

The folder holds HR radiographs and is read as the pipeline reads `datasets.folder`, patient IDs as
params.yaml says. If NIH's lists are in it, the images of test_list.txt are taken, else all. Writes
the tables in README.md and docs/results.md, every score to docs/results.csv, means and intervals to
docs/results.json, and pictures to docs/figures/results/. The published checkpoint is compared if
its file is given. With --from-csv the tables are written again from the scores: no image is read.
"""

import argparse
import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from srpipe.core import console
from srpipe.core.files import rounded, write_csv
from srpipe.core.parallel import parallel
from srpipe.data.packed import Pair
from srpipe.data.pairs import make_pair
from srpipe.data.sources import folder
from srpipe.data.sources.manifest import Entry, Source, open_source
from srpipe.evaluation.comparison import pages, pictures
from srpipe.evaluation.comparison.methods import PUBLISHED, SCALE, Weights, all_images, released
from srpipe.evaluation.comparison.pictures import Detail
from srpipe.evaluation.scorer import Row, scores
from srpipe.imaging.arrays import GreyImage
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.settings.downsample import Downsample
from srpipe.settings.params import load_params

MADE = Downsample(scale=4, sixteen_bit="minmax")


@console.entry_point
def main() -> None:
    """Score every method on every image and write the pages; or write them from the scores."""
    given = _options()
    pages.check()  # before the work
    if given.from_csv is not None:
        pages.write(pages.read_scores(given.from_csv))
        console.say(f"wrote {pages.PAGE}, {pages.SUMMARY} and the table in {pages.README}")
        return
    weights = released(given.published)
    if given.published is None:
        console.say(f"without {PUBLISHED!r}: no --published was given")
    for path in weights.files.values():
        require_scale(load_generator(path), SCALE, path)
    with tempfile.TemporaryDirectory() as listed:
        source, entries = chosen(given.folder, Path(listed))
        work = functools.partial(examined, weights, source)
        parts = list(parallel(work, entries, what="compare"))
        pairs = [make_pair(source, MADE, entry) for entry in entries]
        pictures.draw(pages.PICTURES, [found for _, found in parts], pairs, weights)
    table = pd.DataFrame([row for rows, _ in parts for row in rows])
    write_csv(pages.SCORES, table)
    pages.write(table)
    console.say(
        f"wrote {pages.PAGE}, {pages.SCORES}, {pages.SUMMARY}, {pages.PICTURES}/ and the table in "
        f"{pages.README}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m srpipe.evaluation.comparison", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("folder", type=Path, nargs="?", help="folder of HR radiographs")
    parser.add_argument("--published", type=Path, metavar="FILE", help="published checkpoint")
    parser.add_argument("--from-csv", type=Path, metavar="CSV", help="scores of an earlier run")
    given = parser.parse_args()
    if (given.folder is None) == (given.from_csv is None):
        parser.error("give a folder of HR radiographs, or --from-csv")
    return given


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


if __name__ == "__main__":
    main()
