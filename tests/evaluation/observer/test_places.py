"""Places lie in the lungs, whole, apart, and away from what is no lung."""

import itertools

import numpy as np
import pytest

from srpipe.evaluation.observer.hotelling import HALF
from srpipe.evaluation.observer.places import APART, field, lungs, places
from tests.evaluation.observer.chests import chest, lung


def drawn(image: np.ndarray, count: int = 12, seed: int = 0) -> list[tuple[int, int]]:
    return places(image, count, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(3))
def test_places_are_in_the_lungs_and_apart(seed: int) -> None:
    """Not in the dark air at the sides, and with nothing of a neighbour in the crop."""
    found = drawn(chest(seed), seed=seed)
    assert len(found) >= 4
    inside = lung()
    assert all(inside[y, x] for y, x in found)
    for one, other in itertools.combinations(found, 2):
        assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) >= APART


def test_what_is_found_is_the_lungs() -> None:
    """But for their tips, outside of the middle part; smoothing adds some pixels around."""
    found = lungs(chest())
    there = lung()
    assert (found & ~lung(shrunk=-16)).sum() == 0
    assert (found & there)[110:400].sum() > 0.9 * there[110:400].sum()


def test_markers_and_saturated_pixels_are_no_lung() -> None:
    """Neither a burned-in letter and what is near it, nor black; the rest of the lungs is."""
    image = chest()
    image[240:262, 140:146] = 250
    image[280:340, 330:390] = 0
    found = lungs(image)
    assert not found[230:272, 130:156].any()
    assert not found[280:340, 330:390].any()
    assert found[150:200, 140:180].all()


def test_air_that_reaches_into_the_middle_is_no_lung() -> None:
    """Darker than lungs, and connected with the image's edge."""
    image = chest()
    image[300:, 340:] = 20
    found = lungs(image)
    assert not found[310:, 350:].any()
    assert found[150:200, 140:180].all()


def test_places_depend_on_the_generator_alone() -> None:
    image = chest()
    assert drawn(image, seed=1) == drawn(image, seed=1) != drawn(image, seed=2)


def test_no_more_places_than_asked_for_and_none_where_there_is_no_lung() -> None:
    assert len(drawn(chest(), 3)) == 3
    assert drawn(np.full((512, 512), 100, np.uint8)) == []
    assert drawn(np.full((64, 60), 100, np.uint8)) == []


@pytest.mark.parametrize("shape", [(1024, 1024), (512, 640), (200, 220), (1000, 804)])
def test_the_field_holds_every_crop_and_has_sides_of_whole_lr_pixels(
    shape: tuple[int, int],
) -> None:
    found = field(shape)
    assert all(each % 4 == 0 for each in (found.top, found.left, found.bottom, found.right))
    edges = max(shape[0] // 5, HALF), max(shape[1] // 8, HALF)
    assert 0 <= found.top <= edges[0] - HALF
    assert 0 <= found.left <= edges[1] - HALF
    assert shape[0] - edges[0] + HALF <= found.bottom <= shape[0]
    assert shape[1] - edges[1] + HALF <= found.right <= shape[1]
