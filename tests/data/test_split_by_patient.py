"""No patient is on two sides, and nothing but names, settings and lists decides who is where."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from srpipe.core.errors import DataError
from srpipe.data.split_by_patient import lookalikes, split_by_patient, twins
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
            "pixels": images,  # no two are equal
        }
    )


def settings(
    *,
    use_lists: bool = True,
    same_image: Literal["refuse", "merge"] = "refuse",
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> Split:
    """Return split settings."""
    return Split(
        use_lists=use_lists,
        same_image=same_image,
        validation=validation,
        test=test,
        seed=seed,
    )


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


# ------------------------------------------------------------------ one image, two patients


def shared(one: str, other: str) -> pd.DataFrame:
    """Return a manifest in which an image of each of two patients is the same."""
    table = MANY.copy()
    for patient in (one, other):
        table.loc[table.index[table["patient"] == patient][0], "pixels"] = "the same"
    return table


@pytest.mark.parametrize("use_lists", [False, True])
def test_one_image_on_two_sides_is_refused(use_lists: bool) -> None:
    """Under two patients: both images and patients are named, and what can be done."""
    given = settings(use_lists=use_lists)
    split = split_by_patient(LISTED, given)
    train, test = (sorted(patients_of(split, side))[0] for side in ("train", "test"))
    with pytest.raises(DataError) as caught:
        split_by_patient(shared(train, test).assign(list=LISTED["list"]), given)
    message = str(caught.value)
    assert message.startswith("1 image(s) are there under two patients, on two sides")
    assert f"(patient {train})" in message
    assert f"(patient {test})" in message
    assert "split.same_image: merge" in message
    assert ("(with split.use_lists: false)" in message) == use_lists


def test_one_image_twice_on_one_side_does_no_harm() -> None:
    """Nothing leaks, so nothing changes."""
    split = split_by_patient(MANY, settings())
    one, other = sorted(patients_of(split, "train"))[:2]
    pd.testing.assert_frame_equal(split_by_patient(shared(one, other), settings()), split)


def test_patients_that_share_an_image_can_be_merged() -> None:
    """In a chain, too: they are one patient then, on one side."""
    table = shared("00000003", "00000017")
    for index, name in ((0, "00000017"), (1, "00000030")):
        rows = table.index[table["patient"] == name]
        table.loc[rows[-1] if index == 0 else rows[0], "pixels"] = "another"
    split = split_by_patient(table, settings(same_image="merge"))
    assert len(split) == len(MANY)
    images = split.merge(MANY[["image", "patient"]], on="image", suffixes=("", "_was"))
    chain = images[images["patient_was"].isin(["00000003", "00000017", "00000030"])]
    assert set(chain["patient"]) == {"00000003"}
    assert chain["subset"].nunique() == 1


def test_one_image_under_two_patients_is_found_on_any_side() -> None:
    """Two of its names, for each such image; follow-ups of one patient that are equal are none."""
    assert twins(MANY) == []
    same = MANY[MANY["patient"] == "00000003"].index
    assert len(same) > 1
    assert twins(MANY.assign(pixels=MANY["pixels"].where(~MANY.index.isin(same), "equal"))) == []
    found = twins(shared("00000007", "00000003").iloc[::-1])
    assert found == [("00000003_000.png", "00000007_000.png")]


def test_images_that_look_the_same_are_found_across_sides() -> None:
    """Of different patients: pairs of names, whichever side is which."""
    split = split_by_patient(MANY, settings())
    looks = {image: f"{index:064x}"[::-1] for index, image in enumerate(MANY["image"])}
    train, test = (split["image"][split["subset"] == side].iloc[0] for side in ("train", "test"))
    random = np.random.default_rng(0)
    for image in looks:
        looks[image] = random.bytes(32).hex()
    looks[train] = looks[test]
    manifest_ = MANY.assign(look=[looks[image] for image in MANY["image"]])
    assert lookalikes(manifest_, split) == [(test, train)]


def check_full_size(table: pd.DataFrame, digest: str) -> None:
    """Split all of NIH's images in seconds, each patient on one side, to a known result."""
    assert (len(table), table["patient"].nunique()) == (112_120, 30_805)
    rng = np.random.default_rng(0)
    looks = [row.tobytes().hex() for row in rng.integers(0, 256, (len(table), 32), np.uint8)]
    start = time.process_time()
    split = split_by_patient(table, settings())
    near = lookalikes(table.assign(look=looks), split)
    assert twins(table) == near == []
    assert time.process_time() - start < 10
    sides = [patients_of(split, side) for side in ("train", "validation", "test")]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 30_805
    assert hashlib.sha256(split.to_csv(index=False).encode()).hexdigest() == digest


def test_the_size_of_nih_takes_seconds_and_is_equal_on_every_machine() -> None:
    """As many images of as many patients, named as they are."""
    more = 112_120 - 3 * 30_805
    table = manifest([p for p in range(1, 30_806) for _ in range(3 + (p <= more))])
    check_full_size(table, "e2661e443e77be78341601daf3a792b421340cab6f206bfc9960aed512f76d97")


def test_the_real_table_of_nih_takes_seconds_and_is_equal_on_every_machine(nih_table: Path) -> None:
    """The data set's own rows, without its lists, which the table does not hold."""
    rows = pd.read_csv(nih_table, dtype=str)
    table = pd.DataFrame({"image": rows["Image Index"], "patient": rows["Patient ID"]})
    check_full_size(
        table.assign(list="", pixels=table["image"]),
        "0e67ca7950f400cce7e32d290291d4b12435d40cbab0ae74b264e885c1611ec1",
    )
