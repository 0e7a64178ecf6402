"""From scores to areas under the curve, what is gained over bicubic, and shares of detail."""

from collections.abc import Hashable, Iterator
from dataclasses import asdict

import numpy as np
import pandas as pd

from srpipe.core.files import rounded
from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.intervals import Interval, bootstrap
from srpipe.evaluation.observer.hotelling import cross_validated
from srpipe.evaluation.observer.nodules import CONTRASTS
from srpipe.evaluation.observer.roc import compared, interval, resamples

SAMPLES = 10_000
# Of nodules: all sizes together (the mean over sizes), and each.
TOGETHER = "all sizes"
SIZES = {TOGETHER: tuple(CONTRASTS), **{f"{size:g} mm": (size,) for size in CONTRASTS}}
AREA, GAIN, LOST, INVENTED = "area", "area over bicubic", "lost", "invented"
KEYS = ["acquisition", "method"]


def scored(seen: pd.DataFrame) -> pd.DataFrame:
    """Replace the channels' outputs in `absent` and `present` by the observer's scores.

    There is an observer for every acquisition, method and size, trained on other patients.

    Raises:
        DataError: there are too few images or patients.
    """
    parts = []
    for _, rows in seen.groupby([*KEYS, "diameter"], sort=False):
        absent, present = (np.stack(rows[name].tolist()) for name in ("absent", "present"))
        absent, present = cross_validated(absent, present, rows["patient"].tolist())
        parts.append(rows.assign(absent=absent, present=present))
    return pd.concat(parts).sort_index()


def results(scores: pd.DataFrame, detail: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return every result with its 95% interval over patients.

    Args:
        scores: a row an image, place, acquisition and method, as `scored` returns them.
        detail: a row an image, acquisition and method.
        seed: of the bootstrap, which draws the same patients for all areas.

    Returns:
        Columns quantity (`AREA`, `GAIN`: a paired difference, `LOST`, `INVENTED`), size (of
        `SIZES`; empty for detail), acquisition, method, mean, low, high.
    """
    rows = [
        {
            "quantity": quantity,
            "size": size,
            "acquisition": acquisition,
            "method": method,
            **{side: rounded(value) for side, value in asdict(found).items()},
        }
        for quantity, size, acquisition, method, found in (
            *_areas(scores, seed),
            *_shares(detail, seed),
        )
    ]
    return pd.DataFrame(rows)


Found = Iterator[tuple[str, str, Hashable, Hashable, Interval]]


def _areas(scores: pd.DataFrame, seed: int) -> Found:
    times = resamples(scores["patient"].nunique(), SAMPLES, seed)
    each = {
        key: compared(
            rows["absent"].to_numpy(), rows["present"].to_numpy(), rows["patient"].tolist()
        )
        for key, rows in scores.groupby([*KEYS, "diameter"], sort=False)
    }
    for acquisition, method in dict.fromkeys((key[0], key[1]) for key in each):
        for name, sizes in SIZES.items():
            own = [each[acquisition, method, size] for size in sizes]
            yield AREA, name, acquisition, method, interval(own, times)
            if method != BICUBIC and (acquisition, BICUBIC, sizes[0]) in each:
                other = [each[acquisition, BICUBIC, size] for size in sizes]
                yield GAIN, name, acquisition, method, interval(own, times, other)


def _shares(detail: pd.DataFrame, seed: int) -> Found:
    for quantity in (LOST, INVENTED):
        for (acquisition, method), rows in detail.groupby(KEYS, sort=False):
            patients = rows["patient"].tolist()
            share = bootstrap(rows[quantity], patients, samples=SAMPLES, seed=seed)
            yield quantity, "", acquisition, method, share
