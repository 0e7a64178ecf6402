"""The pages that the comparison writes: tables between markers, and pictures.

What stands outside the markers `<!-- results -->` and `<!-- /results -->` is written by people and
kept.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.core.errors import DataError
from srpipe.core.files import replacing, rounded, write_json
from srpipe.evaluation.comparison.methods import (
    BACK_PROJECTED,
    CONSISTENT,
    FIDELITY,
    PUBLISHED,
    PUBLISHED_PROJECTED,
)
from srpipe.evaluation.comparison.pictures import CAPTIONS
from srpipe.evaluation.intervals import Interval, bootstrap
from srpipe.evaluation.tables import aligned_table
from srpipe.metrics.scores import LOWER_IS_BETTER, Scores

PAGE = Path("docs/results.md")
README = Path("README.md")
SCORES = Path("docs/results.csv")
SUMMARY = Path("docs/results.json")
PICTURES = Path("docs/figures/results")
OPEN, CLOSE = "<!-- results -->", "<!-- /results -->"
SAMPLES, SEED = 10_000, 0
HEADS = {
    "psnr": "PSNR",
    "psnr_masked": "masked",
    "ssim": "SSIM",
    "ssim_masked": "masked SSIM",
    "lr_psnr": "LR-PSNR",
    "content_distance": "content distance",
}
# Of the paired differences: what is gained over these.
AGAINST = (BACK_PROJECTED, PUBLISHED, PUBLISHED_PROJECTED)
# Of the table in README: what fits a screen.
SHORT = ("psnr", "psnr_masked", "ssim_masked", "lr_psnr", "content_distance")
PAIRED = ("psnr", "psnr_masked", "ssim", "ssim_masked", "content_distance")


def check(*given: Path) -> None:
    """Refuse pages without markers, before anything is computed.

    Args:
        given: the pages; none: those that this module writes.

    Raises:
        DataError: a page is missing or has not each marker once, in order.
    """
    for page in given or (README, PAGE):
        _around(page)


def read_scores(path: Path) -> pd.DataFrame:
    """Return the scores that an earlier run wrote.

    Raises:
        DataError: the file is missing, or lacks a column.
    """
    wanted = ["image", "patient", "method", *HEADS]
    try:
        return pd.read_csv(path, dtype={"image": str, "patient": str})[wanted]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} holds no scores of a comparison: {error}. Give the docs/results.csv that "
            "`make results` wrote"
        ) from error


def write(scores: pd.DataFrame) -> None:
    """Write the tables into README and docs.

    Args:
        scores: a row an image and method, methods in the order of the tables.

    Raises:
        DataError: a page lacks its markers.
        OutputError: a page cannot be written.
    """
    names = list(dict.fromkeys(scores["method"]))
    count = (
        f"Mean over {scores['image'].nunique()} images of {scores['patient'].nunique()} patients."
    )
    write_json(SUMMARY, summary(scores))
    # The consistent form of one method says what consistency does.
    shown = [
        name for name in names if not name.endswith(CONSISTENT) or name == FIDELITY + CONSISTENT
    ]
    replace_block(README, f"{count}\n\n{mean_table(scores, shown, SHORT)}")
    parts = [
        f"{count} The intervals below say what differs.",
        mean_table(scores, names, tuple(HEADS)),
        "## Intervals\n\nMean and 95% interval over patients (bootstrap).",
        interval_table(scores, names),
        *(
            f"## Gained over: {other}\n\nPaired differences by image, mean and 95% interval over "
            "patients; in brackets on how many images it is better.\n\n"
            + paired_table(scores, names, other)
            for other in AGAINST
            if other in names
        ),
        "## Pictures",
        *(
            f"{caption}\n\n![]({PICTURES.relative_to('docs')}/{name}.png)"
            for name, caption in CAPTIONS.items()
            if name != "published" or PUBLISHED in names
        ),
    ]
    replace_block(PAGE, "\n\n".join(parts))


def summary(scores: pd.DataFrame) -> dict[str, Any]:
    """Return mean and interval of every score of every method, and how many images they are of."""
    methods = {
        str(name): {
            key: {side: rounded(value, 5) for side, value in asdict(bounds(rows, key)).items()}
            for key in HEADS
        }
        for name, rows in scores.groupby("method", sort=False)
    }
    counts = {"images": scores["image"].nunique(), "patients": scores["patient"].nunique()}
    return {**counts, "methods": methods}


def mean_table(scores: pd.DataFrame, names: Sequence[str], keys: Sequence[str]) -> str:
    """Return the mean scores of methods, as Markdown."""
    means = scores.groupby("method")[list(keys)].mean().to_dict("index")
    rows = [[name, *(f"{means[name][key]:.{digits(key)}f}" for key in keys)] for name in names]
    heads = [HEADS[key].removesuffix(" distance") for key in keys]
    return aligned_table(["method", *heads], rows)


def interval_table(scores: pd.DataFrame, names: Sequence[str]) -> str:
    """Return mean and interval of every score of every method, as Markdown."""
    rows = [
        [
            name,
            *(spread(bounds(scores[scores["method"] == name], key), digits(key)) for key in HEADS),
        ]
        for name in names
    ]
    return aligned_table(["method", *HEADS.values()], rows)


def paired_table(scores: pd.DataFrame, names: Sequence[str], other: str) -> str:
    """Return what each method gains over another, image by image, as Markdown."""
    rows = []
    for name in names:
        if name == other:
            continue
        difference = paired(scores, name, other)
        cells = []
        for key in PAIRED:
            better = difference[key] < 0 if key in LOWER_IS_BETTER else difference[key] > 0
            gain = spread(bounds(difference, key), digits(key), sign="+")
            cells.append(f"{gain} ({int(better.sum())})")
        rows.append([name, *cells])
    return aligned_table(["method", *(HEADS[key] for key in PAIRED)], rows)


def paired(scores: pd.DataFrame, name: str, other: str) -> pd.DataFrame:
    """Return the scores of a method less those of another, a row an image, and the patient."""
    keys = list(Scores.names())
    one, two = (
        scores[scores["method"] == each].set_index("image").sort_index() for each in (name, other)
    )
    return (one[keys] - two[keys]).assign(patient=one["patient"])


def bounds(rows: pd.DataFrame, key: str) -> Interval:
    """Return mean and interval over patients of a column."""
    return bootstrap(rows[key].to_numpy(), rows["patient"].tolist(), samples=SAMPLES, seed=SEED)


def spread(interval: Interval, places: int, sign: str = "") -> str:
    """Return "mean [low, high]"."""
    values = asdict(interval)
    mean, low, high = (f"{values[key]:{sign}.{places}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def digits(key: str) -> int:
    """Return how many decimals a score is given with."""
    return 4 if "ssim" in key else 2


def replace_block(path: Path, content: str) -> None:
    """Put `content` between the markers of a page.

    Raises:
        DataError: the page is missing or has not each marker once.
        OutputError: it cannot be written.
    """
    before, after = _around(path)
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{OPEN}\n{content}\n{CLOSE}{after}", encoding="utf-8")


def _around(path: Path) -> tuple[str, str]:
    """Return what stands before and after the markers of a page."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not (opened and closed) or text.count(OPEN) > 1 or text.count(CLOSE) > 1:
        raise DataError(
            f"{path} must have the markers {OPEN} and {CLOSE} once, in this order: put them back"
        )
    return before, after
