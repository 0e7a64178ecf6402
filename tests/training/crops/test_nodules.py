"""Faint spots come on top of a crop, and nothing else of it changes."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from srpipe.training.crops.nodules import CONTRAST, MOST, with_nodules


def drawn(seed: int, level: int = 100) -> npt.NDArray[np.int64]:
    """Return what is added to an even crop."""
    even = np.full((96, 128), level, np.uint8)
    return with_nodules(even, np.random.default_rng(seed)).astype(int) - level


def test_a_seed_is_a_drawing() -> None:
    """The same each time, another of another seed; the image is not touched."""
    image = np.random.default_rng(0).integers(30, 220, (64, 48), dtype=np.uint8)
    before = image.copy()
    made = [with_nodules(image, np.random.default_rng(seed)) for seed in (0, 1, 0)]
    assert made[0].dtype == np.uint8
    assert made[0].shape == image.shape
    assert np.array_equal(made[0], made[2])
    assert not np.array_equal(made[0], made[1])
    assert np.array_equal(image, before)


def test_spots_are_few_and_faint() -> None:
    """At most so many, of at most so much contrast, most of them brighter."""
    sums = []
    for seed in range(100):
        added = drawn(seed)
        assert np.abs(added).max() <= MOST * CONTRAST[1]
        assert ndimage.label(added)[1] <= MOST + 2  # where two of opposite sign cut a third
        sums.append(added.sum())
    peaks = [np.abs(drawn(seed)).max() for seed in range(100)]
    assert np.median(peaks) < CONTRAST[1]
    assert min(peaks) < 4
    assert 0.55 < np.mean(np.array(sums) > 0) < 0.95


def test_they_have_no_edges() -> None:
    """From pixel to pixel they rise by less than half of their contrast."""
    for seed in range(50):
        added = drawn(seed)
        steps = max(np.abs(np.diff(added, axis=axis)).max() for axis in (0, 1))
        assert steps <= max(np.abs(added).max() * 0.6, 3)


@pytest.mark.parametrize("level", [0, 255])
def test_grey_levels_do_not_wrap(level: int) -> None:
    for seed in range(20):
        added = drawn(seed, level)
        assert (added >= 0).all() if level == 0 else (added <= 0).all()
        assert np.abs(added).max() < 130
