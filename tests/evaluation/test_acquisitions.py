"""Generators and simple methods are scored on the same recorded LR images."""

import functools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage

from srpipe.data.packed import Packed, Pair
from srpipe.evaluation.acquisitions import COLUMNS, draw, means, scored, scored_images, summary
from srpipe.imaging.arrays import GreyImage, RecordedImage
from srpipe.imaging.resample import bicubic, downsample
from srpipe.metrics.error import psnr, squared_error
from srpipe.metrics.mask import anatomy_mask
from srpipe.settings.acquisition import Acquisition

NOISY = {"noise_4": Acquisition(noise=4.0), "noise_16": Acquisition(noise=16.0)}


def upscale(lr: RecordedImage) -> GreyImage:
    """Stand for a generator: bicubic, one grey level brighter."""
    return np.asarray(np.clip(bicubic(lr, 4).astype(int) + 1, 0, 255), np.uint8)


def smooth(seed: int = 0, side: int = 192) -> Pair:
    """Return a smooth image, on which denoising pays."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 12)
    hr = np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
    return Pair(f"{seed}.png", f"p{seed}", "", hr, downsample(hr, 4))


def table(count: int = 3, seed: int = 0) -> pd.DataFrame:
    """Return the scores of some smooth images."""
    acquisitions = {"ideal": Acquisition(), **NOISY, "deep": Acquisition(bits=12)}
    rows = [
        scored(
            smooth(index),
            acquisitions,
            {"model": upscale},
            {"denoised_model": upscale},
            scale=4,
            seed=seed,
        )
        for index in range(count)
    ]
    return pd.DataFrame([row for part in rows for row in part])


def test_an_image_without_anatomy_has_whole_scores() -> None:
    """As in all other scores: where the mask is empty, the masked mean is that of all pixels."""
    hr = np.kron(np.random.default_rng(0).integers(0, 2, (24, 24)) * 255, np.ones((4, 4), int))
    pair = Pair("0.png", "p0", "", hr.astype(np.uint8), downsample(hr.astype(np.uint8), 4))
    assert not anatomy_mask(pair.hr).any()
    rows = scored(pair, {"ideal": Acquisition()}, {"model": upscale}, {}, scale=4, seed=0)
    assert [row["psnr_masked"] for row in rows] == [row["psnr"] for row in rows]


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return table()


def value(found: pd.DataFrame, acquisition: str, method: str, score: str = "psnr") -> float:
    """Return a mean score."""
    average = means(found).set_index(["acquisition", "method"])
    return float(average.loc[(acquisition, method), score])


def test_the_ideal_row_is_what_evaluation_scores(found: pd.DataFrame) -> None:
    pair = smooth(1)
    (row,) = found[
        (found["image"] == "1.png")
        & (found["acquisition"] == "ideal")
        & (found["method"] == "model")
    ].to_dict("records")
    error = squared_error(upscale(pair.lr), pair.hr)
    assert row["psnr"] == psnr(float(error.mean()))
    assert row["psnr_masked"] == psnr(float(error[anatomy_mask(pair.hr)].mean()))
    assert row["patient"] == "p1"
    assert tuple(found.columns) == COLUMNS


def test_noise_costs_and_denoising_helps(found: pd.DataFrame) -> None:
    for method in ("bicubic", "bicubic_bp", "model"):
        levels = [value(found, name, method) for name in ("ideal", "noise_4", "noise_16")]
        assert levels == sorted(levels, reverse=True)
    assert value(found, "noise_16", "denoised") > value(found, "noise_16", "bicubic") + 3
    # Back-projection copies noise.
    assert value(found, "noise_16", "bicubic_bp") < value(found, "noise_16", "bicubic")


def test_nothing_is_denoised_where_there_is_no_noise(found: pd.DataFrame) -> None:
    denoised = found[found["method"].str.startswith("denoised")]
    assert set(denoised["acquisition"]) == set(NOISY)


def test_more_bits_are_no_loss(found: pd.DataFrame) -> None:
    for method in ("bicubic", "bicubic_bp", "model"):
        assert value(found, "deep", method) >= value(found, "ideal", method) - 0.05


def test_noise_depends_on_image_and_seed(found: pd.DataFrame) -> None:
    assert table().equals(found)
    other = table(seed=1)
    same = other[other["acquisition"] == "ideal"].equals(found[found["acquisition"] == "ideal"])
    assert same
    assert not other.equals(found)


def test_the_model_is_compared_with_the_best_simple_method(found: pd.DataFrame) -> None:
    """Paired by image; the model after denoising is no simple method."""
    metrics = summary(found, samples=200, seed=0)
    assert list(metrics) == ["ideal", "noise_4", "noise_16", "deep"]
    noisy = metrics["noise_16"]["psnr"]
    assert noisy["over_best"]["method"] == "denoised"
    gain = value(found, "noise_16", "model") - value(found, "noise_16", "denoised")
    assert noisy["over_best"]["mean"] == pytest.approx(gain, abs=1e-3)
    assert noisy["over_best"]["better_images"] == 0
    assert noisy["low"] <= noisy["mean"] <= noisy["high"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_packed_images_are_scored_under_the_ideal_acquisition_too(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """In the order given, and alike by any number of workers or by this process for a GPU."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    images = packed.manifest["image"].tolist()[1::-1]
    acquisitions = {"ideal": Acquisition(), **NOISY}
    generators = {"model": upscale}, {"denoised_model": upscale}
    pairs = [packed.pair(row) for row in (1, 0)]
    wanted = [
        row
        for pair in pairs
        for row in scored(pair, acquisitions, *generators, scale=packed.scale, seed=0)
    ]
    for device in ("cpu", "cuda"):
        rows = scored_images(packed, images, NOISY, upscale, seed=0, device=device)
        assert rows.to_dict("records") == wanted


def record(main: int, lr: RecordedImage) -> GreyImage:
    """Make an SR image, grey by the process that made it and by torch's threads there."""
    value = 100 * (os.getpid() != main) + torch.get_num_threads()
    return np.full((lr.shape[0] * 4, lr.shape[1] * 4), value, np.uint8)


@pytest.mark.parametrize(("device", "value"), [("cpu", 101), ("cuda:1", 1)])
def test_workers_score_acquisitions_on_a_cpu_alone(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, device: str, value: int
) -> None:
    """On one thread each; with a GPU this process does."""
    monkeypatch.setenv("SRPIPE_WORKERS", "2")
    images = packed.manifest["image"].tolist()[:2]
    made = functools.partial(record, os.getpid())
    rows = scored_images(packed, images, {}, made, seed=0, device=device)
    for index, found in enumerate(rows[rows["method"] == "model"]["psnr"]):
        error = squared_error(np.full_like(packed.hr(index), value), packed.hr(index))
        assert found == psnr(float(error.mean()))


def test_the_plot_is_a_picture(tmp_path: Path, found: pd.DataFrame) -> None:
    draw(tmp_path / "plot.png", found)
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(2**20) or []) > 20
