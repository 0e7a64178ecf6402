"""Means with intervals over patients, and gains over the baselines."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from srpipe.core.files import rounded
from srpipe.evaluation.intervals import bootstrap
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import LOWER_IS_BETTER, Scores


def with_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Add columns `over_<baseline>_<score>`: the model's score minus the baseline's, per image.

    Above 0 the model is better; for scores in `LOWER_IS_BETTER`, below 0.
    """
    gains = {
        f"over_{baseline}_{name}": table[name] - table[f"{baseline}_{name}"]
        for baseline in BASELINES
        for name in Scores.names()
    }
    return table.assign(**gains)


def summary(table: pd.DataFrame, *, samples: int, seed: int) -> dict[str, Any]:
    """Return the metrics of an evaluation.

    Args:
        table: a row per image: patient, the model's scores, and `with_gains`' columns.
        samples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        For each score, and for its gain over each baseline: mean, and low and high of the 95%
        interval over patients; for the gains also on how many images the model is better. Content
        distances that are missing are left out; `content_images` counts those that are not, if some
        are.
    """

    def interval(column: str) -> dict[str, float]:
        # Content distances may be those of a sample.
        known = table[table[column].notna()]
        values, patients = known[column].to_numpy(), known["patient"].tolist()
        found = asdict(bootstrap(values, patients, samples=samples, seed=seed))
        return {key: rounded(value) for key, value in found.items()}

    result: dict[str, Any] = {"images": len(table), "patients": table["patient"].nunique()}
    sampled = table["content_distance"].notna()
    if not sampled.all():
        result["content_images"] = int(sampled.sum())
    for name in Scores.names():
        result[name] = interval(name)
    for baseline in BASELINES:
        gains: dict[str, Any] = {}
        for name in Scores.names():
            column = f"over_{baseline}_{name}"
            better = table[column] < 0 if name in LOWER_IS_BETTER else table[column] > 0
            gains[name] = {**interval(column), "better_images": int(better.sum())}
        result[f"over_{baseline}"] = gains
    return result
