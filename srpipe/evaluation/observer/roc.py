"""The area under the ROC curve, and its bootstrap over patients.

The area is the probability that a crop with a nodule scores higher than one without (Mann and
Whitney), over all pairs of places. The bootstrap draws patients. Observers are not trained again:
intervals are those of tests on other patients, not of observers that learnt from others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srpipe.evaluation.intervals import LEVEL, Interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of scores, added up by patient.

    Attributes:
        won: `(P, P)`: how often those of one patient with a nodule beat those of another without.
        made: `(P, P)`: of how many.
    """

    won: Array
    made: Array


def compared(absent: Array, present: Array, patients: Sequence[str]) -> Comparisons:
    """Compare all scores `(n,)` of crops with a nodule with all without; equal ones win half.

    `patients` are of both; P is their number, in sorted order.
    """
    names, group = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    member = (group == np.arange(len(names))[:, None]).astype(np.float64)
    difference = present[:, None] - absent
    won = (np.sign(difference) + 1) / 2
    return Comparisons(member @ won @ member.T, np.outer(member.sum(1), member.sum(1)))


def area(comparisons: Comparisons, times: Array | None = None) -> Array:
    """Return the area `(samples,)` with each patient taken `times` `(samples, P)`; None: once."""
    if times is None:
        times = np.ones((1, len(comparisons.won)))
    won, made = (
        ((times @ each) * times).sum(axis=1) for each in (comparisons.won, comparisons.made)
    )
    return np.asarray(won / made)


def resamples(patients: int, samples: int, seed: int) -> Array:
    """Return how often each patient is drawn, `(samples, patients)`."""
    even = np.full(patients, 1 / patients)
    return np.random.default_rng(seed).multinomial(patients, even, samples).astype(np.float64)


def interval(of: Sequence[Comparisons], times: Array, less: Sequence[Comparisons] = ()) -> Interval:
    """Return the mean area of several sets of scores and its 95% interval over patients.

    Args:
        of: of the same patients, for example one for each size.
        times: `resamples`, the same for all that is compared.
        less: the mean area of these is subtracted, draw by draw: a paired difference.
    """

    def mean(drawn: Array | None) -> Array:
        value = np.mean([area(each, drawn) for each in of], axis=0)
        other = np.mean([area(each, drawn) for each in less], axis=0) if less else 0
        return np.asarray(value - other)

    tail = (1 - LEVEL) / 2
    low, high = np.quantile(mean(times), (tail, 1 - tail))
    return Interval(float(mean(None)[0]), float(low), float(high))
