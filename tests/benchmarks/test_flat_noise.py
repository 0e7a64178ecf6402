"""Known noise is found in flat blocks, whatever surface or coarse anatomy lies below it."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.flat_noise import FEWEST, SHARE, Array, bias, by_level, cut, flattest, spectra

RNG = np.random.default_rng(3)


def white(height: int, width: int, sigma: float = 1.0) -> Array:
    """Return white noise."""
    return sigma * RNG.standard_normal((height, width))


def bowl(side: int, depth: float) -> Array:
    """Return a smooth surface of one wavelength."""
    wave = np.cos(2 * np.pi * np.arange(side) / side)
    return depth * np.outer(wave, wave)


@pytest.mark.parametrize("side", [8, 16])
def test_white_noise_of_every_level_is_found_within_5_percent(side: int) -> None:
    """By both measures, each level with its own standard deviation, on a curved surface."""
    sigmas = {20: 0.5, 60: 2.0, 100: 8.0}
    parts = [level + bowl(512, 3.0) + white(512, 512, s) for level, s in sigmas.items()]
    found = by_level(cut(np.concatenate(parts), side), np.array([0, 40, 80, 120]))
    assert found == pytest.approx(np.array([list(sigmas.values())] * 2), rel=0.05)


def test_noise_that_changes_within_a_level_is_relative_to_what_is_expected() -> None:
    """Else blocks of less noise would pass for the flattest, and their noise for the level's."""
    level = np.tile(np.linspace(1, 9, 1024), (1024, 1))
    blocks = cut(level + np.sqrt(level) * white(1024, 1024), 8)
    edges = np.array([0.0, 10.0])
    found = by_level(blocks, edges, expected=blocks.level)
    assert found == pytest.approx(1, rel=0.05)
    assert by_level(blocks, edges)[1] < 0.8 * np.sqrt(blocks.level.mean())


def test_rounding_is_subtracted() -> None:
    """Noise of 0.6 rounded to whole numbers is found as 0.6; as it is, it would be 0.67."""
    image = np.rint(50 + white(1024, 1024, 0.6))
    edges = np.array([0.0, 100.0])
    assert by_level(cut(image, 16), edges, 1 / 12) == pytest.approx(0.6, rel=0.05)
    assert by_level(cut(image, 16), edges)[1] == pytest.approx(np.sqrt(0.6**2 + 1 / 12), rel=0.05)


def test_the_bias_of_white_noise_is_that_of_a_low_quantile() -> None:
    """The residual's is the quantile of chi with side^2 - 6 degrees of freedom; the flattest blocks
    have the detail of all.
    """
    for side in (8, 16):
        freedom = side**2 - 6
        sums = np.random.default_rng(0).chisquare(freedom, 200_000)
        expected = np.sqrt(np.quantile(sums, SHARE) / freedom)
        assert bias(side) == pytest.approx([expected, 1.0], rel=0.015)


def test_anatomy_raises_the_residual_and_not_the_detail() -> None:
    """Under texture as coarse as a block everywhere, the residual is far off, the detail near."""
    texture = ndimage.gaussian_filter(white(1024, 1024), 4)
    image = white(1024, 1024) + 8 * texture / texture.std()
    residual, detail = by_level(cut(image, 16), np.array([-100.0, 100.0]))
    assert residual > 1.5
    assert detail == pytest.approx(1.0, rel=0.07)


def test_flat_blocks_are_found_between_others() -> None:
    """A tenth of the blocks is flat; the flattest twentieth is among them."""
    image = 100 + white(256, 2560)
    image[:, 256:] += 20 * ndimage.gaussian_filter(white(256, 2304), 1)
    blocks = cut(image, 16)
    chosen = flattest(blocks, np.arange(len(blocks.level)), np.ones(len(blocks.level)))
    assert len(chosen) == SHARE * 16 * 160
    assert (chosen % 160 < 16).all()
    assert by_level(blocks, np.array([0.0, 200.0]))[1] == pytest.approx(1.0, rel=0.05)


def test_too_few_blocks_and_saturated_ones_give_no_value() -> None:
    """A level needs enough blocks that stay clear of black and white."""
    enough = white(8, 8 * FEWEST) + 50
    edges = np.array([0.0, 100.0])
    assert np.isfinite(by_level(cut(enough, 8), edges)).all()
    assert np.isnan(by_level(cut(enough[:, 8:], 8), edges)).all()
    enough[4, 4] = 255
    assert np.isnan(by_level(cut(enough, 8, (0, 255)), edges)).all()


def test_the_spectrum_of_white_noise_is_flat() -> None:
    """And is its variance at every frequency, up to half a cycle a pixel."""
    for side in (16, 32):
        frequency, power = spectra(cut(white(1024, 1024, 3.0), side).values)
        assert (frequency[0], frequency[-1]) == (2 / side, 0.5)
        assert power.mean(axis=0) == pytest.approx(9.0, rel=0.06)


def test_the_spectrum_of_correlated_noise_is_its_filters() -> None:
    """A Gaussian of 0.7 pixels leaves exp(-4 pi^2 sigma^2 f^2) of the power."""
    image = ndimage.gaussian_filter(white(1024, 1024), 0.7, mode="wrap")
    frequency, power = spectra(cut(image, 32).values)
    middle = frequency < 0.3
    expected = np.exp(-4 * np.pi**2 * 0.7**2 * frequency[middle] ** 2)
    assert power.mean(axis=0)[middle] == pytest.approx(expected, rel=0.1)
