"""Evaluation reports: the table of means, and the pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.core import paths
from srpipe.core.errors import DataError
from srpipe.core.files import replacing_folder
from srpipe.data.packed import Packed
from srpipe.evaluation.curve import Curve, draw_curve
from srpipe.evaluation.panels import comparison_panel
from srpipe.evaluation.tables import text_table
from srpipe.imaging.resample import bicubic
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.base import SRGenerator
from srpipe.models.inference import super_resolve

# Images are ranked by a score that burned-in text does not decide.
RANKED_BY = "psnr_masked"
_AGAIN = "Run `dvc repro --force baseline`."
LABELS = {"bicubic": "bicubic", "bicubic_bp": "bicubic + back-projection"}


def read_baseline(path: Path, scores: pd.DataFrame) -> pd.DataFrame:
    """Join the baselines' per-image scores to the model's.

    Raises:
        DataError: the file is missing or scores other images.
    """
    baseline = _baseline(path)
    if sorted(baseline["image"]) != sorted(scores["image"]):
        raise DataError(f"{path} is about other images than the test set. {_AGAIN}")
    return scores.merge(baseline.drop(columns="patient"), on="image", validate="1:1")


def content_sample(path: Path) -> frozenset[str]:
    """Return the images whose content distances the baseline stage computed.

    Raises:
        DataError: the file is missing or damaged.
    """
    baseline = _baseline(path)
    known = baseline[[f"{name}_content_distance" for name in BASELINES]].notna().all(axis="columns")
    return frozenset(baseline["image"][known])


def _baseline(path: Path) -> pd.DataFrame:
    try:
        baseline = pd.read_csv(path, dtype={"image": str, "patient": str})
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the baseline stage first") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}. {_AGAIN}") from error
    scored = {f"{name}_{key}" for name in BASELINES for key in Scores.names()}
    columns = {"image", "patient"} | scored
    if columns - set(baseline):
        raise DataError(f"{path} lacks {', '.join(sorted(columns - set(baseline)))}. {_AGAIN}")
    return baseline


def draw_pictures(
    folder: Path,
    table: pd.DataFrame,
    packed: Packed,
    models: Mapping[str, SRGenerator],
    device: str,
    curve: Curve | None,
    *,
    consistent: bool = False,
) -> list[Path]:
    """Draw panels and, where there is one, the perception-distortion curve, as PNGs in `folder`.

    Args:
        folder: its content is replaced.
        table: a row per test image, with the scores of the last model.
        packed: the images.
        models: generators on `device` by their names in the panels, which show the images on which
            the last one is worst, median and best.
        device: torch device name.
        curve: the curve, or None.
        consistent: show the generators' images made consistent with LR.

    Returns:
        The files.

    Raises:
        OutputError: the folder cannot be written; its old content is kept.
    """
    ranked = table.sort_values([RANKED_BY, "image"])["image"].tolist()
    chosen = {"worst": ranked[0], "median": ranked[len(ranked) // 2], "best": ranked[-1]}
    names = [f"{place}.png" for place in chosen]
    with replacing_folder(folder) as temporary:
        for place, image in chosen.items():
            (row,) = packed.rows([image])
            against = reference(packed.hr(row), packed.lr(row))
            images = {"bicubic": bicubic(against.lr, against.scale)}
            for name, model in models.items():
                images[name] = super_resolve(model, against.lr, device, consistent=consistent)
            comparison_panel(
                temporary / f"{place}.png",
                f"{place} of {len(table)} test images by masked PSNR: {image}",
                against,
                images,
                {name: score(sr, against) for name, sr in images.items()},
            )
        if curve is not None:
            draw_curve(temporary / "curve.png", curve)
            names.append("curve.png")
    return [folder / name for name in names]


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the few means of an evaluation that DVC shows for every experiment.

    The gains are over bicubic. Short names: `dvc exp show` has parameters to the right of them.
    """
    gain = metrics["over_bicubic"]
    return {
        "test_psnr": metrics["psnr"]["mean"],
        "test_masked": metrics["psnr_masked"]["mean"],
        "test_ssim": metrics["ssim"]["mean"],
        "test_lr_psnr": metrics["lr_psnr"]["mean"],
        "test_content": metrics["content_distance"]["mean"],
        "gain": gain["psnr"]["mean"],
        "gain_masked": gain["psnr_masked"]["mean"],
    }


def flat_means(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return all mean scores and gains of an evaluation under flat names, for MLflow."""
    flat = {f"test_{name}": metrics[name]["mean"] for name in Scores.names()}
    for baseline in BASELINES:
        for name in Scores.names():
            flat[f"test_over_{baseline}_{name}"] = metrics[f"over_{baseline}"][name]["mean"]
    for acquisition, scores in metrics["acquisitions"].items():
        flat[f"test_{acquisition}_psnr_masked"] = scores["psnr_masked"]["mean"]
    return flat


def results_table() -> str:
    """Return the table of the last `dvc repro`, from the metrics files.

    Raises:
        DataError: a metrics file is missing or damaged.
    """
    try:
        return _results_table()
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename} is missing: run `make repro` (or `dvc repro`) first"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{paths.BASELINE_JSON} or {paths.EVALUATE_JSON} is damaged ({error!r}): run "
            "`dvc repro --force baseline evaluate`"
        ) from error


def _results_table() -> str:
    baseline, evaluated = _read(paths.BASELINE_JSON), _read(paths.EVALUATE_JSON)
    rows = {LABELS[name]: baseline[name] for name in BASELINES}
    rows["trained generator" + ", consistent" * evaluated["consistent"]] = {
        name: evaluated[name]["mean"] for name in Scores.names()
    }
    notes = [f"\nMean over {evaluated['images']} test images of {evaluated['patients']} patients."]
    for name in BASELINES:
        gain = evaluated[f"over_{name}"]
        whole, masked = gain["psnr"], gain["psnr_masked"]
        notes.append(
            f"Over {LABELS[name]} (95% interval over patients): PSNR {_signed(whole)} dB, "
            f"masked {_signed(masked)} dB, better on {whole['better_images']} and "
            f"{masked['better_images']} images."
        )
    return text_table(rows, notes)


def _signed(gain: Mapping[str, float]) -> str:
    return f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
