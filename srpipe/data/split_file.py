"""Reading the training, validation and test split from `data/split.csv`."""

from pathlib import Path

import numpy as np
import pandas as pd

from srpipe.core.errors import DataError

SUBSETS = ("train", "validation", "test")


def check_split(split: pd.DataFrame) -> None:
    """Refuse a split that leaks a patient or has an empty subset.

    Raises:
        DataError: a subset is unknown or empty, a patient is in two, or an image is listed twice.
    """
    unknown = sorted(set(split["subset"]) - set(SUBSETS))
    if unknown:
        raise DataError(f"the split names {unknown[0]!r}: subsets are {', '.join(SUBSETS)}")
    sides = split.groupby("patient")["subset"].nunique()
    leaking = sorted(sides[sides > 1].index)
    if leaking:
        raise DataError(
            f"{len(leaking)} patient(s) are on two sides of the split, the first is {leaking[0]}: "
            "scores would be too good. Correct the patient table or the lists."
        )
    twice = split["image"][split["image"].duplicated()]
    if len(twice):
        raise DataError(f"image {twice.iloc[0]} is in the split twice: names must be unique")
    empty = [name for name in SUBSETS if not (split["subset"] == name).any()]
    if empty:
        raise DataError(
            f"no patient is left for {' and '.join(empty)} ({split['patient'].nunique()} patients "
            "in all): give at least three patients, or change the fractions in params.yaml"
        )


def read_split(path: Path) -> pd.DataFrame:
    """Read a split manifest and check it.

    Raises:
        DataError: the file is missing or the split leaks.
    """
    try:
        split = pd.read_csv(path, dtype=str, keep_default_na=False)[["image", "patient", "subset"]]
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the split stage first") from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is damaged: {error}. Run `dvc repro --force split`, which makes it again"
        ) from error
    check_split(split)
    return split


def subset(split: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of one subset: "train", "validation" or "test"."""
    return split[split["subset"] == name]


def sample_images(part: pd.DataFrame, count: int, seed: int) -> list[str]:
    """Return at most `count` images of a subset, from as many patients as possible, by name."""
    order = {
        patient: place for place, patient in enumerate(shuffled(sorted(set(part["patient"])), seed))
    }
    nth = part.sort_values("image").groupby("patient").cumcount()
    ranked = part.assign(nth=nth, place=part["patient"].map(order)).sort_values(["nth", "place"])
    return sorted(ranked["image"][:count])


def shuffled(patients: list[str], seed: int) -> list[str]:
    """Return the patients in an order that depends only on them and the seed."""
    order = np.random.default_rng(seed).permutation(len(patients))
    return [patients[index] for index in order]
