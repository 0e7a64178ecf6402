"""A jittered crop is a part of the image, larger or smaller, on another ground."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.imaging.resample import BICUBIC
from srpipe.training.crops.jitter import GAMMA, STRETCH, jitter

Grey = npt.NDArray[np.uint8]
CROP, REACH = 64, 8


@pytest.fixture(scope="module")
def texture() -> Grey:
    """Return an image that is nowhere like elsewhere: smooth noise, not square."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((192, 160), BICUBIC))


def shown(hr: Grey, y: int, x: int, seed: int, reach: int = REACH) -> Grey:
    """Return the crop without its surroundings."""
    around, top, left = jitter(hr, y, x, CROP, reach, seed)
    return around[top : top + CROP, left : left + CROP]


def test_a_seed_is_a_jitter(texture: Grey) -> None:
    """The same each time, another of another seed; the image is not touched."""
    before = texture.copy()
    made = [shown(texture, 40, 50, seed).tobytes() for seed in (0, 1, 2, 0)]
    assert made[0] == made[3]
    assert len(set(made)) == 3
    assert np.array_equal(texture, before)


@pytest.mark.parametrize("place", [(0, 0), (0, 128), (96, 0), (96, 128), (3, 90), (40, 50)])
def test_a_crop_lies_whole_in_what_is_returned(texture: Grey, place: tuple[int, int]) -> None:
    """With at most so many pixels around it; none beyond an edge of the image."""
    y, x = place
    for seed in range(20):
        around, top, left = jitter(texture, y, x, CROP, REACH, seed)
        assert around.dtype == np.uint8
        assert 0 <= top <= REACH
        assert 0 <= left <= REACH
        below, right = around.shape[0] - top - CROP, around.shape[1] - left - CROP
        assert 0 <= below <= REACH
        assert 0 <= right <= REACH
        assert (top == 0) >= (y == 0)
        assert (left == 0) >= (x == 0)
        assert (below == 0) >= (y == 96)
        assert (right == 0) >= (x == 128)
        if place == (40, 50):
            assert around.shape == (CROP + 2 * REACH, CROP + 2 * REACH)


def test_crops_at_an_edge_stay_there() -> None:
    """What lies along an edge of the image lies along that of the crop, and nowhere else."""
    for turns in range(4):
        hr = np.full((160, 160), 30, dtype=np.uint8)
        np.rot90(hr, turns)[:6] = 255
        y, x = {0: (0, 48), 1: (48, 96), 2: (96, 48), 3: (48, 0)}[turns]
        for seed in range(10):
            crop = np.rot90(shown(hr, y, x, seed), turns)
            assert (crop[:3] == 255).all()
            assert (crop[12:] < 80).all()


def test_sizes_and_aspects_vary_within_bounds() -> None:
    """A white square comes out as a rectangle of any size that the bounds allow."""
    hr = np.zeros((160, 160), dtype=np.uint8)
    hr[60:100, 60:100] = 255
    sizes = []
    for seed in range(200):
        inside = shown(hr, 48, 48, seed, 0) > 127
        sizes.append((inside.any(1).sum(), inside.any(0).sum()))
    high, wide = np.array(sizes, float).T
    for side in (high, wide):
        assert side.min() >= 40 / STRETCH[1] - 1
        assert side.max() <= 40 / STRETCH[0] + 1
        assert side.min() < 40 / STRETCH[1] + 3
        assert side.max() > 40 / STRETCH[0] - 3
    assert abs(np.corrcoef(high, wide)[0, 1]) < 0.25, "each way for itself"


def test_black_and_white_stay_and_greys_move() -> None:
    """Letters are as white as they were, on a ground that is brighter or darker."""
    hr = np.full((160, 160), 128, dtype=np.uint8)
    hr[:, :56], hr[:, 104:] = 0, 255
    greys = []
    for seed in range(100):
        around, _, _ = jitter(hr, 48, 48, CROP, REACH, seed)
        assert around[:, 0].max() == 0
        assert around[:, -1].min() == 255
        greys.append(around[CROP // 2, around.shape[1] // 2])
    bright, dark = (255 * (128 / 255) ** gamma for gamma in GAMMA)
    assert dark - 1 <= min(greys) < dark + 8
    assert bright - 8 < max(greys) <= bright + 1


def test_what_lies_around_is_the_images(texture: Grey) -> None:
    """More of it leaves the crop and what lies near it as they were."""
    for seed in range(10):
        near, top, left = jitter(texture, 48, 60, CROP, 4, seed)
        far, below, right = jitter(texture, 48, 60, CROP, 8, seed)
        y, x = below - top, right - left
        same = far[y : y + near.shape[0], x : x + near.shape[1]]
        assert np.abs(same.astype(int) - near).max() <= 1


def test_an_image_as_large_as_the_crop_is_not_stretched(texture: Grey) -> None:
    """It would show an edge that is none; the grey levels change alone."""
    whole = np.ascontiguousarray(texture[:CROP, :CROP])
    for seed in range(5):
        around, top, left = jitter(whole, 0, 0, CROP, REACH, seed)
        assert (around.shape, top, left) == (whole.shape, 0, 0)
        pairs = {(int(a), int(b)) for a, b in zip(whole.flat, around.flat, strict=True)}
        assert len(pairs) == len(np.unique(whole)), "one grey of each"


@pytest.mark.parametrize("length", [CROP + 1, CROP + 8, int(STRETCH[1] * CROP) + 1])
def test_images_hardly_larger_than_a_crop_are_large_enough(texture: Grey, length: int) -> None:
    """What would be taken from beyond them is not: the crop is stretched less."""
    hr = np.ascontiguousarray(texture[:length, :length])
    for seed in range(40):
        for begin in {0, (length - CROP) // 2, length - CROP}:
            assert shown(hr, begin, begin, seed).shape == (CROP, CROP)
