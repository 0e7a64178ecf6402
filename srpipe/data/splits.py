"""Which images train, validate and test: by patient, never by image.

Patients are sorted before the seeded shuffle, so that the split does not depend on the order of
files. Where the data set brings the NIH's own lists, test is that list and validation is carved
out of the rest by patient.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from srpipe.core.errors import DataError
from srpipe.settings.data import Split

SUBSETS = ("train", "validation", "test")


def split_by_patient(manifest: pd.DataFrame, settings: Split) -> pd.DataFrame:
    """Assign each image to a subset.

    Args:
        manifest: columns image, patient, list ("train_val", "test" or "").
        settings: fractions of the patients, the seed, whether to follow the lists.

    Returns:
        Columns image, patient, subset ("train", "validation" or "test"), sorted by image.

    Raises:
        DataError: too few patients, images on neither list, or a patient on two sides.
    """
    table = manifest[["image", "patient", "list"]].sort_values("image", ignore_index=True)
    patients = sorted(set(table["patient"]))
    if settings.use_lists and (table["list"] != "").any():
        test = _listed_test_patients(table)
        rest = [patient for patient in patients if patient not in test]
        rest = _shuffled(rest, settings.seed)
    else:
        rest = _shuffled(patients, settings.seed)
        count = _share(settings.test, len(patients))
        test, rest = set(rest[:count]), rest[count:]
    validation = set(rest[: _share(settings.validation, len(patients))])
    subset = [
        "test" if patient in test else "validation" if patient in validation else "train"
        for patient in table["patient"]
    ]
    split = table[["image", "patient"]].assign(subset=subset)
    check_split(split)
    return split


def check_split(split: pd.DataFrame) -> None:
    """Refuse a split that leaks a patient or leaves a subset empty.

    Raises:
        DataError: a subset is unknown or empty, a patient is in two, or an image is there twice.
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
    """Return at most `count` images of a subset, of as many patients as can be, sorted by name."""
    order = {
        patient: place
        for place, patient in enumerate(_shuffled(sorted(set(part["patient"])), seed))
    }
    nth = part.sort_values("image").groupby("patient").cumcount()
    ranked = part.assign(nth=nth, place=part["patient"].map(order)).sort_values(["nth", "place"])
    return sorted(ranked["image"][:count])


def _listed_test_patients(table: pd.DataFrame) -> set[str]:
    unlisted = table["image"][table["list"] == ""]
    if len(unlisted):
        raise DataError(
            f"{len(unlisted)} of {len(table)} images are on neither train_val_list.txt nor "
            f"test_list.txt, the first is {unlisted.iloc[0]}: complete the lists, or set "
            "split.use_lists: false"
        )
    test = set(table["patient"][table["list"] == "test"])
    both = sorted(test & set(table["patient"][table["list"] == "train_val"]))
    if both:
        raise DataError(
            f"{len(both)} patient(s) are on both lists, the first is {both[0]}: correct the lists, "
            "or set split.use_lists: false to split by patient"
        )
    return test


def _shuffled(patients: list[str], seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(patients))
    return [patients[index] for index in order]


def _share(fraction: float, patients: int) -> int:
    """Return a fraction of the patients, at least one: no subset may come out empty."""
    return max(1, round(fraction * patients))
