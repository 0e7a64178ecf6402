"""Scores by sex, age, view and finding: whether a generator serves some patients less than others.

Groups are those of `data.facts`, read from the data set's own table. An image without a fact, or
with an impossible one, is in the group "unknown" of that fact: nothing is dropped. Differences
between groups have causes beside the generator, such as markers and devices in AP views, so the
gain over bicubic is given beside the scores.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srpipe.core.files import for_spreadsheets, replacing
from srpipe.evaluation.intervals import bootstrap

SCORES = ("psnr_masked", "psnr", "ssim_masked", "ssim")
MEASURES = (*SCORES, *(f"over_bicubic_{score}" for score in SCORES))
SHOWN = {
    "psnr_masked": "PSNR masked (dB)",
    "over_bicubic_psnr_masked": "PSNR masked over bicubic (dB)",
    "over_bicubic_psnr": "PSNR whole over bicubic (dB)",
    "ssim_masked": "SSIM masked",
}
TABLE_COLUMNS = ["by", "group", "images", "patients", "score", "mean", "low", "high"]
# With fewer patients a bootstrap interval means nothing, and the mean little.
FEWEST = 5
UNKNOWN = "unknown"

SEXES = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F"}
AGES = (("0-17", 17), ("18-39", 39), ("40-64", 64), ("65+", 120))
# Ages of more than 120 years are errors; the NIH's table of 2017 has some, such as 411.
_AGE = re.compile(r"0*(\d{1,4})(?:\.\d+)?([YMWD]?)")
_A_YEAR = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}
VIEWS = ("PA", "AP")
# The labels of ChestX-ray14 (Wang et al., CVPR 2017).
FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
    "No Finding",
)
_FINDINGS = {name.casefold().replace("_", " "): name for name in FINDINGS}


def sex_of(text: str) -> str:
    """Return "F", "M" or "unknown"."""
    return SEXES.get(text.upper(), UNKNOWN)


def age_of(text: str) -> str:
    """Return the age band of an age in years, or in DICOM's form ("034Y", "007M"); or "unknown"."""
    match = _AGE.fullmatch(text.upper())
    years = int(match[1]) // _A_YEAR[match[2]] if match else -1
    return next((band for band, last in AGES if 0 <= years <= last), UNKNOWN)


def view_of(text: str) -> str:
    """Return "PA", "AP", "other" (lateral, for instance) or "unknown"."""
    return text.upper() if text.upper() in VIEWS else "other" if text else UNKNOWN


def findings_of(text: str) -> list[str]:
    """Return the labels of ChestX-ray14 in a text with "|" between them, "other" for all else."""
    labels = [label.strip().casefold().replace("_", " ") for label in text.split("|")]
    known = [_FINDINGS.get(label, "other") for label in labels if label]
    return list(dict.fromkeys(known)) or [UNKNOWN]


# By fact: its groups in order, and those of an image.
GROUPS: dict[str, tuple[Sequence[str], Callable[[str], list[str]]]] = {
    "sex": (("F", "M"), lambda text: [sex_of(text)]),
    "age": ([band for band, _ in AGES], lambda text: [age_of(text)]),
    "view": (VIEWS, lambda text: [view_of(text)]),
    "findings": (FINDINGS, findings_of),
}


def with_facts(table: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Return a table of scores with the columns of `data.facts` at its end, by image.

    Args:
        table: a row an image.
        facts: as `data.facts.read_facts` returns them of `data/images.csv`, which has its names
            `for_spreadsheets`; no image may be missing.
    """
    names = table["image"].map(for_spreadsheets)
    return table.join(facts.loc[names].set_axis(table.index))


def by_group(table: pd.DataFrame, *, samples: int, seed: int) -> pd.DataFrame:
    """Return the scores of all images and of each group.

    Args:
        table: a row an image: patient, `MEASURES`, and the columns of `data.facts`.
        samples: bootstrap resamples of a group's patients.
        seed: of the bootstrap.

    Returns:
        A row a group and score: `TABLE_COLUMNS`. `by` is "all" or a fact; every known group is
        there, also without images, and "other" and "unknown" where there are such images. `low` and
        `high` are the 95% interval over patients, missing for fewer than `FEWEST` patients.
    """
    rows = _rows("all", "all", table, samples, seed)
    for by, (groups, of) in GROUPS.items():
        found = table[by].map(of)
        there = set(found.explode())
        for group in [*groups, *(name for name in ("other", UNKNOWN) if name in there)]:
            inside = [group in names for names in found]
            rows += _rows(by, group, table[inside], samples, seed)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _rows(by: str, group: str, part: pd.DataFrame, samples: int, seed: int) -> list[list[object]]:
    patients = part["patient"].tolist()
    count = len(set(patients))
    rows: list[list[object]] = []
    for score in MEASURES:
        mean, low, high = part[score].mean(), None, None
        if count >= FEWEST:
            found = bootstrap(part[score].to_numpy(), patients, samples=samples, seed=seed)
            mean, low, high = found.mean, found.low, found.high
        rows.append([by, group, len(part), count, score, mean, low, high])
    return rows


def summary(scored: pd.DataFrame) -> str:
    """Return a sentence: which facts are known of how many images."""
    counts = scored.drop_duplicates(["by", "group"]).set_index(["by", "group"])["images"]
    images = counts["all", "all"]
    known = {by: images - counts.get((by, UNKNOWN), 0) for by in GROUPS}
    if not any(known.values()):
        return f"no sex, age, view or finding is known of {images} test images"
    return "known of {} test images: {}".format(
        images, ", ".join(f"{by} of {count}" for by, count in known.items())
    )


def draw(path: Path, scored: pd.DataFrame) -> None:
    """Plot means and intervals, a row a group, as PNG; hollow without an interval.

    Args:
        path: the PNG file.
        scored: as `by_group` makes it.

    Raises:
        OutputError: the file cannot be written.
    """
    groups = scored.drop_duplicates(["by", "group"])
    groups = groups[groups["images"] > 0]
    keys = list(groups[["by", "group"]].itertuples(index=False, name=None))
    labels = [
        f"{group if by == 'all' else f'{by}: {group}'}  ({images} / {patients})"
        for by, group, images, patients in groups[["by", "group", "images", "patients"]].to_numpy()
    ]
    figure = Figure(figsize=(16, 2.2 + 0.28 * len(keys)), layout="constrained")
    figure.suptitle(
        "Scores by group (images / patients), means with 95% intervals over patients; hollow: "
        f"fewer than {FEWEST} patients\n{summary(scored)}"
    )
    axes = figure.subplots(1, len(SHOWN), sharey=True)
    for axis, (score, title) in zip(axes, SHOWN.items(), strict=True):
        rows = scored[scored["score"] == score].set_index(["by", "group"])
        for place, key in enumerate(keys):
            row, colour = (
                rows.loc[key],
                f"C{list(dict.fromkeys(by for by, _ in keys)).index(key[0])}",
            )
            certain = row["patients"] >= FEWEST
            if certain:
                axis.plot([row["low"], row["high"]], [place, place], color=colour)
            axis.plot(
                row["mean"],
                place,
                marker="o",
                color=colour,
                fillstyle="full" if certain else "none",
            )
        axis.axvline(rows.loc[("all", "all"), "mean"], color="grey", linewidth=0.8, linestyle=":")
        axis.set(xlabel=title)
        axis.set_yticks(range(len(keys)), labels)
        axis.grid(alpha=0.3, axis="x")
    axes[0].invert_yaxis()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
