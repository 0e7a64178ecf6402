"""What people look at after an evaluation is about the right images and the right numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from srpipe.core.errors import DataError, OutputError
from srpipe.data.packed import Packed
from srpipe.evaluation import report
from srpipe.evaluation.curve import SCORES, Curve
from srpipe.evaluation.gains import summary, with_gains
from srpipe.evaluation.report import (
    content_sample,
    draw_pictures,
    flat_means,
    headline,
    read_baseline,
    results_table,
)
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Reference, Scores, score
from srpipe.models.inference import super_resolve
from srpipe.models.srresnet import SwiftSRGAN
from tests.evaluation.rows import baseline_row, model_row

NAMES = Scores.names()


@pytest.fixture(scope="module")
def model() -> SwiftSRGAN:
    """Return a small untrained generator."""
    torch.manual_seed(0)
    return SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=False)


@pytest.fixture(scope="module")
def baseline(packed: Packed) -> pd.DataFrame:
    """Return the table of the baseline stage for all made images."""
    return pd.DataFrame([baseline_row(packed, row, 3) for row in range(6)])


@pytest.fixture(scope="module")
def scores(packed: Packed, model: SwiftSRGAN) -> pd.DataFrame:
    """Return the model's scores on all made images."""
    return pd.DataFrame([model_row(model, packed, row) for row in range(6)])


def test_baseline_scores_come_by_image_not_by_row(
    tmp_path: Path, baseline: pd.DataFrame, scores: pd.DataFrame
) -> None:
    """The order of the file does not matter; the order of the scores is kept."""
    baseline[::-1].to_csv(tmp_path / "baseline.csv", index=False)
    merged = read_baseline(tmp_path / "baseline.csv", scores)
    assert merged["image"].tolist() == scores["image"].tolist()
    assert list(merged) == [*scores, *list(baseline)[2:]]
    assert merged["bicubic_psnr"].tolist() == pytest.approx(baseline["bicubic_psnr"].tolist())


def test_content_distances_are_those_of_the_baselines_sample(
    tmp_path: Path, baseline: pd.DataFrame
) -> None:
    """An image without one of a baseline needs none of the model."""
    path = tmp_path / "baseline.csv"
    baseline.to_csv(path, index=False)
    assert content_sample(path) == frozenset(baseline["image"])
    some = baseline.copy()
    some.loc[[1, 4], ["bicubic_content_distance", "bicubic_bp_content_distance"]] = np.nan
    some.to_csv(path, index=False)
    assert content_sample(path) == frozenset(baseline["image"][[0, 2, 3, 5]])


def test_names_that_look_like_numbers_stay_names(
    tmp_path: Path, baseline: pd.DataFrame, scores: pd.DataFrame
) -> None:
    """An image 001 is not an image 1, and commas and letters of any language are kept."""
    names = ["001", "1e5", "p.a., left", "Lunge_ä", "04", "005"]
    baseline.assign(image=names, patient="007").to_csv(tmp_path / "baseline.csv", index=False)
    merged = read_baseline(tmp_path / "baseline.csv", scores.assign(image=names, patient="007"))
    assert merged["image"].tolist() == names
    assert merged["patient"].tolist() == ["007"] * 6


@pytest.mark.parametrize("change", ["fewer", "more", "other", "twice"])
def test_a_baseline_of_other_images_is_refused(
    tmp_path: Path, baseline: pd.DataFrame, scores: pd.DataFrame, change: str
) -> None:
    """Gains over a baseline on other images would mean nothing."""
    changed = {
        "fewer": baseline[:5],
        "more": pd.concat([baseline, baseline[:1].assign(image="6.png")]),
        "other": baseline.assign(image=[*baseline["image"][:5], "6.png"]),
        "twice": pd.concat([baseline, baseline[:1]]),
    }[change]
    changed.to_csv(tmp_path / "baseline.csv", index=False)
    with pytest.raises(DataError, match=r"other images than the test set.*--force baseline"):
        read_baseline(tmp_path / "baseline.csv", scores)


def test_a_missing_baseline_is_told(tmp_path: Path, scores: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"baseline\.csv is missing: run the baseline stage"):
        read_baseline(tmp_path / "baseline.csv", scores)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"image\n", b"a,b\n1,2\n"])
def test_a_damaged_baseline_is_told(tmp_path: Path, scores: pd.DataFrame, content: bytes) -> None:
    """A file that was cut or overwritten is no bug of the program."""
    (tmp_path / "baseline.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"baseline\.csv"):
        read_baseline(tmp_path / "baseline.csv", scores)


# ------------------------------------------------------------------ pictures


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Reference, dict[str, Scores]]]:
    """Return the panels that are drawn: file name, title, reference, scores."""
    calls: list[tuple[str, str, Reference, dict[str, Scores]]] = []

    def draw(path: Path, title: str, against: Reference, _: Any, scores: dict[str, Scores]) -> None:
        calls.append((path.name, title, against, scores))
        path.write_bytes(b"panel")

    monkeypatch.setattr(report, "comparison_panel", draw)
    return calls


def test_worst_median_and_best_are_by_masked_psnr(
    tmp_path: Path,
    packed: Packed,
    model: SwiftSRGAN,
    scores: pd.DataFrame,
    drawn: list[tuple[str, str, Reference, dict[str, Scores]]],
) -> None:
    """Whole-image PSNR, in which burned-in text counts, would choose others."""
    table = scores.assign(psnr_masked=[3.0, 6.0, 1.0, 5.0, 2.0, 4.0], psnr=[9, 1, 9, 1, 1, 1])
    files = draw_pictures(tmp_path / "panels", table, packed, {"SR": model}, "cpu", None)
    assert files == [tmp_path / "panels" / f"{name}.png" for name in ("worst", "median", "best")]
    assert [path.read_bytes() for path in files] == [b"panel"] * 3
    for (name, title, against, told), place, image in zip(
        drawn, ("worst", "median", "best"), (2, 5, 1), strict=True
    ):
        assert name == f"{place}.png"
        assert title == f"{place} of 6 test images by masked PSNR: {image}.png"
        assert np.array_equal(against.hr, packed.hr(image))
        assert list(told) == ["bicubic", "SR"]
        assert told["SR"].psnr == scores["psnr"].iloc[image]


def test_every_generator_is_in_the_panels(
    tmp_path: Path,
    packed: Packed,
    model: SwiftSRGAN,
    scores: pd.DataFrame,
    drawn: list[tuple[str, str, Reference, dict[str, Scores]]],
) -> None:
    """Under the names given; the images are those of the last one, whose scores the table has."""
    torch.manual_seed(1)
    other = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=True)
    models = {"pixel": other, "adversarial": model}
    draw_pictures(tmp_path / "panels", scores, packed, models, "cpu", None)
    for _, title, against, told in drawn:
        assert list(told) == ["bicubic", "pixel", "adversarial"]
        assert told["adversarial"].psnr in scores["psnr"].tolist()
        wanted = score(super_resolve(other, against.lr), against)
        assert told["pixel"] == wanted, title


def test_a_curve_is_drawn_beside_the_panels(
    tmp_path: Path,
    packed: Packed,
    model: SwiftSRGAN,
    scores: pd.DataFrame,
    drawn: list[tuple[str, str, Reference, dict[str, Scores]]],
) -> None:
    """Where there is one."""
    points = pd.DataFrame([{"alpha": alpha, **dict.fromkeys(SCORES, alpha)} for alpha in (0, 1)])
    curve = Curve(points, dict.fromkeys(SCORES, 2.0), 6)
    files = draw_pictures(tmp_path / "panels", scores, packed, {"SR": model}, "cpu", curve)
    assert [path.name for path in files] == ["worst.png", "median.png", "best.png", "curve.png"]
    assert sorted((tmp_path / "panels").iterdir()) == sorted(files)
    assert len(drawn) == 3
    with Image.open(files[-1]) as opened:
        opened.load()
        assert opened.format == "PNG"


def test_equal_scores_are_ordered_by_name(
    tmp_path: Path,
    packed: Packed,
    model: SwiftSRGAN,
    scores: pd.DataFrame,
    drawn: list[tuple[str, str, Reference, dict[str, Scores]]],
) -> None:
    """The same evaluation draws the same images, whatever the order of the table."""
    for table in (scores.assign(psnr_masked=1.0), scores.assign(psnr_masked=1.0)[::-1]):
        drawn.clear()
        draw_pictures(tmp_path / "panels", table, packed, {"SR": model}, "cpu", None)
        assert [title.rpartition(" ")[2] for _, title, _, _ in drawn] == [
            "0.png",
            "3.png",
            "5.png",
        ]


def test_one_test_image_is_worst_median_and_best(
    tmp_path: Path, packed: Packed, model: SwiftSRGAN, scores: pd.DataFrame
) -> None:
    """Drawn for real: three pictures that open, and nothing else in the folder, old files gone."""
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels" / "old.png").write_text("old")
    files = draw_pictures(tmp_path / "panels", scores[:1], packed, {"SR": model}, "cpu", None)
    assert sorted((tmp_path / "panels").iterdir()) == sorted(files)
    for path in files:
        with Image.open(path) as opened:
            opened.load()
            assert opened.size == (1280, 688)


def test_a_panel_that_fails_leaves_the_old_ones(
    tmp_path: Path,
    packed: Packed,
    model: SwiftSRGAN,
    scores: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Either all three are new or none is."""
    old = tmp_path / "panels" / "worst.png"
    old.parent.mkdir()
    old.write_text("old")

    def fail(path: Path, *_: Any) -> None:
        path.write_text("new")
        if path.name == "best.png":
            raise OutputError("disk full", "disk full")

    monkeypatch.setattr(report, "comparison_panel", fail)
    with pytest.raises(OutputError):
        draw_pictures(old.parent, scores, packed, {"SR": model}, "cpu", None)
    assert [path.name for path in old.parent.iterdir()] == ["worst.png"]
    assert old.read_text() == "old"


# ------------------------------------------------------------------ numbers


def test_all_means_are_flat(baseline: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Means of the scores and of the gains, under names that MLflow can sort by."""
    table = with_gains(scores.merge(baseline.drop(columns="patient"), on="image"))
    noisy = {"psnr": {"mean": 30.0}, "psnr_masked": {"mean": 31.0}}
    metrics = {**summary(table, samples=100, seed=0), "acquisitions": {"noise_2": noisy}}
    flat = flat_means(metrics)
    assert set(flat) == {f"test_{name}" for name in NAMES} | {"test_noise_2_psnr_masked"} | {
        f"test_over_{method}_{name}" for method in BASELINES for name in NAMES
    }
    assert flat["test_noise_2_psnr_masked"] == 31
    assert flat["test_psnr"] == metrics["psnr"]["mean"]
    assert flat["test_over_bicubic_bp_ssim"] == metrics["over_bicubic_bp"]["ssim"]["mean"]
    few = headline(metrics)
    assert few == {
        "test_psnr": flat["test_psnr"],
        "test_masked": flat["test_psnr_masked"],
        "test_ssim": flat["test_ssim"],
        "test_lr_psnr": flat["test_lr_psnr"],
        "test_content": flat["test_content_distance"],
        "gain": flat["test_over_bicubic_psnr"],
        "gain_masked": flat["test_over_bicubic_psnr_masked"],
    }


def test_the_results_table_is_what_the_metrics_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Baselines first, then the generator; below, images, patients and the gains."""

    def values(start: float) -> dict[str, float]:
        return {name: start + index for index, name in enumerate(NAMES)}

    def gain(mean: float, better: int) -> dict[str, float]:
        return {"mean": mean, "low": mean - 1, "high": mean + 1, "better_images": better}

    gains = {name: gain(0.5, 3) for name in NAMES} | {"psnr_masked": gain(-0.25, 1)}
    evaluated: dict[str, Any] = {name: {"mean": value} for name, value in values(30).items()}
    evaluated |= {
        "consistent": False,
        "images": 4,
        "patients": 3,
        "over_bicubic": gains,
        "over_bicubic_bp": gains,
    }
    monkeypatch.chdir(tmp_path)
    Path("metrics").mkdir()
    Path("metrics/baseline.json").write_text(
        json.dumps({"images": 4, "bicubic": values(10), "bicubic_bp": values(20)})
    )
    Path("metrics/evaluate.json").write_text(json.dumps(evaluated))

    lines = results_table().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:5]]
    for row, (name, start) in zip(
        rows,
        {"bicubic": 10, "bicubic + back-projection": 20, "trained generator": 30}.items(),
        strict=True,
    ):
        told = values(start)
        assert row == [
            name,
            f"{told['psnr']:.2f}",
            f"{told['psnr_masked']:.2f}",
            f"{told['ssim']:.4f}",
            f"{told['ssim_masked']:.4f}",
            f"{told['lr_psnr']:.2f}",
            f"{told['content_distance']:.2f}",
        ]
    assert lines[5:] == [
        "",
        "Mean over 4 test images of 3 patients.",
        "Over bicubic (95% interval over patients): PSNR +0.50 [-0.50, +1.50] dB, "
        "masked -0.25 [-1.25, +0.75] dB, better on 3 and 1 images.",
        "Over bicubic + back-projection (95% interval over patients): "
        "PSNR +0.50 [-0.50, +1.50] dB, masked -0.25 [-1.25, +0.75] dB, better on 3 and 1 images.",
    ]


def test_results_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the file and what makes it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"metrics/baseline\.json is missing: run `make repro`"):
        results_table()
