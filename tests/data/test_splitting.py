"""No patient is on two sides, and nothing but names, settings and lists decides who is where."""

from collections.abc import Sequence

import pandas as pd
import pytest

from srpipe.core.errors import DataError
from srpipe.data.splitting import split_by_patient
from srpipe.settings.split import Split


def manifest(patients: Sequence[int], lists: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a manifest with an image for each patient number given; repeats are follow-ups."""
    seen: dict[int, int] = {}
    images = []
    for patient in patients:
        seen[patient] = seen.get(patient, -1) + 1
        images.append(f"{patient:08d}_{seen[patient]:03d}.png")
    return pd.DataFrame(
        {
            "image": images,
            "patient": [f"{patient:08d}" for patient in patients],
            "list": list(lists) if lists is not None else "",
        }
    )


def settings(
    *, use_lists: bool = True, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> Split:
    """Return split settings."""
    return Split(use_lists=use_lists, validation=validation, test=test, seed=seed)


def patients_of(split: pd.DataFrame, subset: str) -> set[str]:
    """Return the patients of a subset."""
    return set(split["patient"][split["subset"] == subset])


MANY = manifest([patient for patient in range(1, 41) for _ in range(1 + patient % 4)])
LISTED = MANY.assign(
    list=["test" if int(patient) % 5 == 0 else "train_val" for patient in MANY["patient"]]
)


@pytest.mark.parametrize("table", [MANY, LISTED])
def test_the_order_of_rows_does_not_matter(table: pd.DataFrame) -> None:
    """Patients are sorted before the seeded shuffle: shuffled rows give the same split."""
    expected = split_by_patient(table, settings())
    for seed in range(3):
        mixed = table.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(split_by_patient(mixed, settings()), expected)


def test_every_image_is_there_once_sorted_by_name() -> None:
    """The split holds the images of the manifest, with their patients, sorted."""
    split = split_by_patient(MANY.iloc[::-1], settings())
    assert list(split.columns) == ["image", "patient", "subset"]
    expected = MANY.sort_values("image")
    assert split["image"].tolist() == expected["image"].tolist()
    assert split["patient"].tolist() == expected["patient"].tolist()


@pytest.mark.parametrize("table", [MANY, LISTED])
@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_on_two_sides(table: pd.DataFrame, seed: int) -> None:
    """All images of a patient go together."""
    split = split_by_patient(table, settings(seed=seed))
    assert split.groupby("patient")["subset"].nunique().eq(1).all()


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.2), (0.25, 0.5), (0.3, 0.05)])
def test_fractions_are_of_patients(validation: float, test: float) -> None:
    """Of 40 patients, the fractions asked for are in each subset."""
    split = split_by_patient(MANY, settings(validation=validation, test=test))
    sizes = {name: len(patients_of(split, name)) for name in ("train", "validation", "test")}
    assert sizes == {
        "validation": round(40 * validation),
        "test": round(40 * test),
        "train": 40 - round(40 * validation) - round(40 * test),
    }


def test_another_seed_gives_another_split() -> None:
    """The seed decides: five seeds give five sets of test patients."""
    drawn = {
        frozenset(patients_of(split_by_patient(MANY, settings(seed=seed)), "test"))
        for seed in range(5)
    }
    assert len(drawn) == 5


@pytest.mark.parametrize("seed", range(3))
def test_the_lists_are_followed(seed: int) -> None:
    """Test is the test list; validation is carved out of the rest, a fraction of all patients."""
    split = split_by_patient(LISTED, settings(validation=0.1, seed=seed))
    listed = set(LISTED["patient"][LISTED["list"] == "test"])
    assert patients_of(split, "test") == listed
    assert len(patients_of(split, "validation")) == 4
    assert not patients_of(split, "validation") & listed


def test_lists_can_be_ignored() -> None:
    """With use_lists false the split is the one of a data set without lists."""
    off = settings(use_lists=False)
    pd.testing.assert_frame_equal(split_by_patient(LISTED, off), split_by_patient(MANY, off))
    assert patients_of(split_by_patient(LISTED, off), "test") != patients_of(
        split_by_patient(LISTED, settings()), "test"
    )


def test_three_patients_are_enough() -> None:
    """However small the fractions, each subset gets a patient."""
    split = split_by_patient(manifest([1, 2, 3]), settings(validation=0.01, test=0.01))
    assert sorted(split["subset"]) == ["test", "train", "validation"]


@pytest.mark.parametrize("patients", [[1], [1, 1, 1], [1, 2, 2]])
def test_fewer_than_three_patients_are_refused(patients: list[int]) -> None:
    """Images do not stand in for patients."""
    with pytest.raises(DataError, match="at least three patients"):
        split_by_patient(manifest(patients), settings())


def test_a_patient_on_both_lists_is_refused() -> None:
    """Such lists would leak; the message names the patient and the way out."""
    table = manifest([1, 1, 2, 3, 4], ["test", "train_val", "train_val", "train_val", "train_val"])
    with pytest.raises(DataError, match=r"first is 00000001: correct the lists.*use_lists: false"):
        split_by_patient(table, settings())
    assert len(split_by_patient(table, settings(use_lists=False))) == 5


def test_images_on_no_list_are_refused() -> None:
    """Incomplete lists are not guessed at."""
    table = manifest([1, 2, 3, 4], ["test", "train_val", "", "train_val"])
    with pytest.raises(DataError, match=r"1 of 4 images.*00000003_000\.png.*use_lists: false"):
        split_by_patient(table, settings())


def test_an_image_twice_is_refused() -> None:
    """Names are unique."""
    with pytest.raises(DataError, match="is in the split twice"):
        split_by_patient(pd.concat([MANY, MANY.iloc[:1]]), settings())
