"""Markers and the border are masked, anatomy is not."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.filters import rank

from srpipe.metrics import mask
from srpipe.metrics.mask import anatomy_mask, markers
from tests.conftest import MakeImage

Grey = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def border(height: int, width: int) -> Mask:
    """Return True inside an 8-px border."""
    inside = np.zeros((height, width), bool)
    inside[8:-8, 8:-8] = True
    return inside


def by_median(image: Grey) -> Mask:
    """Return the markers by scikit-image's median of the 15x15 pixels that are inside the image."""
    median = rank.median(image.copy(), np.ones((15, 15), np.uint8))
    return np.asarray(np.abs(image.astype(int) - median) > 51)


@pytest.mark.parametrize(("height", "width"), [(64, 80), (15, 15), (14, 31), (1, 40), (7, 8)])
@pytest.mark.parametrize("levels", ["all", "two", "at the limit", "smooth", "spots"])
def test_markers_are_those_of_the_median(height: int, width: int, levels: str) -> None:
    """Pixel by pixel, at the border too, where a neighbourhood is smaller and may be even."""
    rng = np.random.default_rng(height * width)
    for _ in range(8):
        size = (height, width)
        image = {
            "all": rng.integers(0, 256, size),
            "two": rng.choice([20, 240], size),
            "at the limit": rng.choice([0, 51, 52, 102, 103, 104, 204, 255], size),
            "smooth": ndimage.median_filter(rng.integers(0, 256, size), 5),
            "spots": np.where(rng.random(size) < 0.02, 255, rng.integers(90, 110, size)),
        }[levels].astype(np.uint8)
        wanted = by_median(image)
        assert np.array_equal(markers(image), wanted)
        assert np.array_equal(markers(np.asfortranarray(image)), wanted)


def test_markers_on_texture_are_those_of_the_median(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters on made radiographs, of which few pixels are counted at once."""
    monkeypatch.setattr(mask, "AT_ONCE", 100)
    for seed in range(4):
        image = Image.fromarray(make_image(seed, 128, 160))
        ImageDraw.Draw(image).text((50, 40), "PORTABLE", fill=255 * (seed % 2), font_size=20)
        drawn = np.asarray(image)
        wanted = by_median(drawn)
        assert 100 < wanted.sum() < 5000
        assert np.array_equal(markers(drawn), wanted)


def test_markers_on_real_radiographs_are_those_of_the_median(nih_sample: Path) -> None:
    """Of the first few."""
    for path in sorted((nih_sample / "images").glob("*.png"))[:5]:
        with Image.open(path) as image:
            hr = np.asarray(image.convert("L"))
        assert np.array_equal(markers(hr), by_median(hr))


@pytest.mark.parametrize("value", [0, 100, 255])
def test_a_flat_image_loses_its_border_alone(value: int) -> None:
    """Eight pixels on each side."""
    mask = anatomy_mask(np.full((64, 80), value, np.uint8))
    assert mask.dtype == bool
    assert np.array_equal(mask, border(64, 80))


def test_smooth_gradients_are_anatomy() -> None:
    """Slopes and soft edges of full contrast are kept, however bright."""
    ramp = np.tile(np.linspace(0, 255, 120), (100, 1))
    hill = 255 * np.exp(-np.square(np.indices((100, 120)) - 55).sum(axis=0) / (2 * 20**2))
    edge = ndimage.gaussian_filter(np.where(np.arange(120) < 60, 30.0, 220.0), 6)
    for image in (ramp, hill, np.tile(edge, (100, 1))):
        assert np.array_equal(anatomy_mask(image.astype(np.uint8)), border(100, 120))


def test_fine_texture_of_low_contrast_is_anatomy() -> None:
    """Noise of a radiograph does not reach a fifth of full range."""
    noise = np.random.default_rng(0).normal(128, 8, (80, 80))
    assert np.array_equal(anatomy_mask(noise.astype(np.uint8)), border(80, 80))


@pytest.mark.parametrize(("background", "marker"), [(20, 250), (230, 0)])
def test_a_small_box_is_masked_with_twelve_pixels_around(background: int, marker: int) -> None:
    """A sharp 4x6 box, bright or dark, takes 12 px in each direction, no more."""
    image = np.full((80, 90), background, np.uint8)
    image[38:42, 40:46] = marker
    expected = border(80, 90)
    expected[38 - 12 : 42 + 12, 40 - 12 : 46 + 12] = False
    assert np.array_equal(anatomy_mask(image), expected)


@pytest.mark.parametrize(("contrast", "masked"), [(51, False), (52, True)])
def test_a_marker_begins_above_a_fifth_of_full_range(contrast: int, masked: bool) -> None:
    """A difference of 51 levels of 255 is anatomy, 52 is a marker."""
    image = np.full((64, 64), 100, np.uint8)
    image[32, 32] = 100 + contrast
    assert bool(anatomy_mask(image)[32, 32]) is not masked


@pytest.mark.parametrize(("width", "masked"), [(1, True), (7, True), (8, False)])
def test_strokes_of_up_to_seven_pixels_are_markers(width: int, masked: bool) -> None:
    """A stroke that fills less than half of a 15x15 neighbourhood differs from its median."""
    image = np.full((80, 90), 20, np.uint8)
    image[:, 40 : 40 + width] = 250
    assert bool(anatomy_mask(image)[40, 40 + width // 2]) is not masked


def test_burned_in_text_is_masked_and_the_rest_kept(
    make_image: object,
) -> None:
    """All ink of drawn letters is left out; pixels far from them are kept."""
    assert callable(make_image)
    plain = make_image(0, 128, 160) // 2
    image = Image.fromarray(plain)
    ImageDraw.Draw(image).text((60, 50), "PORTABLE", fill=255, font_size=16)
    drawn = np.asarray(image)
    ink = drawn > plain.astype(int) + 80
    assert ink.sum() > 100
    mask = anatomy_mask(drawn)
    assert not mask[ink].any()
    far = ndimage.distance_transform_cdt(drawn == plain, "chessboard") > 20
    kept = far & anatomy_mask(plain)
    assert kept.sum() > 3000
    assert mask[kept].all()


def test_the_image_is_not_changed() -> None:
    """A read-only view of the data set serves."""
    image = np.full((40, 40), 10, np.uint8)
    image[20, 20] = 255
    image.flags.writeable = False
    before = image.copy()
    anatomy_mask(image)
    assert np.array_equal(image, before)
