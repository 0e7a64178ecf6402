"""Areas of known scores, and intervals over patients."""

import numpy as np
import pytest

from srpipe.evaluation.observer.roc import area, compared, interval, resamples


def of(absent: list[float], present: list[float], patients: str) -> float:
    found = compared(np.asarray(absent), np.asarray(present), list(patients))
    return float(area(found)[0])


def test_areas_of_known_scores() -> None:
    """Pairs won over pairs; equal scores win half; whoever the patients are."""
    for patients in ("abcd", "aabb", "aaaa"):
        assert of([1, 2, 3, 4], [5, 6, 7, 8], patients) == 1
        assert of([5, 6, 7, 8], [1, 2, 3, 4], patients) == 0
        assert of([1, 2, 3, 4], [1, 2, 3, 4], patients) == 0.5
        assert of([1, 1, 1, 1], [1, 1, 1, 1], patients) == 0.5
        # Won are 1 + 2 + 4 + 3.5 of 16.
        assert of([1, 3, 5, 7], [2, 4, 9, 7], patients) == pytest.approx((1 + 2 + 4 + 3.5) / 16)


def test_a_patient_that_is_drawn_twice_counts_twice() -> None:
    """The area of a resample is that of its scores written out."""
    rng = np.random.default_rng(0)
    absent, present = rng.normal(size=(2, 9)) + np.array([[0.0], [0.5]])
    patients = np.asarray(list("abbcccaab"))
    times = {"a": 2, "b": 0, "c": 1}
    again = np.concatenate([np.repeat(np.flatnonzero(patients == p), n) for p, n in times.items()])
    wanted = of(list(absent[again]), list(present[again]), "x" * len(again))
    found = area(compared(absent, present, list(patients)), np.array([[2.0, 0.0, 1.0]]))
    assert found[0] == pytest.approx(wanted)


def test_resamples_draw_as_many_patients_as_there_are() -> None:
    drawn = resamples(7, 500, 3)
    assert drawn.shape == (500, 7)
    assert set(drawn.sum(axis=1)) == {7.0}
    assert np.array_equal(drawn, resamples(7, 500, 3))
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.2)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 200 studies of 25 patients, 95% do, within what chance allows."""
    rng = np.random.default_rng(1)
    truth, inside = 0.760, 0  # Phi(1 / sqrt 2) for patients whose scores share nothing
    patients = [str(index // 2) for index in range(50)]
    times = resamples(25, 400, 0)
    for _ in range(200):
        absent, present = rng.normal(size=(2, 50)) + np.array([[0.0], [1.0]])
        found = interval([compared(absent, present, patients)], times)
        inside += found.low <= truth <= found.high
    assert 180 <= inside <= 199


def test_differences_are_paired() -> None:
    """An observer less itself has no width; sizes are averaged."""
    rng = np.random.default_rng(2)
    patients = [str(index // 3) for index in range(30)]
    one, two = (
        compared(rng.normal(size=30), rng.normal(size=30) + shift, patients) for shift in (0.2, 1)
    )
    times = resamples(10, 300, 0)
    none = interval([one, two], times, [one, two])
    assert (none.mean, none.low, none.high) == (0, 0, 0)
    both = interval([one, two], times)
    assert both.mean == pytest.approx((area(one)[0] + area(two)[0]) / 2)
    gain = interval([two], times, [one])
    assert gain.mean == pytest.approx(area(two)[0] - area(one)[0])
    assert gain.low < gain.mean < gain.high
