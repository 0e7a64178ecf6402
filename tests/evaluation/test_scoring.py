"""Scores of methods on images, and the numbers that are made of them."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from srpipe.metrics.tables import means, text_table

from srpipe.data.packed import Packed
from srpipe.evaluation.scoring import model_row, summary, with_gains
from srpipe.imaging.resample import back_project, bicubic
from srpipe.metrics.baselines import BASELINES, baseline_images, baseline_row, baseline_scores
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.inference import super_resolve
from srpipe.models.srresnet import SwiftSRGAN
from tests.conftest import MakeImage

NAMES = Scores.names()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return five images of four patients; the model's gain over bicubic is known.

    Its PSNR is better by 1, 2, 3, -1 and 0 dB; every other score is equal.
    """
    gains = [1.0, 2.0, 3.0, -1.0, 0.0]
    rows = []
    for index, gain in enumerate(gains):
        row: dict[str, str | float] = {"image": f"{index}.png", "patient": "aabcd"[index]}
        row |= {name: 30.0 + index + (gain if name == "psnr" else 0) for name in NAMES}
        row |= {f"{baseline}_{name}": 30.0 + index for baseline in BASELINES for name in NAMES}
        rows.append(row)
    return pd.DataFrame(rows)


def test_baselines_are_bicubic_without_and_with_back_projection(make_image: MakeImage) -> None:
    """At the LR image's own size times scale; more steps are more faithful to it."""
    lr = make_image(0, 20, 24)
    made = baseline_images(lr, 4, 3)
    assert tuple(made) == BASELINES == ("bicubic", "bicubic_bp")
    assert np.array_equal(made["bicubic"], bicubic(lr, 4))
    assert np.array_equal(made["bicubic_bp"], back_project(lr, 4, 3))


def test_a_baseline_row_says_whose_image_it_is(packed: Packed) -> None:
    """Image, patient, then each score of each baseline under its prefix."""
    row = baseline_row(packed.folder, 3, 2)
    assert list(row) == [
        "image",
        "patient",
        *(f"bicubic_{name}" for name in NAMES),
        *(f"bicubic_bp_{name}" for name in NAMES),
    ]
    assert (row["image"], row["patient"]) == ("2.png", "p2")
    against = reference(packed.hr(2), packed.lr(2))
    expected = score(bicubic(packed.lr(2), 4), against)
    assert [row[f"bicubic_{name}"] for name in NAMES] == list(asdict(expected).values())
    assert {key: row[key] for key in list(row)[2:]} == baseline_scores(against, 3)


def test_a_model_row_is_the_scorers(packed: Packed) -> None:
    """The model is judged against the same reference as the baselines."""
    torch.manual_seed(0)
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=False)
    row = model_row(model, packed, 3, "cpu")
    against = reference(packed.hr(3), packed.lr(3))
    expected = score(super_resolve(model, packed.lr(3)), against)
    assert row == {"image": "3.png", "patient": "p3", **asdict(expected)}


def test_a_model_row_can_be_of_consistent_images(packed: Packed) -> None:
    """They downsample to LR; without being asked they do not."""
    torch.manual_seed(0)
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=True)
    plain = model_row(model, packed, 3, "cpu")
    row = model_row(model, packed, 3, "cpu", consistent=True)
    against = reference(packed.hr(3), packed.lr(3))
    expected = score(super_resolve(model, packed.lr(3), consistent=True), against)
    assert row == {"image": "3.png", "patient": "p3", **asdict(expected)}
    assert row["lr_psnr"] > plain["lr_psnr"] + 5
    assert row["psnr"] > plain["psnr"]


def test_the_skip_alone_is_bicubic(packed: Packed) -> None:
    """An untrained generator with bicubic_skip scores what bicubic scores, to rounding."""
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=True)
    ours, theirs = model_row(model, packed, 0, "cpu"), baseline_row(packed.folder, 1, 0)
    assert ours["psnr"] == pytest.approx(theirs["bicubic_psnr"], abs=0.05)
    assert ours["ssim"] == pytest.approx(theirs["bicubic_ssim"], abs=0.002)


def test_means_are_over_images_and_rounded(table: pd.DataFrame) -> None:
    """Every score once, of the method that the prefix names."""
    assert means(table) == {name: 33.0 if name == "psnr" else 32.0 for name in NAMES}
    assert means(table, "bicubic_") == dict.fromkeys(NAMES, 32.0)
    thirds = pd.DataFrame({name: [0.0, 0.0, 1.0] for name in NAMES})
    assert set(means(thirds).values()) == {0.3333}


def test_a_mean_that_is_not_finite_is_refused(table: pd.DataFrame) -> None:
    """No metrics file says NaN."""
    with pytest.raises(ValueError, match="finite"):
        means(table.assign(psnr=float("nan")))


def test_gains_are_taken_image_by_image(table: pd.DataFrame) -> None:
    """The columns that were there stay; the table given is not changed."""
    before = table.copy()
    gained = with_gains(table)
    assert gained["over_bicubic_psnr"].tolist() == [1.0, 2.0, 3.0, -1.0, 0.0]
    assert gained["over_bicubic_bp_ssim"].tolist() == [0.0] * 5
    assert list(gained)[: len(before.columns)] == list(before)
    assert len(gained.columns) == len(before.columns) + len(BASELINES) * len(NAMES)
    pd.testing.assert_frame_equal(table, before)


def test_a_summary_has_means_intervals_and_counts(table: pd.DataFrame) -> None:
    """Intervals are over patients; an image that is equal is not better."""
    result = summary(with_gains(table), samples=500, seed=0)
    assert list(result) == ["images", "patients", *NAMES, "over_bicubic", "over_bicubic_bp"]
    assert (result["images"], result["patients"]) == (5, 4)
    assert set(result["psnr"]) == {"mean", "low", "high"}
    gain = result["over_bicubic"]["psnr"]
    assert set(gain) == {"mean", "low", "high", "better_images"}
    assert (gain["mean"], gain["better_images"]) == (1.0, 3)
    assert -1 <= gain["low"] < gain["mean"] < gain["high"] <= 3
    assert result["over_bicubic_bp"]["ssim"] == {
        "mean": 0.0,
        "low": 0.0,
        "high": 0.0,
        "better_images": 0,
    }


def test_of_a_distance_the_lower_is_better(table: pd.DataFrame) -> None:
    """Gains stay differences; an image counts as better where its distance is the lower."""
    nearer = table.assign(content_distance=table["bicubic_content_distance"] + [-2, -1, -1, 3, 0])
    gain = summary(with_gains(nearer), samples=100, seed=0)["over_bicubic"]["content_distance"]
    assert (gain["mean"], gain["better_images"]) == (-0.2, 3)


def test_a_summary_depends_on_its_seed_alone(table: pd.DataFrame) -> None:
    """The same seed gives the same intervals, the order of images does not matter for means."""
    gained = with_gains(table)
    first = summary(gained, samples=200, seed=3)
    assert summary(gained, samples=200, seed=3) == first
    other = summary(gained, samples=200, seed=4)
    assert other["psnr"]["mean"] == first["psnr"]["mean"]
    assert other["psnr"] != first["psnr"]


def test_patients_are_drawn_whole(table: pd.DataFrame) -> None:
    """With all images of one patient there is nothing to resample: the interval is the mean."""
    result = summary(with_gains(table.assign(patient="a")), samples=100, seed=0)
    assert result["psnr"] == {"mean": 33.0, "low": 33.0, "high": 33.0}


def test_the_text_table_is_markdown_with_a_row_a_method() -> None:
    """PSNR and content distance with two digits, SSIM with four; notes stand below."""
    rows = {
        "bicubic": {name: 0.91234 if "ssim" in name else 36.456 for name in NAMES},
        "a longer name": {name: 0.9 if "ssim" in name else 7 for name in NAMES},
    }
    lines = text_table(rows, ["A note."]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == [
        "method",
        "PSNR (dB)",
        "PSNR masked (dB)",
        "SSIM",
        "SSIM masked",
        "LR-PSNR (dB)",
        "content dist.",
    ]
    assert all(set(cell) <= {"-", ":"} for cell in cells[1])
    assert cells[2] == ["bicubic", "36.46", "36.46", "0.9123", "0.9123", "36.46", "36.46"]
    assert cells[3] == ["a longer name", "7.00", "7.00", "0.9000", "0.9000", "7.00", "7.00"]
    assert lines[4:] == ["A note."]


def test_the_text_table_is_aligned_in_a_terminal() -> None:
    """Every bar stands below a bar."""
    rows = {
        name: {score: 0.5 if "ssim" in score else 40.0 for score in NAMES}
        for name in ("bicubic", "x", "a trained generator of a long name")
    }
    lines = text_table(rows).splitlines()
    places = [[i for i, letter in enumerate(line) if letter == "|"] for line in lines]
    assert all(place == places[0] for place in places)
