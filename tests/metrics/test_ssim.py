"""SSIM maps are scikit-image's, at any size."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import bicubic, downsample
from srpipe.metrics import ssim
from srpipe.metrics.ssim import ssim_map
from tests.conftest import MakeImage


def standard(a: GreyImage, b: GreyImage) -> np.ndarray:
    """Return the map by scikit-image, with the settings of Wang et al., inside the image."""
    _, found = structural_similarity(
        a / 255.0,
        b / 255.0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inside: np.ndarray = found[5:-5, 5:-5]
    return inside


@pytest.mark.parametrize(
    ("height", "width"), [(11, 11), (12, 40), (26, 26), (27, 30), (43, 11), (96, 80)]
)
@pytest.mark.parametrize("case", ["blurred", "noise", "black"])
def test_maps_are_the_standard_ones(
    make_image: MakeImage, height: int, width: int, case: str
) -> None:
    """With whole strips, a part of one and a single window; dark, bright and random images."""
    hr = make_image(1, height, width)
    rng = np.random.default_rng(0)
    sr = {
        "blurred": np.asarray(ndimage.gaussian_filter(hr, 1.5)),
        "noise": rng.integers(0, 256, hr.shape, dtype=np.uint8),
        "black": np.zeros_like(hr),
    }[case]
    found = ssim_map(sr, hr)
    assert found.dtype == np.float64
    assert found.shape == (height - 10, width - 10)
    assert np.abs(found - standard(sr, hr)).max() < 1e-10
    assert np.abs(ssim_map(hr, sr) - found).max() < 1e-12


def test_strips_do_not_show(make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is the same bit by bit whatever the number of rows at once."""
    hr = make_image(2, 64, 48)
    sr = bicubic(downsample(hr, 4), 4)
    maps = []
    for rows in (1, 7, 16, 100):
        monkeypatch.setattr(ssim, "ROWS", rows)
        maps.append(ssim_map(sr, hr))
    assert all(np.array_equal(each, maps[0]) for each in maps)


def test_an_image_is_like_itself_everywhere(make_image: MakeImage) -> None:
    """Flat ones, too, and ones that may not be written to."""
    for image in (make_image(0, 40, 30), np.full((20, 20), 255, np.uint8)):
        image.flags.writeable = False
        assert ssim_map(image, image) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("shapes", [((10, 20), (10, 20)), ((20, 20), (20, 21))])
def test_images_without_windows_or_of_two_sizes_are_refused(
    shapes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    """A window is 11 pixels a side."""
    a, b = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="of one shape, at least 11 pixels a side"):
        ssim_map(a, b)
