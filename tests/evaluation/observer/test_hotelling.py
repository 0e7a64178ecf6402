"""The observer detects as well as theory says, and learns nothing from whom it is tested on."""

import numpy as np
import pytest
from scipy.stats import norm

from srpipe.core.errors import DataError
from srpipe.evaluation.observer.hotelling import (
    CHANNELS,
    FOLDS,
    HALF,
    channels,
    cross_validated,
    folds,
    outputs,
    trained,
)
from srpipe.evaluation.observer.nodules import CONTRASTS, profile
from srpipe.evaluation.observer.roc import area, compared, interval, resamples

SIDE = 2 * HALF + 1


def signal(diameter: float, contrast: float) -> np.ndarray:
    """Return a nodule in the middle of a crop."""
    crop = np.zeros((SIDE, SIDE))
    made = profile(diameter, contrast)
    reach = len(made) // 2
    crop[HALF - reach : HALF + reach + 1, HALF - reach : HALF + reach + 1] = made
    return crop


def seen_in_noise(
    rng: np.random.Generator, count: int, diameter: float, added: np.ndarray, sigma: float
) -> np.ndarray:
    """Return the channels' outputs of white noise and what is added."""
    return np.stack(
        [
            outputs(added + sigma * rng.standard_normal((SIDE, SIDE)), HALF, HALF, diameter)
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("diameter", CONTRASTS)
def test_the_channels_see_a_nodule_in_white_noise(diameter: float) -> None:
    """Of the detectability of the ideal observer (the matched filter) they keep 99%."""
    bank = channels(diameter).reshape(CHANNELS, -1)
    nodule = signal(diameter, 1).ravel()
    response = bank @ nodule
    kept = response @ np.linalg.solve(bank @ bank.T, response) / (nodule @ nodule)
    assert 0.99 < kept <= 1


def test_the_detectability_in_white_noise_is_the_theoretical_one() -> None:
    """Of a matched filter: d' = |signal| / sigma, and the area under the curve Phi(d' / sqrt 2)."""
    rng, diameter, sigma, wanted = np.random.default_rng(0), 5.0, 3.0, 1.8
    nodule = signal(diameter, 1)
    nodule *= wanted * sigma / np.linalg.norm(nodule)
    patients = [str(index % 10) for index in range(1200)]
    absent = seen_in_noise(rng, 1200, diameter, np.zeros((SIDE, SIDE)), sigma)
    present = seen_in_noise(rng, 1200, diameter, nodule, sigma)
    without, with_one = cross_validated(absent, present, patients)
    detectability = (with_one.mean() - without.mean()) / np.sqrt(
        (with_one.var() + without.var()) / 2
    )
    assert detectability == pytest.approx(wanted, rel=0.07)
    found = area(compared(without, with_one, patients))[0]
    assert found == pytest.approx(norm.cdf(wanted / np.sqrt(2)), abs=0.02)


def test_without_a_signal_it_is_at_chance() -> None:
    """One half is in the interval; an observer tested on what it learnt from would be above."""
    rng = np.random.default_rng(1)
    patients = [str(index // 6) for index in range(240)]
    nothing = np.zeros((SIDE, SIDE))
    both = [seen_in_noise(rng, 240, 3.0, nothing, 1.0) for _ in range(2)]
    scores = cross_validated(both[0], both[1], patients)
    found = interval([compared(*scores, patients)], resamples(40, 2000, 0))
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.2


def test_folds_keep_patients_together_and_are_even() -> None:
    patients = [f"{index % 43:08d}" for index in range(500)]
    fold = folds(patients)
    of = {
        patient: {int(f) for f, p in zip(fold, patients, strict=True) if p == patient}
        for patient in patients
    }
    assert all(len(found) == 1 for found in of.values())
    counts = np.bincount([next(iter(found)) for found in of.values()])
    assert len(counts) == FOLDS
    assert counts.max() - counts.min() <= 1


def test_a_patients_scores_do_not_depend_on_the_patients_own_labels() -> None:
    """Exchanging nodule and none in one patient exchanges its scores: it taught its observer
    nothing, and those of its fold neither.
    """
    rng = np.random.default_rng(2)
    absent, present = rng.normal(size=(2, 60, CHANNELS))
    patients = [str(index // 4) for index in range(60)]
    own = np.asarray(patients) == "7"
    fold = folds(patients)
    before = cross_validated(absent, present, patients)
    swapped = [np.where(own[:, None], *pair) for pair in ((present, absent), (absent, present))]
    after = cross_validated(swapped[0], swapped[1], patients)
    assert np.array_equal(after[0][own], before[1][own])
    assert np.array_equal(after[1][own], before[0][own])
    same = (fold == fold[own][0]) & ~own
    assert np.array_equal(after[0][same], before[0][same])
    assert not np.array_equal(after[0][fold != fold[own][0]], before[0][fold != fold[own][0]])


def test_a_score_of_zero_is_undecided() -> None:
    """In every fold, so that scores of several observers can be compared."""
    rng = np.random.default_rng(3)
    absent, present = rng.normal(size=(2, 1000, 3)) + np.array([[[5.0]], [[6.0]]])
    patients = [str(index // 10) for index in range(1000)]
    without, with_one = cross_validated(absent, present, patients)
    for fold in range(FOLDS):
        own = folds(patients) == fold
        middle = (without[own].mean() + with_one[own].mean()) / 2
        assert middle == pytest.approx(0, abs=0.3)
        assert without[own].mean() < -1 < 1 < with_one[own].mean()


def test_too_little_to_learn_from_is_refused() -> None:
    few = np.ones((3, CHANNELS))
    with pytest.raises(DataError, match="3 \\+ 3 crops are too few"):
        trained(few, few)
    with pytest.raises(DataError, match="two patients"):
        cross_validated(few, few, ["a"] * 3)
