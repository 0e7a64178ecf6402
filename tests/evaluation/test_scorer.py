"""The one scorer: methods compared with HR, under the names that tables use."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from srpipe.data.packed import Packed
from srpipe.evaluation.scorer import baselines, scores
from srpipe.imaging.resample import back_project, bicubic
from srpipe.metrics.baselines import BASELINES, baseline_images
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.inference import super_resolve
from srpipe.models.srresnet import SwiftSRGAN
from tests.conftest import MakeImage
from tests.evaluation.rows import baseline_row, model_row

NAMES = Scores.names()


def test_baselines_are_bicubic_without_and_with_back_projection(make_image: MakeImage) -> None:
    """At the LR image's own size times scale; more steps are more faithful to it."""
    lr = make_image(0, 20, 24)
    made = baseline_images(lr, 4, 3)
    assert tuple(made) == BASELINES == ("bicubic", "bicubic_bp")
    assert np.array_equal(made["bicubic"], bicubic(lr, 4))
    assert np.array_equal(made["bicubic_bp"], back_project(lr, 4, 3))


def test_a_baseline_row_says_whose_image_it_is(packed: Packed) -> None:
    """Image, patient, then each score of each baseline under its prefix."""
    row = baseline_row(packed, 2)
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
    assert {key: row[key] for key in list(row)[2:]} == scores(
        packed.hr(2), packed.lr(2), baselines(4, 3, packed.lr(2))
    )


def test_a_model_row_is_the_scorers(packed: Packed) -> None:
    """The model is compared with the same reference as the baselines."""
    torch.manual_seed(0)
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=False)
    row = model_row(model, packed, 3)
    against = reference(packed.hr(3), packed.lr(3))
    expected = score(super_resolve(model, packed.lr(3)), against)
    assert row == {"image": "3.png", "patient": "p3", **asdict(expected)}


def test_a_model_row_can_be_of_consistent_images(packed: Packed) -> None:
    """They downsample to LR; without being asked they do not."""
    torch.manual_seed(0)
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=True)
    plain = model_row(model, packed, 3)
    row = model_row(model, packed, 3, consistent=True)
    against = reference(packed.hr(3), packed.lr(3))
    expected = score(super_resolve(model, packed.lr(3), consistent=True), against)
    assert row == {"image": "3.png", "patient": "p3", **asdict(expected)}
    assert row["lr_psnr"] > plain["lr_psnr"] + 5
    assert row["psnr"] > plain["psnr"]


def test_the_skip_alone_is_bicubic(packed: Packed) -> None:
    """An untrained generator with bicubic_skip scores what bicubic scores, to rounding."""
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=4, bicubic_skip=True)
    ours, theirs = model_row(model, packed, 0), baseline_row(packed, 0, 1)
    assert ours["psnr"] == pytest.approx(theirs["bicubic_psnr"], abs=0.05)
    assert ours["ssim"] == pytest.approx(theirs["bicubic_ssim"], abs=0.002)
