"""Every method makes its image, and denoising knows the noise."""

from pathlib import Path

import numpy as np
import pytest

from srpipe.acquisition.detector import noise_level
from srpipe.core.errors import CheckpointError
from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.observer.methods import (
    ACQUISITIONS,
    CONSISTENT,
    DEFAULT,
    DENOISED,
    all_images,
    generators,
)
from srpipe.imaging.resample import bicubic, downsample
from srpipe.metrics.baselines import denoised
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


def test_every_method_makes_its_image(make_image: MakeImage) -> None:
    lr = make_image(0, 24, 20)
    how = ACQUISITIONS["noise 8"]
    found = all_images(lr, how, generators(DEFAULT))
    assert list(found) == [BICUBIC, DENOISED, *DEFAULT, DEFAULT[0] + CONSISTENT]
    assert np.array_equal(found[BICUBIC], bicubic(lr, 4))
    assert np.array_equal(found[DENOISED], bicubic(denoised(lr, noise_level(how, lr, 4)), 4))
    for name in DEFAULT:
        model = load_generator(weights_file(name)).model
        assert np.array_equal(found[name], super_resolve(model, lr))
    agreeing = downsample(found[DEFAULT[0] + CONSISTENT], 4).astype(int)
    assert np.abs(agreeing - lr).max() <= 1
    assert np.abs(downsample(found[DEFAULT[0]], 4).astype(int) - lr).max() > 5


def test_two_generators_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "plain_sr_x4.safetensors"
    file.write_bytes(weights_file("plain_sr_x4").read_bytes())
    with pytest.raises(CheckpointError, match="would both be called plain_sr_x4: rename one"):
        generators(["plain_sr_x4", str(file)])
    with pytest.raises(CheckpointError, match="does not exist"):
        generators(["nothing"])
