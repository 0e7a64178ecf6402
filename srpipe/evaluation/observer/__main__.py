"""A model observer looks for nodules in radiographs that were super-resolved from little dose.

    python -m srpipe.evaluation.observer FOLDER [--weights NAME|FILE]... [--images N] [--seed N]

The folder is read as `python -m srpipe.evaluation.comparison` reads it: patient IDs as params.yaml
says, the images of NIH's test list if the lists are there, else all. Writes the tables of
docs/observer.md, which says what is measured, docs/figures/observer.png, every score to
docs/observer.csv and docs/observer_detail.csv, and all results with their intervals to
docs/observer.json. An image takes about 15 seconds on a CPU core.
"""

import argparse
import functools
import tempfile
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import sha256, write_csv, write_json
from srpipe.core.parallel import parallel
from srpipe.data.sources.manifest import Entry
from srpipe.evaluation.comparison.examine import chosen
from srpipe.evaluation.comparison.pages import check, replace_block
from srpipe.evaluation.observer import page
from srpipe.evaluation.observer.examine import Examined, examined_entry
from srpipe.evaluation.observer.methods import DEFAULT, generators
from srpipe.evaluation.observer.nodules import CONTRASTS
from srpipe.evaluation.observer.summary import AREA, TOGETHER, results, scored


@console.entry_point
def main() -> None:
    """Examine all images, train and test the observers, and write what was found."""
    given = _options()
    check(page.PAGE)  # before the work
    files = generators([*DEFAULT, *given.weights])
    with tempfile.TemporaryDirectory() as listed:
        source, entries = chosen(given.folder, Path(listed))
        count = min(given.images or len(entries), len(entries))
        entries = [entries[at * len(entries) // count] for at in range(count)]  # all over the list
        work = functools.partial(examined_entry, files, given.seed, source)
        found = list(parallel(work, entries, what="observe"))
    _report(entries, found)
    scores = scored(pd.DataFrame([row for one in found for row in one.seen]))
    detail = pd.DataFrame([row for one in found for row in one.detail])
    table = results(scores, detail, given.seed)
    counts = {
        "places": len(scores[["image", "y", "x"]].drop_duplicates()),
        "images": scores["image"].nunique(),
        "patients": scores["patient"].nunique(),
    }
    write_csv(page.SCORES, scores.round({"absent": 4, "present": 4}))
    write_csv(page.DETAIL, detail.round({"lost": 5, "invented": 5}))
    settings = {
        "seed": given.seed,
        "contrasts": {f"{size:g} mm": contrast for size, contrast in CONTRASTS.items()},
        "weights": {name: sha256(path) for name, path in files.items()},
    }
    write_json(page.SUMMARY, counts | settings | {"results": table.to_dict("records")})
    page.draw(table)
    about = "{places} places in {images} images of {patients} patients.".format(**counts)
    replace_block(page.PAGE, page.text(table, about))
    console.say(f"{about}\n{page.table(table, AREA, TOGETHER)}")
    console.say(
        f"wrote {page.PAGE}, {page.FIGURE}, {page.SUMMARY}, {page.SCORES} and {page.DETAIL}"
    )


def _report(entries: list[Entry], found: list[Examined]) -> None:
    """Say in which images there was no place, or refuse if there was none in any."""
    none = [entry.image for entry, one in zip(entries, found, strict=True) if not one.seen]
    if len(none) == len(entries):
        raise DataError(
            f"in none of {len(entries)} image(s) are places for nodules: these must be radiographs "
            "with dark lungs in their middle, of 1024 pixels or so"
        )
    if none:
        console.warn(f"left out, without enough places for nodules: {', '.join(none)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m srpipe.evaluation.observer", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="folder of HR radiographs")
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help=f"a generator beside {' and '.join(DEFAULT)}; may be given again",
    )
    parser.add_argument("--images", type=int, metavar="N", help="at most so many images")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of places and noise")
    given = parser.parse_args()
    if (given.images is not None and given.images < 1) or given.seed < 0:
        parser.error("--images must be at least 1, --seed at least 0")
    return given


if __name__ == "__main__":
    main()
