"""Splitting by patient, never by image.

Patients are sorted before the seeded shuffle, so that the split does not depend on the order of
files. If the data set has the NIH's own lists, the test list is the test set, and validation is
split off from the rest by patient.
"""

import pandas as pd

from srpipe.core.errors import DataError
from srpipe.data.splits import check_split, shuffled
from srpipe.settings.split import Split


def split_by_patient(manifest: pd.DataFrame, settings: Split) -> pd.DataFrame:
    """Assign each image to a subset.

    Args:
        manifest: columns image, patient, list ("train_val", "test" or "").
        settings: fractions of the patients, the seed, whether to follow the lists.

    Returns:
        Columns image, patient, subset ("train", "validation" or "test"), sorted by image.

    Raises:
        DataError: too few patients, images on neither list, or a patient in two subsets.
    """
    table = manifest[["image", "patient", "list"]].sort_values("image", ignore_index=True)
    patients = sorted(set(table["patient"]))
    if settings.use_lists and (table["list"] != "").any():
        test = _listed_test_patients(table)
        rest = [patient for patient in patients if patient not in test]
        rest = shuffled(rest, settings.seed)
    else:
        rest = shuffled(patients, settings.seed)
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


def _share(fraction: float, patients: int) -> int:
    """Return a fraction of the patients, at least one so that no subset is empty."""
    return max(1, round(fraction * patients))
