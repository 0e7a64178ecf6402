"""Nodules have the profile, size and contrast that they are said to have."""

import numpy as np
import pytest

from srpipe.evaluation.observer.nodules import (
    CONTRASTS,
    PIXEL_MM,
    Nodule,
    profile,
    with_nodules,
)


@pytest.mark.parametrize("diameter", CONTRASTS)
def test_a_profile_is_the_designer_nodule(diameter: float) -> None:
    """A at the centre, A (1 - 1/4)^1.5 at half the radius, nothing from the radius on."""
    made = profile(diameter, 10)
    radius = diameter / PIXEL_MM / 2
    half = len(made) // 2
    assert half == int(radius)
    assert made[half, half] == 10
    y, x = np.indices(made.shape) - half
    distance = np.hypot(y, x) / radius
    assert np.all(made[distance >= 1] == 0)
    assert np.all(made[distance < 1] > 0)
    near = np.abs(distance - 0.5) < 0.08
    assert made[near] == pytest.approx(10 * 0.75**1.5, rel=0.15)


def test_nodules_are_added_to_the_grey_levels() -> None:
    """Each at its place with its size's contrast; all else is kept, and the HR image too."""
    hr = np.full((120, 160), 100, np.uint8)
    nodules = [Nodule(30, 40, 10.0), Nodule(80, 110, 3.0)]
    made = with_nodules(hr, nodules)
    assert np.all(hr == 100)
    for nodule in nodules:
        assert made[nodule.y, nodule.x] == 100 + round(CONTRASTS[nodule.diameter])
        y, x = np.indices(hr.shape)
        far = np.hypot(y - nodule.y, x - nodule.x) >= nodule.diameter / PIXEL_MM / 2
        hr = np.where(far, hr, made)
    assert np.array_equal(hr, made)


def test_a_nodule_on_white_stays_white() -> None:
    """Grey levels do not wrap around."""
    white = np.full((80, 80), 254, np.uint8)
    made = with_nodules(white, [Nodule(40, 40, 10.0)])
    assert made[40, 40] == 255
    assert made.min() == 254
