"""The released generators on radiographs that they have never seen, beside everything else.

    make results PATH [PUBLISHED=netG_4x_epoch5.pth.tar]
    python -m benchmarks.comparison PATH [--published FILE] [--quick]

PATH is a folder of HR radiographs, read as the pipeline reads `datasets.folder` (patients are told
as params.yaml says). Where it holds NIH's lists, the images of test_list.txt are taken, else all.
Writes the tables in README.md and docs/results.md, the scores of every image in docs/results.csv,
means and intervals in docs/results.json and pictures in docs/figures/results/. The published
checkpoint is compared where its file is given.
"""

import argparse
import functools
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import inference, predecessor, result_pictures, results_pages
from benchmarks.methods import PUBLISHED, SCALE, Weights, all_images, released
from benchmarks.options import note
from benchmarks.result_pictures import Detail
from srpipe.core import console
from srpipe.core.files import rounded, write_csv
from srpipe.data.pairs import make_pair
from srpipe.data.sources import folder
from srpipe.data.sources.manifest import Entry, Source, open_source
from srpipe.metrics.scores import reference, score
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.settings.data import Downsample
from srpipe.settings.params import load_params

MADE = Downsample(scale=4, sixteen_bit="minmax")
Row = dict[str, str | float]


@console.entry_point
def main() -> None:
    """Score every method on every image, measure what they cost, write the pages."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="PATH", help="folder of HR radiographs")
    parser.add_argument("--published", type=Path, metavar="FILE", help="published checkpoint")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of the time benchmark")
    given = parser.parse_args()
    weights = released(given.published)
    if given.published is None:
        note(f"without {PUBLISHED!r}: no --published was given")
    # Faults are told before the work.
    results_pages.check()
    for path in weights.files.values():
        require_scale(load_generator(path), SCALE, path)
    with tempfile.TemporaryDirectory() as listed:
        source, entries, what = chosen(given.folder, Path(listed))
        work = functools.partial(examined, weights, source)
        parts = list(console.parallel(work, entries, what="compare"))
        table = pd.DataFrame([row for rows, _ in parts for row in rows])
        note("what they cost ...")
        torch.set_num_threads(1)
        figures = inference.measure(
            {name: path for name, path in weights.files.items() if name != PUBLISHED},
            quick=given.quick,
        )
        costs = {name: cost(name, path) for name, path in weights.files.items()}
        pairs = [make_pair(source, MADE, entry) for entry in entries]
        pictures = result_pictures.draw(
            results_pages.PICTURES, [found for _, found in parts], pairs, weights
        )
    write_csv(results_pages.SCORES, table)
    results_pages.write(table, what, weights, costs, figures, pictures)
    console.say(
        f"wrote {results_pages.PAGE}, {results_pages.SCORES}, {results_pages.SUMMARY}, "
        f"{results_pages.PICTURES}/ and the table in {results_pages.README}"
    )


def chosen(images: Path, listed: Path) -> tuple[Source, Sequence[Entry], str]:
    """Return the source, its images that are to be compared, and which these are in words.

    Args:
        images: the folder of HR radiographs.
        listed: a folder in which their list is made.

    Raises:
        DataError: as `sources.folder.fetch` says.
    """
    settings = load_params().datasets.folder
    settings = settings.model_copy(update={"path": str(images.absolute())})
    folder.fetch(settings, listed / "raw", scale=SCALE, sixteen_bit=MADE.sixteen_bit)
    source = open_source(listed / "raw")
    tests = [entry for entry in source.entries if entry.list == "test"]
    if tests:
        return source, tests, f"the images of {folder.TEST_LIST}"
    return source, source.entries, "all images of a folder without lists"


def examined(weights: Weights, source: Source, entry: Entry) -> tuple[list[Row], dict[str, Detail]]:
    """Return of one image a row a method (image, patient, method, scores), and its details."""
    torch.set_num_threads(1)
    pair = make_pair(source, MADE, entry)
    against = reference(pair.hr, pair.lr)
    images = all_images(pair.lr, weights)
    rows: list[Row] = [
        {
            "image": pair.image,
            "patient": pair.patient,
            "method": name,
            **{key: rounded(value, 5) for key, value in asdict(score(sr, against)).items()},
        }
        for name, sr in images.items()
    ]
    return rows, result_pictures.details(pair.hr, images)


def cost(name: str, path: Path) -> tuple[int, float]:
    """Return a generator's parameters, and its multiply-accumulates for a 256x256 image in 1e9.

    The published one is counted in the form in which it is timed.
    """
    model = predecessor.Generator().eval() if name == PUBLISHED else load_generator(path).model
    channels = 3 if name == PUBLISHED else 1
    used = sum(each.numel() for each in model.parameters())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, channels, inference.LR_SIDE, inference.LR_SIDE))
    return used, counter.get_total_flops() / 2e9


if __name__ == "__main__":
    main()
