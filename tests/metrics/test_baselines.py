"""Denoising knows the noise, and does not blur what has none."""

import numpy as np

from srpipe.imaging.resample import downsample
from srpipe.metrics.baselines import denoised
from tests.conftest import MakeImage


def test_denoising_brings_a_noisy_image_nearer_to_its_truth(make_image: MakeImage) -> None:
    """In 8 and in 16 bits alike."""
    hr = np.kron(make_image(0, 64, 64) // 4 * 2, np.ones((8, 8), np.uint8)).astype(np.uint8)
    true = downsample(hr, 4).astype(float)
    noisy = np.clip(true + np.random.default_rng(0).normal(0, 8, true.shape), 0, 255)
    before = np.mean((noisy - true) ** 2)
    eight = denoised(np.rint(noisy).astype(np.uint8), 8 / 255)
    sixteen = denoised(np.rint(noisy * 257).astype(np.uint16), 8 / 255)
    for clean in (eight, sixteen):
        assert clean.dtype == np.uint8
        assert np.mean((clean - true) ** 2) < 0.8 * before
