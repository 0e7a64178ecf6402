"""Confidence intervals: bootstrap over patients, because images of one patient are not independent.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile interval, clusters
resampled whole).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
# Draws held at a time.
BLOCK = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A mean over images and its 95% interval over patients."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: npt.ArrayLike, patients: Sequence[str], *, samples: int, seed: int
) -> Interval:
    """Return the mean of `values` `(images,)` and its 95% bootstrap interval over `patients`.

    Raises:
        ValueError: nothing is given, or the lengths differ.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or data.size != len(patients):
        raise ValueError(f"need as many values as patients, got {data.shape} and {len(patients)}")
    _, group = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    sums = np.bincount(group, weights=data)
    counts = np.bincount(group)
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    # Block by block: all draws of 10,000 patients at once would take gigabytes.
    rows = max(1, BLOCK // len(sums))
    for start in range(0, samples, rows):
        draws = rng.integers(len(sums), size=(min(rows, samples - start), len(sums)))
        drawn = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
        means[start : start + rows] = drawn
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(data.mean()), float(low), float(high))
