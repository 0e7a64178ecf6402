"""A split that is read is whole: no patient on two sides, no image twice, no subset empty."""

from pathlib import Path

import pandas as pd
import pytest

from srpipe.core.errors import DataError
from srpipe.data.split_file import SUBSETS, check_split, read_split, sample_images, subset


def whole() -> pd.DataFrame:
    """Return a split of ten patients, of whom every third has two images."""
    patients = [patient for patient in range(10) for _ in range(2 if patient % 3 == 0 else 1)]
    sides = {8: "validation", 9: "test"}
    return pd.DataFrame(
        {
            "image": [f"{index:03d}.png" for index in range(len(patients))],
            "patient": [f"{patient:08d}" for patient in patients],
            "subset": [sides.get(patient, "train") for patient in patients],
        }
    )


def test_a_split_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Zeros at the front stay, and "NA" is a name."""
    split = whole()
    split.loc[0, "image"] = "NA"
    split.to_csv(tmp_path / "split.csv", index=False)
    pd.testing.assert_frame_equal(read_split(tmp_path / "split.csv"), split)


def test_a_leaking_split_is_refused(tmp_path: Path) -> None:
    """A split that was edited by hand is checked when it is read."""
    split = whole()
    patient = split["patient"].value_counts().index[0]
    row = split.index[split["patient"] == patient][0]
    split.loc[row, "subset"] = "test" if split.loc[row, "subset"] == "train" else "train"
    split.to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(DataError, match=f"two sides of the split, the first is {patient}"):
        read_split(tmp_path / "split.csv")


def test_an_image_twice_is_refused() -> None:
    """Names are unique."""
    with pytest.raises(DataError, match="is in the split twice"):
        check_split(pd.concat([whole(), whole()[:1]]))


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_an_empty_subset_is_refused(name: str) -> None:
    """Without any of the three there is no training, no choice or no result."""
    split = whole()
    with pytest.raises(DataError, match=f"no patient is left for {name}"):
        check_split(split[split["subset"] != name])


def test_a_subset_is_its_rows() -> None:
    assert [len(subset(whole(), name)) for name in SUBSETS] == [11, 1, 2]


def test_a_missing_split_is_told(tmp_path: Path) -> None:
    """The message names the stage to run."""
    with pytest.raises(DataError, match="run the split stage first"):
        read_split(tmp_path / "split.csv")


def test_an_unknown_subset_is_refused(tmp_path: Path) -> None:
    """A mistyped subset would silently train on less."""
    (tmp_path / "split.csv").write_text("image,patient,subset\na,1,trian\nb,2,test\n")
    with pytest.raises(DataError, match="'trian'"):
        read_split(tmp_path / "split.csv")


@pytest.mark.parametrize("text", ["", "image,patient\na,1\n"])
def test_a_damaged_split_is_refused(tmp_path: Path, text: str) -> None:
    """Empty, or without a column: one message that says how to make it again."""
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match="dvc repro --force split"):
        read_split(tmp_path / "split.csv")


def test_a_sample_takes_different_patients_first() -> None:
    """Four of ten images of three patients: every patient is there, the order is by name."""
    part = pd.DataFrame({"image": [f"{i}.png" for i in range(10)], "patient": list("aaaaaaaabc")})
    taken = sample_images(part, 4, seed=0)
    assert taken == sorted(taken)
    assert len(taken) == 4
    assert {part["patient"][part["image"] == name].iloc[0] for name in taken} == set("abc")
    assert sample_images(part, 99, seed=0) == sorted(part["image"])
    assert sample_images(part.sample(frac=1, random_state=1), 4, seed=0) == taken
