"""Every method makes its image, and denoising knows the noise."""

from pathlib import Path

import numpy as np
import pytest

from srpipe.acquisition.detector import acquire
from srpipe.core.errors import CheckpointError
from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.observer.methods import (
    ACQUISITIONS,
    DEFAULT,
    DENOISED,
    all_images,
    denoised,
    generators,
    noise_level,
)
from srpipe.imaging.resample import bicubic, downsample
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.released import weights_file
from tests.conftest import MakeImage


def test_the_acquisitions_are_those_that_are_named() -> None:
    assert list(ACQUISITIONS) == [
        "ideal", "noise 2", "noise 4", "noise 8", "dose 1/2", "dose 1/4", "dose 1/8"
    ]  # fmt: skip
    assert ACQUISITIONS["noise 4"].noise == 4
    assert ACQUISITIONS["dose 1/8"].dose == 1 / 8


@pytest.mark.parametrize("name", [name for name in ACQUISITIONS if name != "ideal"])
def test_the_noise_level_is_the_recorded_one(name: str) -> None:
    """Of a flat image, rounding to 8 bits added."""
    hr = np.full((800, 800), 120, np.uint8)
    lr = acquire(hr, 4, ACQUISITIONS[name], np.random.default_rng(0)).astype(np.uint8)
    expected = np.hypot(noise_level(lr, ACQUISITIONS[name]) * 255, 1 / 12**0.5)
    assert lr.std() == pytest.approx(expected, rel=0.03)


def test_denoising_brings_a_noisy_image_nearer_to_its_truth(make_image: MakeImage) -> None:
    """And changes nothing where there is no noise."""
    hr = np.kron(make_image(0, 64, 64) // 4 * 2, np.ones((8, 8), np.uint8)).astype(np.uint8)
    true = downsample(hr, 4)
    how = ACQUISITIONS["noise 8"]
    lr = acquire(hr, 4, how, np.random.default_rng(0)).astype(np.uint8)
    before, after = (
        np.mean((image.astype(float) - true) ** 2) for image in (lr, denoised(lr, how))
    )
    assert after < 0.8 * before
    assert np.array_equal(denoised(true, ACQUISITIONS["ideal"]), true)


def test_every_method_makes_its_image(make_image: MakeImage) -> None:
    lr = make_image(0, 24, 20)
    how = ACQUISITIONS["noise 8"]
    found = all_images(lr, how, generators(DEFAULT))
    assert list(found) == [BICUBIC, DENOISED, *DEFAULT]
    assert np.array_equal(found[BICUBIC], bicubic(lr, 4))
    assert np.array_equal(found[DENOISED], bicubic(denoised(lr, how), 4))
    for name in DEFAULT:
        model = load_generator(weights_file(name)).model
        assert np.array_equal(found[name], super_resolve(model, lr))


def test_two_generators_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "plain_sr_x4.safetensors"
    file.write_bytes(weights_file("plain_sr_x4").read_bytes())
    with pytest.raises(CheckpointError, match="would both be called plain_sr_x4: rename one"):
        generators(["plain_sr_x4", str(file)])
    with pytest.raises(CheckpointError, match="does not exist"):
        generators(["nothing"])
