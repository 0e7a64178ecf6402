"""The pages that `benchmarks.comparison` writes: tables between markers, and pictures.

What stands outside the markers `<!-- results -->` and `<!-- /results -->` is written by people and
kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import inference
from benchmarks.inference import Figures
from benchmarks.methods import (
    BACK_PROJECTED,
    PUBLISHED,
    PUBLISHED_PROJECTED,
    Weights,
)
from benchmarks.tables import table
from srpipe.core.errors import DataError
from srpipe.core.files import replacing, rounded, write_json
from srpipe.evaluation.intervals import Interval, bootstrap
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
PAIRED = ("psnr", "psnr_masked", "ssim", "ssim_masked", "content_distance")


def check() -> None:
    """Refuse pages without markers, before anything is computed.

    Raises:
        DataError: a page is missing or has not each marker once, in order.
    """
    for page in (README, PAGE):
        _around(page)


def write(
    scores: pd.DataFrame,
    what: str,
    weights: Weights,
    costs: Mapping[str, tuple[int, float]],
    figures: Mapping[str, Figures],
    pictures: Sequence[tuple[Path, str]],
) -> None:
    """Write the tables into README and docs.

    Args:
        scores: a row an image and method.
        what: which images these are.
        weights: what was compared.
        costs: parameters and 1e9 multiply-accumulates by method.
        figures: time and memory by method; of the published one they are 1 by definition.
        pictures: files and captions.

    Raises:
        DataError: a page lacks its markers.
        OutputError: a page cannot be written.
    """
    count = (
        f"Mean over {scores['image'].nunique()} images of {scores['patient'].nunique()} patients: "
        f"{what}."
    )
    means = mean_table(scores, weights, costs, figures)
    write_json(SUMMARY, summary(scores, weights))
    replace_block(README, f"{count}\n\n{means}\n\n{inference.machine(1)}")
    parts = [
        f"{count} The intervals below say what differs.",
        means,
        inference.machine(1),
        "## Intervals\n\nMean and 95% interval over patients (bootstrap).",
        interval_table(scores, weights),
        *(
            f"## Gained over: {other}\n\nPaired differences by image, mean and 95% interval over "
            "patients; in brackets on how many images it is better.\n\n"
            + paired_table(scores, weights, other)
            for other in AGAINST
            if other in weights.names
        ),
        "## Pictures",
        *(f"{caption}\n\n![]({path.relative_to('docs')})" for path, caption in pictures),
    ]
    replace_block(PAGE, "\n\n".join(parts))


def summary(scores: pd.DataFrame, weights: Weights) -> dict[str, Any]:
    """Return mean and interval of every score of every method, and how many images they are of."""
    methods = {
        name: {
            key: {
                side: rounded(value, 5)
                for side, value in asdict(bounds(scores[scores["method"] == name], key)).items()
            }
            for key in HEADS
        }
        for name in weights.names
    }
    counts = {"images": scores["image"].nunique(), "patients": scores["patient"].nunique()}
    return {**counts, "methods": methods}


def mean_table(
    scores: pd.DataFrame,
    weights: Weights,
    costs: Mapping[str, tuple[int, float]],
    figures: Mapping[str, Figures],
) -> str:
    """Return means, and what a method costs, as Markdown."""
    head = ["method", *HEADS.values(), "params", "GMAC", "time bf16", "time fp32", "memory"]
    means = scores.groupby("method")[list(HEADS)].mean().to_dict("index")
    rows = []
    for name in weights.names:
        made = [f"{means[name][key]:.{digits(key)}f}" for key in HEADS]
        used = [""] * 5
        if name in costs:
            parameters, macs = costs[name]
            used[:2] = [f"{parameters / 1000:.0f}k", f"{macs:.1f}"]
        if name == PUBLISHED:
            used[2:] = ["1", "1", "1"]
        elif name in figures:
            found = figures[name]
            used[2:] = [
                f"1/{found.bf16.median:.1f}",
                f"1/{found.fp32.median:.1f}",
                f"1/{found.memory:.1f}",
            ]
        rows.append([name, *made, *used])
    return table(head, rows)


def interval_table(scores: pd.DataFrame, weights: Weights) -> str:
    """Return mean and interval of every score of every method, as Markdown."""
    rows = [
        [
            name,
            *(spread(bounds(scores[scores["method"] == name], key), digits(key)) for key in HEADS),
        ]
        for name in weights.names
    ]
    return table(["method", *HEADS.values()], rows)


def paired_table(scores: pd.DataFrame, weights: Weights, other: str) -> str:
    """Return what each method gains over another, image by image, as Markdown."""
    rows = []
    for name in weights.names:
        if name == other:
            continue
        difference = paired(scores, name, other)
        cells = []
        for key in PAIRED:
            better = difference[key] < 0 if key in LOWER_IS_BETTER else difference[key] > 0
            gain = spread(bounds(difference, key), digits(key), sign="+")
            cells.append(f"{gain} ({int(better.sum())})")
        rows.append([name, *cells])
    return table(["method", *(HEADS[key] for key in PAIRED)], rows)


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
