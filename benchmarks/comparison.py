"""The released generators on radiographs that they have never seen, beside everything else.

    make results PATH [PUBLISHED=netG_4x_epoch5.pth.tar]
    python -m benchmarks.comparison PATH [--list FILE] [--published FILE] [--quick]

PATH is a folder of HR radiographs; where it holds NIH's test_list.txt, those images are taken.
Writes the tables in README.md and docs/results.md, the scores of every image in docs/results.csv,
and pictures in docs/figures/results/. The published checkpoint is compared where its file is given.
"""

import argparse
import functools
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import inference, results_pages
from benchmarks.comparison_images import pair
from benchmarks.methods import PUBLISHED, Weights, all_images, released
from benchmarks.options import note
from srpipe import console
from srpipe.checkpoint import load_generator
from srpipe.errors import DataError
from srpipe.files import rounded, write_csv
from srpipe.images import SUFFIXES
from srpipe.scoring.metrics import reference, score
from srpipe.settings import load_params
from srpipe.sources.folder import list_files

TEST_LIST = "test_list.txt"


@console.entry_point
def main() -> None:
    """Score every method on every image, measure what they cost, write the pages."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="PATH", help="folder of HR radiographs")
    parser.add_argument("--list", type=Path, metavar="FILE", help="file names to take, one a line")
    parser.add_argument("--published", type=Path, metavar="FILE", help="published checkpoint")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of the time benchmark")
    given = parser.parse_args()
    weights = released(given.published)
    if given.published is None:
        note(f"without {PUBLISHED!r}: no --published was given")
    for path in weights.files.values():
        load_generator(path)  # so that a fault is told before the work
    files = chosen(given.folder, given.list)
    work = functools.partial(scored, weights)
    rows = [row for part in console.parallel(work, files, what="compare") for row in part]
    table = pd.DataFrame(rows)
    costs = {name: cost(path) for name, path in weights.files.items()}
    note("what they cost ...")
    torch.set_num_threads(1)
    figures = inference.measure(
        {name: path for name, path in weights.files.items() if name != PUBLISHED},
        quick=given.quick,
    )
    write_csv(results_pages.SCORES, table)
    results_pages.write(table, files, weights, costs, figures)
    console.say(f"wrote {results_pages.PAGE}, {results_pages.SCORES} and the table in README.md")


def chosen(folder: Path, names: Path | None) -> list[tuple[str, Path]]:
    """Return patient and file of each image to be compared, sorted by file name.

    Raises:
        DataError: the folder or the list holds none, or an image of the list is missing.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one of HR radiographs")
    found = {Path(each).name: folder / each for each in list_files(folder)}
    images = {name: path for name, path in found.items() if name.lower().endswith(SUFFIXES)}
    lists = names or found.get(TEST_LIST)
    if lists is not None:
        wanted = lists.read_text(encoding="utf-8").split()
        missing = sorted(set(wanted) - set(images))
        if missing:
            raise DataError(f"{len(missing)} images of {lists} are missing, such as {missing[0]}")
        images = {name: images[name] for name in wanted}
    if not images:
        raise DataError(f"{folder} holds no image: allowed are {', '.join(SUFFIXES)}")
    pattern = re.compile(load_params().datasets.folder.patient_pattern)
    found_in = {name: pattern.search(name) for name in sorted(images)}
    return [(match["patient"] if match else name, images[name]) for name, match in found_in.items()]


def scored(weights: Weights, file: tuple[str, Path]) -> list[dict[str, str | float]]:
    """Return a row a method for one image: image, patient, method and the scores."""
    torch.set_num_threads(1)
    patient, path = file
    hr, lr = pair(path)
    against = reference(hr, lr)
    return [
        {
            "image": path.name,
            "patient": patient,
            "method": name,
            **{key: rounded(value, 5) for key, value in asdict(score(sr, against)).items()},
        }
        for name, sr in all_images(lr, weights).items()
    ]


def cost(path: Path) -> tuple[int, float]:
    """Return a generator's parameters, and its multiply-accumulates for a 256x256 image in 1e9."""
    model = load_generator(path).model
    used = sum(each.numel() for each in model.parameters() if each.requires_grad)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, model.channels, inference.LR_SIDE, inference.LR_SIDE))
    return used, float(np.float64(counter.get_total_flops()) / 2e9)


if __name__ == "__main__":
    main()
