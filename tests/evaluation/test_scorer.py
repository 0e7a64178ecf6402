"""The one scorer: methods compared with HR, under the names that tables use."""

import functools
import os
from dataclasses import asdict

import numpy as np
import pytest
import torch

from srpipe.data.packed import Packed, packed_pair
from srpipe.evaluation.scorer import baselines, scored_pairs, scores
from srpipe.imaging.arrays import GreyImage
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


def where(main: int, lr: GreyImage) -> dict[str, GreyImage]:
    """Make an SR image, grey by the process that made it and by torch's threads there."""
    value = 100 * (os.getpid() != main) + torch.get_num_threads()
    return {"": np.full((lr.shape[0] * 4, lr.shape[1] * 4), value, np.uint8)}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_images_are_scored_alike_by_any_number_of_workers(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """In the order given; also those that another device than the CPU made in this process."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    load = functools.partial(packed_pair, packed.folder)
    methods = functools.partial(baselines, 4, 3)
    rows = [3, 0, 5]
    wanted = [baseline_row(packed, row) for row in rows]
    for device in ("cpu", "cuda"):
        assert list(scored_pairs(methods, load, rows, device, what="x")) == wanted


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_content_distances_are_those_of_the_sample(packed: Packed, device: str) -> None:
    """The others are missing; all other scores are those of every image."""
    load = functools.partial(packed_pair, packed.folder)
    methods = functools.partial(baselines, 4, 3)
    rows = scored_pairs(
        methods, load, [0, 1, 2], device, what="x", sample=frozenset({"1.png", "elsewhere.png"})
    )
    for index, (row, whole) in enumerate(
        zip(rows, [baseline_row(packed, row) for row in range(3)], strict=True)
    ):
        missing = {name for name, value in row.items() if value != value}
        distances = {name for name in row if name.endswith("content_distance")}
        assert missing == (set() if index == 1 else distances)
        assert {name: row[name] for name in row if name not in missing} == {
            name: value for name, value in whole.items() if name not in missing
        }


@pytest.mark.parametrize(
    ("device", "workers", "value"), [("cpu", "2", 101), ("cpu", "1", 1), ("cuda:1", "2", 2)]
)
def test_workers_make_images_on_a_cpu_alone(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, device: str, workers: str, value: int
) -> None:
    """On one thread each; a GPU's are made in this process, with its threads."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    load = functools.partial(packed_pair, packed.folder)
    methods = functools.partial(where, os.getpid())
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        found = list(scored_pairs(methods, load, [0, 1, 2], device, what="x"))
    finally:
        torch.set_num_threads(before)
    for row, index in zip(found, range(3), strict=True):
        hr, lr = packed.hr(index), packed.lr(index)
        assert row["psnr"] == score(np.full_like(hr, value), reference(hr, lr)).psnr


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
