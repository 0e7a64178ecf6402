"""What a detector records: mean, noise, spectrum, dose, files."""

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from scipy import ndimage

from srpipe.acquisition.detector import QUANTUM, Region, acquire, noise_level
from srpipe.imaging.resample import downsample
from srpipe.settings.acquisition import IDEAL, Acquisition

SCALE = 4
# Enough pixels that a standard deviation is known to half a percent.
SIDE = 200 * SCALE


def flat(grey: int, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Return an HR image of one grey level."""
    return np.full((side, side), grey, np.uint8)


def textured(seed: int = 0, side: int = 128) -> npt.NDArray[np.uint8]:
    """Return an HR image with structures of all sizes."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = sum(ndimage.gaussian_filter(noise, sigma) * sigma for sigma in (1, 3, 9))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def recorded(hr: npt.NDArray[np.uint8], seed: int = 1, **how: object) -> npt.NDArray[np.float64]:
    """Return what is recorded, in grey levels of 255."""
    image = acquire(hr, SCALE, Acquisition.model_validate(how), np.random.default_rng(seed))
    return image / (np.iinfo(image.dtype).max / 255)


def test_the_ideal_acquisition_is_the_downsampling_that_others_compare_with() -> None:
    hr = textured()
    lr = acquire(hr, SCALE, IDEAL, np.random.default_rng(0))
    assert lr.dtype == np.uint8
    assert np.array_equal(lr, downsample(hr, SCALE))


def test_no_noise_changes_the_mean() -> None:
    """What is recorded of a flat image is its grey level, on average."""
    lr = recorded(flat(100), bits=16, noise=4.0, dose=0.05, correlation=0.6, blur=0.5)
    assert lr.mean() == pytest.approx(100, abs=0.15)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 8.0])
def test_electronic_noise_has_its_standard_deviation_at_every_grey_level(sigma: float) -> None:
    for grey in (60, 128, 200):
        assert recorded(flat(grey), bits=16, noise=sigma).std() == pytest.approx(sigma, rel=0.02)


def test_quantum_noise_follows_signal_and_dose() -> None:
    """Its variance is q^2 / scale^2 (1 - d) / d (1 - grey): none where nothing arrives."""
    for dose in (0.5, 0.125, 0.02):
        for grey in (51, 128, 204):
            signal = 1 - grey / 255
            expected = 255 * QUANTUM / SCALE * np.sqrt((1 - dose) / dose * signal)
            seen = recorded(flat(grey), bits=16, dose=dose).std()
            assert seen == pytest.approx(expected, rel=0.02), (dose, grey)
    assert recorded(flat(255), bits=16, dose=0.02).std() == 0
    assert recorded(flat(128), bits=16, dose=1.0).std() == 0


def test_larger_pixels_collect_more_quanta() -> None:
    """At half the scale a pixel has a quarter of the quanta, and twice the noise."""
    how = Acquisition(dose=0.1, bits=16)
    coarse = acquire(flat(128), 8, how, np.random.default_rng(0)).std()
    fine = acquire(flat(128), 4, how, np.random.default_rng(0)).std()
    assert fine / coarse == pytest.approx(2, rel=0.03)


def test_the_scintillator_colours_quantum_noise_and_keeps_its_variance() -> None:
    """The power spectrum is the squared Gaussian's; without correlation it is flat."""
    white, coloured = (recorded(flat(128), bits=16, dose=0.05, correlation=c) for c in (0.0, 0.7))
    assert coloured.std() == pytest.approx(white.std(), rel=0.03)

    def power(image: npt.NDArray[np.float64]) -> tuple[float, float]:
        spectrum = np.abs(np.fft.fft2(image - image.mean())) ** 2
        frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(len(image))] * 2))
        low = float(spectrum[(frequency > 0) & (frequency < 0.1)].mean())
        return low, float(spectrum[(frequency > 0.3) & (frequency < 0.4)].mean())

    low, high = power(white)
    assert low == pytest.approx(high, rel=0.1)
    low, high = power(coloured)
    expected = np.exp(-4 * np.pi**2 * 0.7**2 * 0.35**2)
    assert high / low == pytest.approx(expected, rel=0.35)


def test_blur_is_a_gaussian_point_spread() -> None:
    """A sine of f cycles a pixel keeps exp(-2 pi^2 f^2 sigma^2) of its contrast."""
    wavelength = 8 * SCALE
    wave = 128 + 100 * np.sin(2 * np.pi * np.arange(SIDE) / wavelength)
    hr = np.tile(np.rint(wave).astype(np.uint8), (64, 1))
    sharp, soft = (recorded(hr, bits=16, sampling="box", blur=sigma) for sigma in (0.0, 0.6))
    kept = soft[:, 20:-20].std() / sharp[:, 20:-20].std()
    assert kept == pytest.approx(np.exp(-2 * np.pi**2 * 0.6**2 / 8**2), rel=0.01)


def test_box_sampling_is_the_mean_over_a_detector_pixel() -> None:
    hr = textured()
    means = hr.reshape(32, 4, 32, 4).mean((1, 3))
    assert np.abs(recorded(hr, sampling="box") - means).max() <= 0.51


def test_bits_are_the_number_of_grey_levels() -> None:
    ramp = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (64, 1))
    for bits in (8, 10, 12):
        lr = acquire(ramp, SCALE, Acquisition(bits=bits, noise=2.0), np.random.default_rng(0))
        step = np.iinfo(lr.dtype).max / (2**bits - 1)
        assert np.abs(lr / step - np.rint(lr / step)).max() < 1 / 8
    assert lr.dtype == np.uint16


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    hr = textured(side=256)
    ideal = downsample(hr, SCALE).astype(float)
    loss = [np.abs(recorded(hr, jpeg=quality) - ideal).mean() for quality in (95, 75, 40)]
    assert 0 < loss[0] < loss[1] < loss[2] < 20


def test_noise_depends_on_the_seed_alone() -> None:
    hr = textured()
    one, same, other = (recorded(hr, seed, noise=3.0, dose=0.1) for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_region_is_that_part_of_the_whole() -> None:
    """Without noise, recording a part and cutting it out of the whole are the same."""
    hr = textured()
    whole = recorded(hr, blur=0.5, bits=12)
    how = Acquisition(blur=0.5, bits=12)
    part = acquire(hr, SCALE, how, np.random.default_rng(0), Region(16, 32, 80, 64))
    assert np.allclose(part / 257, whole[8:16, 4:20], atol=0.02)


def test_sides_must_be_multiples_of_the_scale() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        acquire(flat(0, 126), SCALE, IDEAL, np.random.default_rng(0))


def test_what_no_detector_does_is_refused() -> None:
    bad = ({"dose": 0.0}, {"dose": 2.0}, {"bits": 7}, {"jpeg": 90, "bits": 12}, {"sampling": "x"})
    for how in bad:
        with pytest.raises(ValidationError):
            Acquisition.model_validate(how)


def test_the_noise_level_is_the_recorded_one() -> None:
    """Of a flat image, rounding to 8 bits added; without noise it is 0."""
    for how in (Acquisition(noise=2.0), Acquisition(dose=1 / 8), Acquisition(noise=1.0, dose=0.5)):
        lr = acquire(flat(120), SCALE, how, np.random.default_rng(0))
        expected = np.hypot(noise_level(how, lr, SCALE) * 255, 1 / 12**0.5)
        assert lr.std() == pytest.approx(expected, rel=0.03)
    assert noise_level(IDEAL, flat(120), SCALE) == 0
