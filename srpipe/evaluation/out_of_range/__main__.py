"""Show images to `trust.range`, and write down what it says.

    python -m srpipe.evaluation.out_of_range TRAINING [--test FOLDER] [--dicom FOLDER]

TRAINING is the folder of `python -m srpipe.evaluation.out_of_range.fit`: false alarms, and what
is told of radiographs that went wrong, are counted on the half of its patients that was not fitted.
False alarms are counted on the `--test` folder, too (of its test list, if it has one), and each
file in the `--dicom` folder is shown. Writes the tables of docs/out_of_range.md, and all figures to
docs/out_of_range.json.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from srpipe.core import console
from srpipe.core.files import write_json
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.comparison.pages import check, replace_block
from srpipe.evaluation.out_of_range.fit import as_given, fits, looked
from srpipe.evaluation.out_of_range.kinds import (
    IDEAL,
    USUAL,
    WRONG,
    Shown,
    dicom_files,
    judged,
    made,
    pictures,
    said_of,
    usual,
)
from srpipe.evaluation.tables import aligned_table
from srpipe.imaging.resample import MIN_LR_SIDE, downsample
from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.render import render

PAGE, FIGURES = Path("docs/out_of_range.md"), Path("docs/out_of_range.json")
FITTED, OTHERS, TEST = "fitted half", "other half", "test images"
WENT_WRONG, PHANTOM = "went wrong", "phantom"
PHANTOMS = 50
SHOWN, TOLD, RIGHT = "shown", "told", "told rightly"

Counts = dict[str, Counter[str]]


@console.entry_point
def main() -> None:
    """Show all, and write what was said."""
    options = _options()
    check(PAGE)  # before the work
    counts: dict[str, Counts] = defaultdict(dict)
    for one in looked(judged, options.training):
        count(counts[FITTED if fits(one.patient) else OTHERS], one.usual)
        count(counts[WENT_WRONG], one.wrong)
    for one in looked(usual, options.test) if options.test is not None else ():
        count(counts[TEST], one.usual)
    for exposure in plan_cohort(PHANTOMS, 1, 0):
        count(counts[PHANTOM], {IDEAL: said_of(as_given(downsample(render(exposure), SCALE)))})
    others = [*(dicom_files(options.dicom) if options.dicom else ()), *pictures(), *made()]
    said = [(each, answer(each)) for each in others]
    figures = [{"group": each.group, "name": each.name, "said": words} for each, words in said]
    write_json(FIGURES, {**counts, "others": figures})
    replace_block(PAGE, text(counts, said))
    console.say(f"wrote {PAGE} and {FIGURES}")


def count(counts: Counts, said: Mapping[str, str]) -> None:
    """Count images, those of which anything is told, and those of which the right words are."""
    for name, words in said.items():
        right = WRONG[name][1] if name in WRONG else ""
        counts.setdefault(name, Counter()).update(
            {SHOWN: 1, TOLD: int(bool(words)), RIGHT: int(bool(right) and right in words)}
        )


def answer(shown: Shown) -> str:
    """Return what is said of an image, "" for nothing."""
    if shown.image is None:
        return f"refused: {shown.refused}"
    if min(shown.image.shape) < MIN_LR_SIDE:
        return f"refused: a side is shorter than {MIN_LR_SIDE} pixels"
    return said_of(shown.image)


def text(counts: Mapping[str, Counts], said: Sequence[tuple[Shown, str]]) -> str:
    """Return what stands between the page's markers."""
    sets = [name for name in (OTHERS, TEST) if name in counts]
    alarms = [[name, *(_share(counts[each][name]) for each in sets)] for name in USUAL]
    wrong = [
        [name, _share(found), _share(found, RIGHT) if WRONG[name][1] else ""]
        for name, found in counts[WENT_WRONG].items()
    ]
    parts = [
        "## False alarms\n\nImages of which anything is told, of radiographs that are usual. LR is "
        "ideal where nothing else is said.",
        aligned_table(["radiograph", *sets], alarms),
        f"Of ideal LR of the half that was fitted {_share(counts[FITTED][IDEAL])}; of the "
        f"[phantom](phantom.md)'s radiographs {_share(counts[PHANTOM][IDEAL])}.",
        "## Radiographs that went wrong\n\nOf the half that was not fitted. *Rightly*: by the "
        "words that say what is wrong; nothing is made to tell the rows without.",
        aligned_table(["radiograph", "told", "rightly"], wrong),
        "## Other images",
    ]
    for group in dict.fromkeys(each.group for each, _ in said):
        rows = [
            f"| {each.name} | {words or '**nothing**'} |"
            for each, words in said
            if each.group == group
        ]
        parts.append("\n".join([f"| {group} | said |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def _share(counts: Counter[str], what: str = TOLD) -> str:
    return f"{counts[what] / counts[SHOWN]:.1%} ({counts[what]} of {counts[SHOWN]})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m srpipe.evaluation.out_of_range",
        description=str(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("training", type=Path, help="HR radiographs that `fit` was given")
    parser.add_argument("--test", type=Path, metavar="FOLDER", help="HR radiographs of others")
    parser.add_argument(
        "--dicom", type=Path, metavar="FOLDER", help="DICOM files, each to be shown"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
