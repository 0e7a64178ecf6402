"""Splitting by patient, never by image.

Patients are sorted before the seeded shuffle, so that the split does not depend on the order of
files. If the data set has the NIH's own lists, the test list is the test set, and validation is
split off from the rest by patient.
"""

import pandas as pd

from srpipe.core.errors import DataError
from srpipe.data.likeness import alike
from srpipe.data.split_file import check_split, shuffled
from srpipe.settings.split import Split


def split_by_patient(manifest: pd.DataFrame, settings: Split) -> pd.DataFrame:
    """Assign each image to a subset.

    Args:
        manifest: columns image, patient, list ("train_val", "test" or "") and pixels, a digest that
            is the same for equal images.
        settings: fractions of the patients, the seed, whether to follow the lists.

    Returns:
        Columns image, patient, subset ("train", "validation" or "test"), sorted by image.

    Raises:
        DataError: too few patients, images on neither list, a patient in two subsets, or equal
            images of two patients in two subsets.
    """
    table = manifest[["image", "patient", "list", "pixels"]].sort_values("image", ignore_index=True)
    # If so configured, patients who share an image are merged into one.
    merged = _same_images(table) if settings.same_image == "merge" else {}
    table["patient"] = [merged.get(patient, patient) for patient in table["patient"]]
    patients = sorted(set(table["patient"]))
    listed = settings.use_lists and bool((table["list"] != "").any())
    if listed:
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
    _refuse_shared(table.assign(subset=subset), listed)
    return split


def twins(manifest: pd.DataFrame) -> list[tuple[str, str]]:
    """Return, for every image that is there under several patients, two of its names.

    Args:
        manifest: columns image, patient, pixels.
    """
    one_each = manifest.sort_values("image").drop_duplicates(["pixels", "patient"])
    groups = one_each.groupby("pixels")["image"]
    return [(names.iloc[0], names.iloc[1]) for _, names in groups if len(names) > 1]


def lookalikes(manifest: pd.DataFrame, split: pd.DataFrame) -> list[tuple[str, str]]:
    """Return pairs of images of different patients in different subsets that look the same.

    Args:
        manifest: columns image, pixels, look.
        split: columns image, patient, subset.
    """
    table = split.merge(manifest[["image", "look"]], on="image")
    found: list[tuple[str, str]] = []
    for side, others in (("test", ("train", "validation")), ("validation", ("train",))):
        one = table[table["subset"] == side]
        other = table[table["subset"].isin(others)]
        found += [
            (one["image"].iloc[i], other["image"].iloc[j])
            for i, j in alike(one["look"].tolist(), other["look"].tolist())
        ]
    return found


def _same_images(table: pd.DataFrame) -> dict[str, str]:
    """Return patient -> the first of all patients who share equal images."""
    first: dict[str, str] = {}

    def root(patient: str) -> str:
        while first.get(patient, patient) != patient:
            patient = first[patient]
        return patient

    for _, group in table.groupby("pixels"):
        one, *others = sorted({root(patient) for patient in group["patient"]})
        first.update(dict.fromkeys(others, one))
    return {patient: root(patient) for patient in first}


def _refuse_shared(table: pd.DataFrame, listed: bool) -> None:
    """Refuse equal images in two subsets, which lists may have made.

    Raises:
        DataError: there are some.
    """
    sides = table.groupby("pixels")["subset"].nunique()
    shared = table[table["pixels"].isin(sides[sides > 1].index)].sort_values(["pixels", "image"])
    if len(shared):
        (a, b), (p, q) = shared["image"].iloc[:2], shared["patient"].iloc[:2]
        raise DataError(
            f"{shared['pixels'].nunique()} image(s) are there under two patients, on two sides of "
            f"the split; the first is {a} (patient {p}) and {b} (patient {q}). Correct the patient "
            "IDs or the lists, move one of the images away, or set split.same_image: merge, which "
            f"makes such patients one{' (with split.use_lists: false)' * listed}"
        )


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
