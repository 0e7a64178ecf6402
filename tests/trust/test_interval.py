"""An interval is wide where the generator had to guess, and travels with its weights."""

from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import CheckpointError
from srpipe.imaging.resample import downsample
from srpipe.models.checkpoint import LoadedGenerator, load_generator, save_released
from srpipe.models.plain_sr import PlainSR
from srpipe.trust.interval import DETAILS, RESIDUALS, Interval, features, of_record, spread
from tests.conftest import MakeImage

TINY = {"channels": 1, "features": 4, "blocks": 1, "scale": 4, "bicubic_skip": True}
# log2 of the half width is the mean of both features.
TABLE = tuple(tuple((r + d) / 2 for d in DETAILS) for r in RESIDUALS)
MADE = Interval(0.9, 2.0, TABLE, {"patients": 100})


def test_the_table_is_interpolated_and_kept_at_its_ends() -> None:
    table = np.asarray(TABLE)
    at = np.array([[0.0, 0.5, -9.0], [1.0, 2.5, 99.0]], np.float32)
    expected = [2**0.5, 2**1.5, 2 ** ((RESIDUALS[0] + DETAILS[-1]) / 2)]
    assert spread(table, at).tolist() == pytest.approx(expected, rel=1e-5)


def test_noise_in_lr_and_detail_in_sr_widen_it(make_image: MakeImage) -> None:
    hr = make_image(0, 256, 256)
    sr = hr.astype(np.float32) / np.float32(255)
    lr = downsample(hr, 4)
    noise = np.random.default_rng(0).normal(0, 6, lr.shape)
    noisy = np.clip(lr + noise, 0, 255).astype(np.uint8)
    clean_width, noisy_width = (MADE.half_width(sr, each) for each in (lr, noisy))
    assert clean_width.shape == hr.shape
    assert (noisy_width > 2 * clean_width).mean() > 0.9
    # A residual of 6 grey levels' mean absolute value.
    residual = features(sr, noisy)[0]
    assert 2 ** float(np.median(residual)) == pytest.approx(6 * (2 / np.pi) ** 0.5, rel=0.1)


def test_bounds_enclose_sr_and_stay_in_range(make_image: MakeImage) -> None:
    hr = make_image(1, 128, 160)
    sr = hr.astype(np.float32) / np.float32(255)
    low, high = MADE.bounds(sr, downsample(hr, 4))
    assert (low <= sr).all()
    assert (sr <= high).all()
    assert low.min() >= 0
    assert high.max() <= 1
    assert low.dtype == high.dtype == np.float32


def test_an_lr_image_of_floats_is_the_same_one(make_image: MakeImage) -> None:
    """As users have it, who give such to the generator: 0..1 for 0..255."""
    hr = make_image(1, 128, 160)
    sr, lr = hr.astype(np.float32) / np.float32(255), downsample(hr, 4)
    expected = MADE.half_width(sr, lr)
    for floats in (lr / np.float32(255), lr / 255):
        found = MADE.half_width(sr, floats)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_it_travels_with_the_weights(tmp_path: Path) -> None:
    loaded = LoadedGenerator(PlainSR(**TINY), "plain_sr", TINY, 4, {})
    save_released(tmp_path / "a.safetensors", loaded, {"interval": MADE.record()})
    assert of_record(load_generator(tmp_path / "a.safetensors").record, "a") == MADE


def test_weights_without_one_say_so() -> None:
    with pytest.raises(CheckpointError, match=r"mine\.pt has no calibrated interval"):
        of_record({}, "mine.pt")
    for broken in ({}, {**MADE.record(), "table": [[1.0]]}, {**MADE.record(), "level": "high"}):
        with pytest.raises(CheckpointError, match="cannot be read"):
            of_record({"interval": broken}, "mine.pt")
