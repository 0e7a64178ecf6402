"""Images: determinism, range, anatomy of one patient, and statistics near real radiographs."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from srpipe.phantom.cohort import Exposure, plan_cohort
from srpipe.phantom.render import render

Grey = NDArray[np.uint8]


@pytest.fixture(scope="module")
def full_size() -> list[Grey]:
    """Eight images at the real size."""
    return [render(exposure) for exposure in plan_cohort(8, 1, seed=2024)]


def bicubic(image: Grey) -> Grey:
    """Down to a quarter and back, both by Pillow's bicubic on 8 bits."""
    small = Image.fromarray(image).resize((256, 256), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((1024, 1024), Image.Resampling.BICUBIC))


def psnr(image: Grey, other: Grey, where: NDArray[np.bool_] | None = None) -> float:
    """PSNR in dB for a peak of 255."""
    error = (image.astype(np.float64) - other) ** 2
    return float(10 * np.log10(255**2 / error[where].mean()))


def without_markers(image: Grey) -> NDArray[np.bool_]:
    """Pixels at least 12 px from a marker and 8 px from the border (coarse median for speed)."""
    background = ndimage.zoom(ndimage.median_filter(image[::3, ::3], 5), 3, order=1)[:1024, :1024]
    marked = np.abs(image.astype(np.int16) - background) > 51
    kept = ~ndimage.maximum_filter(marked, 25)
    kept[:8] = kept[-8:] = kept[:, :8] = kept[:, -8:] = False
    return np.asarray(kept)


def test_same_exposure_same_pixels_in_any_order() -> None:
    """An image does not depend on what was rendered before it."""
    plan = plan_cohort(4, 2, seed=9)
    forward = {e: render(e, 256) for e in plan}
    for exposure in reversed(plan):
        np.testing.assert_array_equal(render(exposure, 256), forward[exposure])


def test_same_exposure_same_pixels_in_another_process() -> None:
    """Nothing depends on the process, such as hash seeds or global random state."""
    code = (
        "import zlib; from srpipe.phantom.cohort import Exposure;"
        "from srpipe.phantom.render import render;"
        "print(zlib.crc32(render(Exposure(3, 1, 7), 128).tobytes()))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == zlib.crc32(render(Exposure(3, 1, 7), 128).tobytes())


@pytest.mark.parametrize("size", [64, 257, 512])
def test_shape_type_and_range(size: int) -> None:
    """Any size gives a square 8-bit image that uses most of the grey scale."""
    image = render(Exposure(5, 0, 1), size)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8
    assert np.percentile(image, 95) - np.percentile(image, 5) > 80


@pytest.mark.parametrize("size", [0, 63, 5000, 256.0, True])
def test_bad_sizes_are_refused(size: int) -> None:
    """Sizes out of range, or not whole numbers, raise with the allowed range."""
    with pytest.raises(ValueError, match=r"size must be an int in 64\.\.4096"):
        render(Exposure(1, 0, 1), size)


def test_images_of_one_patient_resemble_each_other_more_than_others() -> None:
    """Anatomy belongs to the patient: large scales agree better within than between patients."""
    smooth = {}
    for patient in range(1, 9):
        for follow_up in (0, 1):
            image = render(Exposure(patient, follow_up, 4), 128).astype(np.float64)
            # Grey scale and borders belong to the exposure, so compare the centre's shape.
            field = ndimage.gaussian_filter(image, 2)[20:108, 20:108]
            smooth[patient, follow_up] = (field - field.mean()).ravel() / field.std()
    size = smooth[1, 0].size
    within = [smooth[p, 0] @ smooth[p, 1] / size for p in range(1, 9)]
    between = [
        smooth[p, 0] @ smooth[q, 1] / size for p in range(1, 9) for q in range(1, 9) if p != q
    ]
    assert np.mean(within) > np.mean(between) + 0.05


def test_follow_ups_are_not_copies() -> None:
    """Pose, noise and processing differ between images of a patient."""
    first, second = (render(Exposure(1, f, 4), 128).astype(int) for f in (0, 1))
    assert np.abs(first - second).mean() > 3


def test_left_is_on_the_right_of_the_image() -> None:
    """The heart lies on the patient's left: over many patients the right lower half is denser."""
    images = [render(e, 64).astype(float) for e in plan_cohort(20, 1, seed=6)]
    band = np.mean(images, axis=0)[30:40]
    assert band[:, 36:44].mean() > band[:, 20:28].mean() + 5


def test_bicubic_is_as_hard_as_on_real_radiographs(full_size: list[Grey]) -> None:
    """Bands around the means of 131 NIH images: 35.8 dB whole, 42.0 dB without markers."""
    whole = [psnr(image, bicubic(image), np.ones(image.shape, bool)) for image in full_size]
    masked = [psnr(image, bicubic(image), without_markers(image)) for image in full_size]
    assert 32.5 < np.mean(whole) < 39.5
    assert 38.5 < np.mean(masked) < 45.0
    assert np.std(whole) > 1
    assert all(m >= w - 1e-9 for m, w in zip(masked, whole, strict=True))


def test_power_falls_with_frequency_as_in_real_radiographs(full_size: list[Grey]) -> None:
    """Real: -29 dB at 0.1, -39 dB at 0.2 and -48 dB at 0.4 cycles per pixel."""
    window = np.outer(np.hanning(1024), np.hanning(1024))
    radius = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.fftfreq(1024)[None, :])
    spectra = [np.abs(np.fft.fft2((i / 255 - i.mean() / 255) * window)) ** 2 for i in full_size[:4]]
    level = {}
    for frequency in (0.1, 0.2, 0.4):
        ring = np.abs(radius - frequency) < 0.005
        power = [np.mean(spectrum[ring]) / (window**2).sum() for spectrum in spectra]
        level[frequency] = np.mean(10 * np.log10(power))
    assert level[0.1] == pytest.approx(-29.3, abs=4)
    assert level[0.2] == pytest.approx(-38.7, abs=4)
    assert level[0.4] == pytest.approx(-47.6, abs=4)


def test_grey_levels_are_spread_as_in_real_radiographs(full_size: list[Grey]) -> None:
    """Real: mean 138, standard deviation 58, almost no pixel at 255."""
    stack = np.stack(full_size)
    assert 110 < stack.mean() < 165
    assert 40 < np.mean([image.std() for image in full_size]) < 75
    assert np.mean(stack == 255) < 0.005
