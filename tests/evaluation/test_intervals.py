"""Intervals are over patients, repeat by seed, and have the width that theory says."""

import tracemalloc

import numpy as np
import pytest

from srpipe.evaluation import intervals
from srpipe.evaluation.intervals import Interval, bootstrap


def names(count: int) -> list[str]:
    """Return as many patients."""
    return [f"p{index}" for index in range(count)]


def test_the_seed_decides() -> None:
    """The same seed repeats the interval, another one moves it; the mean does not depend on it."""
    values = np.random.default_rng(0).normal(40, 2, 50)
    first = bootstrap(values, names(50), samples=500, seed=1)
    assert first == bootstrap(values, names(50), samples=500, seed=1)
    other = bootstrap(values, names(50), samples=500, seed=2)
    assert (other.low, other.high) != (first.low, first.high)
    assert other.mean == first.mean == pytest.approx(values.mean())


def test_the_width_is_that_of_the_normal_law() -> None:
    """For 400 independent values the interval is the mean plus and minus 1.96 standard errors."""
    values = np.random.default_rng(3).normal(40, 2, 400)
    interval = bootstrap(values, names(400), samples=4000, seed=0)
    error = values.std() / 20
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_patients_are_resampled_not_images() -> None:
    """Ten copies of each image add nothing: the interval is that of one image a patient."""
    values = np.random.default_rng(4).normal(40, 2, 30)
    single = bootstrap(values, names(30), samples=1000, seed=0)
    copied = bootstrap(np.repeat(values, 10), np.repeat(names(30), 10), samples=1000, seed=0)
    assert (copied.mean, copied.low, copied.high) == pytest.approx(
        (single.mean, single.low, single.high)
    )
    independent = bootstrap(np.repeat(values, 10), names(300), samples=1000, seed=0)
    assert independent.high - independent.low < (single.high - single.low) / 2


def test_memory_does_not_grow_with_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws are made a block at a time, which changes no bit of the interval."""
    values = np.random.default_rng(5).normal(40, 2, 2000)
    tracemalloc.start()
    blocks = bootstrap(values, names(2000), samples=2000, seed=0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * 8 * intervals.BLOCK < 2000 * 2000 * 8 * 4
    monkeypatch.setattr(intervals, "BLOCK", 2000 * 2000)
    assert bootstrap(values, names(2000), samples=2000, seed=0) == blocks


def test_the_mean_is_over_images() -> None:
    """A patient with nine images weighs nine times one with one."""
    interval = bootstrap([0.0] * 9 + [10.0], ["a"] * 9 + ["b"], samples=2000, seed=0)
    assert interval.mean == pytest.approx(1)
    # Half of the draws hold both patients, a quarter each of them twice.
    assert (interval.low, interval.high) == (0, 10)


def test_the_order_of_images_does_not_matter() -> None:
    """Patients are found by name, wherever their images stand."""
    values = np.random.default_rng(5).normal(40, 2, 40)
    patients = [f"p{index % 13}" for index in range(40)]
    order = np.random.default_rng(6).permutation(40)
    first = bootstrap(values, patients, samples=300, seed=0)
    mixed = bootstrap(values[order], [patients[i] for i in order], samples=300, seed=0)
    assert (mixed.mean, mixed.low, mixed.high) == pytest.approx((first.mean, first.low, first.high))


def test_one_patient_has_no_width() -> None:
    """Nothing can be said of other patients, and nothing is pretended."""
    assert bootstrap([1.0, 3.0], ["a", "a"], samples=100, seed=0) == Interval(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("values", "patients"), [([], []), ([1.0], ["a", "b"]), ([[1.0]], ["a"]), ([1.0, 2.0], ["a"])]
)
def test_what_does_not_match_is_refused(values: list[float], patients: list[str]) -> None:
    """Each value has its patient, and there is at least one."""
    with pytest.raises(ValueError, match="as many values as patients"):
        bootstrap(values, patients, samples=100, seed=0)
