"""The released generators on radiographs that they were not trained on, beside everything else.

    make results FOLDER=hr [PUBLISHED=netG_4x_epoch5.pth.tar]
    python -m srpipe.evaluation.comparison hr [--published FILE]
    python -m srpipe.evaluation.comparison --from-csv docs/results.csv

The folder holds HR radiographs and is read as the pipeline reads `datasets.folder`, patient IDs as
params.yaml says. If NIH's lists are in it, the images of test_list.txt are taken, else all. Writes
the tables in README.md and docs/results.md, every score to docs/results.csv, means and intervals to
docs/results.json, and pictures to docs/figures/results/; scores over noise, dose, blur and JPEG to
docs/dose.md, docs/dose.csv and docs/figures/dose.png. The published checkpoint is compared if
its file is given. With --from-csv the tables are written again from the scores: no image is read.
"""

import argparse
import functools
import tempfile
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.core.files import write_csv
from srpipe.core.parallel import parallel
from srpipe.data.pairs import make_pair
from srpipe.evaluation.comparison import dose, pages, pictures
from srpipe.evaluation.comparison.examine import MADE, chosen, examined
from srpipe.evaluation.comparison.methods import PUBLISHED, SCALE, released
from srpipe.models.checkpoint import load_generator, require_scale


@console.entry_point
def main() -> None:
    """Score every method on every image and write the pages; or write them from the scores."""
    given = _options()
    pages.check()  # before the work
    if given.from_csv is not None:
        pages.write(pages.read_scores(given.from_csv))
        console.say(f"wrote {pages.PAGE}, {pages.SUMMARY} and the table in {pages.README}")
        return
    pages.check(dose.PAGE)
    weights = released(given.published)
    if given.published is None:
        console.say(f"without {PUBLISHED!r}: no --published was given")
    for path in weights.files.values():
        require_scale(load_generator(path), SCALE, path)
    with tempfile.TemporaryDirectory() as listed:
        source, entries = chosen(given.folder, Path(listed))
        work = functools.partial(examined, weights, source)
        parts = list(parallel(work, entries, what="compare"))
        work_over = functools.partial(dose.acquired, weights, source)
        over = list(parallel(work_over, entries, what="compare over acquisitions"))
        pairs = [make_pair(source, MADE, entry) for entry in entries]
        pictures.draw(pages.PICTURES, [found for _, found in parts], pairs, weights)
    table = pd.DataFrame([row for rows, _ in parts for row in rows])
    write_csv(pages.SCORES, table)
    pages.write(table)
    dose.write(pd.DataFrame([row for rows in over for row in rows]))
    console.say(
        f"wrote {pages.PAGE}, {pages.SCORES}, {pages.SUMMARY}, {pages.PICTURES}/, {dose.PAGE}, "
        f"{dose.CSV}, {dose.FIGURE} and the table in {pages.README}"
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


if __name__ == "__main__":
    main()
