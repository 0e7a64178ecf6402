"""Acquisitions to train on are drawn from the ranges in the settings."""

import numpy as np

from srpipe.acquisition.draws import drawn
from srpipe.settings.acquisition import Acquisition, Acquisitions

RANGES = Acquisitions(share=0.5, noise=8.0, dose=0.1, blur=0.6, jpeg=60, bits=12)


def many(ranges: Acquisitions, count: int = 2000) -> list[Acquisition]:
    """Return as many acquisitions, each of a seed of its own."""
    return [drawn(ranges, np.random.default_rng(seed)) for seed in range(count)]


def test_all_of_the_ranges_and_nothing_beyond_is_drawn() -> None:
    found = many(RANGES)
    noise = [each.noise for each in found]
    assert max(noise) <= 8
    assert max(noise) > 7
    doses = [each.dose for each in found]
    assert 0.1 <= min(doses) < 0.12
    assert 0.55 < max(each.blur for each in found) <= 0.6
    qualities = [each.jpeg for each in found if each.jpeg is not None]
    assert min(qualities) >= 60
    assert max(qualities) > 95
    assert {each.bits for each in found} == {8, 9, 10, 11, 12}
    assert {each.sampling for each in found} == {"bicubic", "box"}


def test_each_degradation_also_comes_alone() -> None:
    """A network learns each, not only their mixture."""
    found = many(RANGES)
    for name in ("noise", "dose", "blur", "jpeg", "sampling"):
        ideal = Acquisition().model_dump()
        alone = [
            each
            for each in found
            if {key for key, value in each.model_dump().items() if value != ideal[key]}
            <= {name, "correlation"}
            and getattr(each, name) != ideal[name]
        ]
        assert len(alone) > 20, name


def test_what_has_no_range_is_not_drawn() -> None:
    clean = Acquisitions(share=1.0, noise=0.0, dose=1.0, blur=0.0, jpeg=None, bits=8)
    for each in many(clean, 200):
        assert (each.noise, each.dose, each.blur, each.jpeg, each.bits) == (0, 1, 0, None, 8)


def test_a_draw_depends_on_its_seed_alone() -> None:
    assert many(RANGES, 20) == many(RANGES, 20)
