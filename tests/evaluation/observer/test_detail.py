"""Lost and invented detail, on images where the right answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from srpipe.evaluation.observer.detail import GAIN, ROUNDING, band, lost_and_invented, noise
from tests.conftest import MakeImage

SIDE = 192


def plain(sigma: float = 2.0, seed: int = 0) -> np.ndarray:
    """Return a flat image with white noise."""
    image = 120 + sigma * np.random.default_rng(seed).normal(size=(SIDE, SIDE))
    return np.rint(image).astype(np.uint8)


def dotted(image: np.ndarray, contrast: int = 40, start: int = 8) -> np.ndarray:
    """Return an image with dots of 3x3 pixels on it."""
    made = image.copy()
    for y in range(start, SIDE - 8, 32):
        for x in range(start, SIDE - 8, 32):
            made[y : y + 3, x : x + 3] += np.uint8(contrast)
    return made


def test_nothing_is_lost_or_invented_in_the_image_itself(make_image: MakeImage) -> None:
    image = make_image(0, SIDE, SIDE)
    found = lost_and_invented(image, image)
    assert (found.lost, found.invented) == (0, 0)


def test_blur_loses_and_hardly_invents() -> None:
    """A little blur leaves more than half of every dot's detail, and more blur does not."""
    image = dotted(plain())
    little, much = (
        lost_and_invented(ndimage.gaussian_filter(image, sigma), image) for sigma in (1, 3)
    )
    assert little.lost < 0.1
    assert much.lost > 0.9
    assert much.invented < 0.01


def test_added_structure_is_invented() -> None:
    """What is shown at the dots is; the same dots missing are lost."""
    hr = plain()
    added = lost_and_invented(dotted(hr), hr)
    assert added.invented > 0.8
    taken = lost_and_invented(hr, dotted(hr))
    assert taken.lost > 0.8
    assert taken.invented < 0.2


def test_the_opposite_is_lost() -> None:
    """And not invented besides; what is exaggerated is neither."""
    hr = plain(sigma=0.0)
    white = dotted(hr, 20)
    turned = lost_and_invented(240 - white, white)
    assert (turned.lost, turned.invented) == (1, 0)
    more = lost_and_invented(dotted(hr, 30), white)
    assert (more.lost, more.invented) == (0, 0)


@pytest.mark.parametrize("sigma", [1.5, 4.0])
def test_the_noise_of_hr_is_estimated(sigma: float) -> None:
    """Of white noise to 10%, and hardly more where a quarter of the image has structure."""
    image = plain(sigma)
    assert noise(band(image)) == pytest.approx(sigma * GAIN, rel=0.1)
    image[:64, :96] = dotted(image)[:64, :96]
    assert noise(band(image)) == pytest.approx(sigma * GAIN, rel=0.12)
    assert noise(band(plain(0.0))) == ROUNDING


def test_other_noise_of_the_same_level_is_hardly_detail() -> None:
    """Nothing of a flat image is lost, and less than 2% of its pixels show detail."""
    one, other = plain(seed=1), plain(seed=2)
    shown = np.abs(band(other)) > 3 * noise(band(one))
    assert shown.mean() < 0.02


def test_the_gain_is_the_filters() -> None:
    point = np.zeros((65, 65), np.uint8)
    point[32, 32] = 200
    assert np.linalg.norm(band(point)) / 200 == pytest.approx(GAIN, rel=0.01)


def test_only_counted_pixels_count() -> None:
    hr = plain()
    counted = np.zeros(hr.shape, np.bool_)
    counted[:, : SIDE // 2] = True
    sr = hr.copy()
    sr[:, SIDE // 2 + 16 :] = dotted(hr)[:, SIDE // 2 + 16 :]
    assert lost_and_invented(sr, hr, counted).invented == 0
    assert lost_and_invented(sr, hr, ~counted).invented > 0.8
