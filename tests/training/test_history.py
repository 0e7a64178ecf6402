"""What training did is told in words, numbers and pictures."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srpipe.training.history import (
    EpochRecord,
    as_table,
    discriminator_state,
    epoch_record,
    headline,
    plot_losses,
    plot_validation,
    summary,
)

COLUMNS = [
    "epoch",
    "stage",
    "learning_rate",
    "loss",
    "loss_image",
    "loss_adversarial",
    "loss_content",
    "loss_total_variation",
    "loss_discriminator",
    "gradient_norm",
    "d_gradient_norm",
    "d_real",
    "d_fake",
    "d_real_accuracy",
    "d_fake_accuracy",
    "d_state",
    "psnr",
    "ssim",
    "psnr_masked",
    "lr_psnr",
    "content_distance",
]
PIXEL = EpochRecord(
    epoch=1,
    stage="pixel",
    learning_rate=0.0005,
    loss=0.0123456789,
    loss_image=0.0123456789,
    loss_adversarial=None,
    loss_content=None,
    loss_total_variation=None,
    loss_discriminator=None,
    gradient_norm=0.25,
    d_gradient_norm=None,
    d_real=None,
    d_fake=None,
    d_real_accuracy=None,
    d_fake_accuracy=None,
    d_state="off",
    psnr=36.5,
    ssim=0.91,
    psnr_masked=38.0,
    lr_psnr=44.0,
    content_distance=6.5,
)
ADVERSARIAL = EpochRecord(
    epoch=2,
    stage="adversarial",
    learning_rate=0.0001,
    loss=0.02,
    loss_image=0.011,
    loss_adversarial=0.7,
    loss_content=0.3,
    loss_total_variation=None,
    loss_discriminator=0.6,
    gradient_norm=0.5,
    d_gradient_norm=1.5,
    d_real=0.62,
    d_fake=0.41,
    d_real_accuracy=0.75,
    d_fake_accuracy=0.875,
    d_state="healthy",
    psnr=37.0,
    ssim=0.92,
    psnr_masked=39.0,
    lr_psnr=43.0,
    content_distance=5.5,
)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (0.6, 0.4, "healthy"),
        (0.995, 0.005, "saturated"),
        (0.985, 0.005, "healthy"),
        (0.995, 0.02, "healthy"),
        (0.5, 0.5, "blind"),
        (0.51, 0.495, "blind"),
        (0.53, 0.5, "healthy"),
        (0.3, 0.7, "blind"),
        (1.0, 1.0, "blind"),
        (1.0, 0.0, "saturated"),
        (0.0, 0.0, "blind"),
    ],
)
def test_the_discriminators_state(real: float, fake: float, expected: str) -> None:
    """Too good beyond 99% on both sides; no better than chance below a difference of 0.02."""
    assert discriminator_state(real, fake) == expected


def test_the_table_has_a_row_an_epoch() -> None:
    """The columns are the record's fields, in order; what was not measured is missing."""
    table = as_table([PIXEL, ADVERSARIAL])
    assert list(table.columns) == COLUMNS
    assert table["epoch"].tolist() == [1, 2]
    assert table["stage"].tolist() == ["pixel", "adversarial"]
    assert table["d_real"].isna().tolist() == [True, False]
    assert table["loss_adversarial"][1] == 0.7
    assert table["loss"][0] == pytest.approx(0.012346, abs=5e-7)


def test_an_empty_history_keeps_its_columns() -> None:
    """A table of no epoch is still a table."""
    assert list(as_table([]).columns) == COLUMNS


def test_numbers_are_what_was_measured() -> None:
    """Only measured floats: neither names nor the count of epochs nor what was off."""
    assert PIXEL.numbers() == {
        "learning_rate": 0.0005,
        "loss": 0.0123456789,
        "loss_image": 0.0123456789,
        "gradient_norm": 0.25,
        "psnr": 36.5,
        "ssim": 0.91,
        "psnr_masked": 38.0,
        "lr_psnr": 44.0,
        "content_distance": 6.5,
    }
    assert set(COLUMNS) - ADVERSARIAL.numbers().keys() == {
        "epoch",
        "stage",
        "d_state",
        "loss_total_variation",
    }


def test_mlflow_is_told_which_scores_are_validations() -> None:
    """Test scores are beside them; all else has the name that it has in the table."""
    tracked = PIXEL.tracked()
    assert tracked["validation_psnr"] == 36.5
    assert {name.removeprefix("validation_"): tracked[name] for name in tracked} == PIXEL.numbers()
    scores = {name for name in tracked if name.startswith("validation_")}
    assert len(scores) == 5
    assert set(tracked) - scores == {"learning_rate", "loss", "loss_image", "gradient_norm"}


def test_a_record_is_made_of_what_was_found() -> None:
    """The steps' means and the scores under their names in the table; what was off is None."""
    means = {"total": 0.0123456789, "image": 0.0123456789, "gradient_norm": 0.25}
    scores = {
        "psnr": 36.5,
        "ssim": 0.91,
        "psnr_masked": 38.0,
        "ssim_masked": 0.95,
        "lr_psnr": 44.0,
        "content_distance": 6.5,
    }
    assert epoch_record(1, False, 0.0005, means, scores) == PIXEL
    means = {
        "total": 0.02,
        "image": 0.011,
        "adversarial": 0.7,
        "content": 0.3,
        "gradient_norm": 0.5,
        "discriminator": 0.6,
        "discriminator_norm": 1.5,
        "real": 0.62,
        "fake": 0.41,
        "real_accuracy": 0.75,
        "fake_accuracy": 0.875,
    }
    scores |= {
        "psnr": 37.0,
        "ssim": 0.92,
        "psnr_masked": 39.0,
        "lr_psnr": 43.0,
        "content_distance": 5.5,
    }
    assert epoch_record(2, True, 0.0001, means, scores) == ADVERSARIAL
    blind = epoch_record(2, True, 0.0001, {**means, "real": 0.5, "fake": 0.5}, scores)
    assert blind.d_state == "blind"


def test_the_summary_is_of_the_last_epoch() -> None:
    """Rounded for a metrics file; collapsed epochs are counted over the adversarial ones."""
    validation = {"psnr": 36.5, "psnr_masked": 38.0, "ssim": 0.91}
    assert summary([PIXEL]) == {
        "epochs": 1,
        "loss": 0.012346,
        "validation": {**validation, "lr_psnr": 44.0, "content_distance": 6.5},
    }
    assert headline([ADVERSARIAL, PIXEL]) == {"val_psnr": 36.5, "val_masked": 38.0}
    blind = replace(ADVERSARIAL, d_state="blind")
    saturated = replace(ADVERSARIAL, epoch=3, d_state="saturated")
    last = replace(ADVERSARIAL, epoch=4, d_real=0.123456)
    adversarial = summary([PIXEL, blind, saturated, last])["discriminator"]
    assert adversarial == {
        "real_score": 0.1235,
        "fake_score": 0.41,
        "real_accuracy": 0.75,
        "fake_accuracy": 0.875,
        "state": "healthy",
        "collapsed_epochs": 2,
    }


@pytest.mark.parametrize("plot", [plot_losses, plot_validation])
@pytest.mark.parametrize("history", [[PIXEL], [PIXEL, ADVERSARIAL]], ids=["pixel", "both"])
def test_plots_are_pictures(tmp_path: Path, plot: object, history: list[EpochRecord]) -> None:
    """A PNG with ink on white in all three panels, the same bytes each time, into a new folder."""
    assert callable(plot)
    path = tmp_path / "new" / "plot.png"
    plot(history, path)
    data = path.read_bytes()
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    grey = np.asarray(image.convert("L"))
    assert grey.shape == (400, 1800)
    for panel in (grey[:, :600], grey[:, 600:1200], grey[:, 1200:]):
        assert panel.max() == 255
        assert (panel < 128).sum() > 300
    plot(history, path)
    assert path.read_bytes() == data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, bytes]:
    """Return both pictures of the history that the test below changes."""
    path = tmp_path_factory.mktemp("plots") / "plot.png"
    drawn: dict[Any, bytes] = {}
    for plot in (plot_losses, plot_validation):
        plot([PIXEL, ADVERSARIAL], path)
        drawn[plot] = path.read_bytes()
    return drawn


@pytest.mark.parametrize(
    ("plot", "change"),
    [
        (plot_losses, {"d_fake_accuracy": 0.5}),
        (plot_losses, {"d_gradient_norm": 0.75}),
        (plot_validation, {"psnr": 36.6}),
        (plot_validation, {"content_distance": 6.0}),
    ],
)
def test_plots_show_the_values(
    tmp_path: Path, pictures: dict[Any, bytes], plot: Any, change: dict[str, float]
) -> None:
    """Another value gives another picture."""
    plot([PIXEL, replace(ADVERSARIAL, **change)], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes() != pictures[plot]


def test_small_numbers_keep_their_digits() -> None:
    """A learning rate of 1.25e-7 or a loss of 3.64e-5 is not rounded away."""
    record = replace(PIXEL, learning_rate=1.25e-7, loss=3.64e-5)
    row = as_table([record]).iloc[0]
    assert (row["learning_rate"], row["loss"]) == (1.25e-7, 3.64e-5)
