"""Scores of methods on images, and what they come to."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.files import rounded
from srpipe.inference import super_resolve
from srpipe.models.base import SRGenerator
from srpipe.packed import Packed, open_packed
from srpipe.resample import GreyImage, back_project, bicubic
from srpipe.scoring.intervals import bootstrap
from srpipe.scoring.metrics import LOWER_IS_BETTER, Reference, Scores, reference, score

BASELINES = ("bicubic", "bicubic_bp")


def baseline_images(lr: GreyImage, scale: int, back_projections: int) -> dict[str, GreyImage]:
    """Return what the baselines make of an LR image: `uint8 (h*scale, w*scale)` by name."""
    return {
        "bicubic": bicubic(lr, scale),
        "bicubic_bp": back_project(lr, scale, back_projections),
    }


def baseline_scores(against: Reference, back_projections: int) -> dict[str, float]:
    """Return the scores of both baselines on one image, prefixed `bicubic_`, `bicubic_bp_`."""
    made = baseline_images(against.lr, against.scale, back_projections)
    return {
        f"{name}_{key}": value
        for name, image in made.items()
        for key, value in asdict(score(image, against)).items()
    }


def baseline_row(folder: Path, back_projections: int, row: int) -> dict[str, str | float]:
    """Return image, patient and the scores of both baselines for a row of a packed folder.

    The folder is opened once a process, so that tasks for worker processes stay small.
    """
    packed = _opened(folder.absolute())
    against = reference(packed.hr(row), packed.lr(row))
    return {**_who(packed, row), **baseline_scores(against, back_projections)}


def model_row(
    model: SRGenerator, packed: Packed, row: int, device: str, *, consistent: bool = False
) -> dict[str, str | float]:
    """Return image, patient and the generator's scores for a manifest row.

    `consistent`: of its images made consistent with LR (`consistency.make_consistent`).
    """
    against = reference(packed.hr(row), packed.lr(row))
    sr = super_resolve(model, against.lr, device, consistent=consistent)
    return {**_who(packed, row), **asdict(score(sr, against))}


@functools.lru_cache(maxsize=1)
def _opened(folder: Path) -> Packed:
    return open_packed(folder)


def _who(packed: Packed, row: int) -> dict[str, str]:
    return {key: str(packed.manifest[key].iloc[row]) for key in ("image", "patient")}


def means(table: pd.DataFrame, prefix: str = "") -> dict[str, float]:
    """Return the mean over images of each score in the columns `prefix` + name, rounded."""
    return {name: rounded(table[prefix + name].mean()) for name in Scores.names()}


def with_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Add columns `over_<baseline>_<score>`: the model's score less the baseline's, per image.

    Above 0 the model is better; of scores in `LOWER_IS_BETTER`, below 0.
    """
    gains = {
        f"over_{baseline}_{name}": table[name] - table[f"{baseline}_{name}"]
        for baseline in BASELINES
        for name in Scores.names()
    }
    return table.assign(**gains)


def summary(table: pd.DataFrame, *, samples: int, seed: int) -> dict[str, Any]:
    """Return the metrics of an evaluation.

    Args:
        table: a row an image: patient, the model's scores, and `with_gains`' columns.
        samples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        For each score, and for its gain over each baseline: mean, and low and high of the 95%
        interval over patients; for the gains also on how many images the model is better.
    """
    patients = table["patient"].tolist()

    def interval(column: str) -> dict[str, float]:
        return {
            key: rounded(value)
            for key, value in asdict(
                bootstrap(table[column].to_numpy(), patients, samples=samples, seed=seed)
            ).items()
        }

    result: dict[str, Any] = {"images": len(table), "patients": len(set(patients))}
    for name in Scores.names():
        result[name] = interval(name)
    for baseline in BASELINES:
        gains: dict[str, Any] = {}
        for name in Scores.names():
            column = f"over_{baseline}_{name}"
            better = table[column] < 0 if name in LOWER_IS_BETTER else table[column] > 0
            gains[name] = {**interval(column), "better_images": int(better.sum())}
        result[f"over_{baseline}"] = gains
    return result


def text_table(rows: Mapping[str, Mapping[str, float]], notes: Sequence[str] = ()) -> str:
    """Return a Markdown table of mean scores, a row a method, aligned for a terminal too."""
    heads = {
        "psnr": "PSNR (dB)",
        "psnr_masked": "PSNR masked (dB)",
        "ssim": "  SSIM",
        "ssim_masked": "SSIM masked",
        "lr_psnr": "LR-PSNR (dB)",
        "content_distance": "content dist.",
    }
    width = max(len(name) for name in (*rows, "method"))
    lines = [
        f"| {'method':<{width}} | " + " | ".join(heads.values()) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * (len(h) + 1) + ":" for h in heads.values()) + "|",
    ]
    for name, scores in rows.items():
        cells = [
            f"{scores[key]:>{len(head)}.{4 if 'ssim' in key else 2}f}"
            for key, head in heads.items()
        ]
        lines.append(f"| {name:<{width}} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *notes])
