"""Patient IDs of the layouts that people have are right, or refused with the reason."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from srpipe.core.errors import DataError
from srpipe.data.sources.patients import patients_of
from srpipe.settings.datasets import PATTERNS, Folder

CHEXPERT = [
    f"train/patient{patient:05d}/study{study}/{view}.jpg"
    for patient in range(8)
    for study in (1, 2)
    for view in ("view1_frontal", "view2_lateral")
]
MIMIC = [
    f"files/p1{patient % 3}/p1000000{patient}/s5000000{study}/{study}{patient}c0ffee-cafe.jpg"
    for patient in range(6)
    for study in (1, 2)
]
NIH = [f"images_00{part}/images/0000000{part}_{n:03d}.png" for part in (1, 2, 3) for n in (0, 1)]
PADCHEST = [
    f"{part}/2168401113669{number}_00-0{part}.png" for part in (0, 1) for number in (1, 2, 3)
]
VINDR = [
    f"{side}/{start + n:032x}.png" for side, start in (("train", 0), ("test", 5)) for n in range(5)
]


def patients(images: list[str], root: Path = Path("own"), **changes: Any) -> dict[str, str]:
    """Return the patients of images by settings with changes."""
    given = {
        "path": "own",
        "patient_pattern": "file_name",
        "patient_table": None,
        "image_column": "Image Index",
        "patient_column": "Patient ID",
        "accept_patients": False,
        **changes,
    }
    return patients_of(root, images, Folder.model_validate(given))


@pytest.mark.parametrize(
    ("layout", "pattern", "count"),
    [(CHEXPERT, "chexpert", 8), (MIMIC, "mimic", 6), (NIH, "nih", 3), (NIH, "file_name", 3)],
)
def test_public_layouts_have_a_pattern_by_name(layout: list[str], pattern: str, count: int) -> None:
    """Every image has its patient, as the data set's own documents say."""
    found = patients(layout, patient_pattern=pattern)
    assert list(found) == layout
    assert len(set(found.values())) == count


def test_padchests_table_names_the_patients(tmp_path: Path) -> None:
    """By the columns that it has, with images in the folders of its parts."""
    lines = [f"{name.rpartition('/')[2]},P{index // 2}" for index, name in enumerate(PADCHEST)]
    (tmp_path / "padchest.csv").write_text("\n".join(["ImageID,PatientID", *lines]))
    columns = {"image_column": "ImageID", "patient_column": "PatientID"}
    found = patients(PADCHEST, tmp_path, patient_table="padchest.csv", **columns)
    assert list(found.values()) == ["P0", "P0", "P1", "P1", "P2", "P2"]


def test_mimics_tables_name_images_without_suffix(tmp_path: Path) -> None:
    """`dicom_id`, whose image lies four folders deep and ends in .jpg."""
    lines = [f"{name.rpartition('/')[2][:-4]},{name.split('/')[2]}" for name in MIMIC]
    (tmp_path / "mimic.csv").write_text("\n".join(["dicom_id,subject_id", *lines]))
    columns = {"image_column": "dicom_id", "patient_column": "subject_id"}
    found = patients(MIMIC, tmp_path, patient_table="mimic.csv", **columns)
    assert found == patients(MIMIC, patient_pattern="mimic")


@pytest.mark.parametrize("place", ["tables/mimic.csv.gz", "absolute", "~"])
def test_a_table_may_be_compressed_and_lie_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """As MIMIC publishes it, below the folder of images or elsewhere."""
    (tmp_path / "tables").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "tables"))
    file = tmp_path / "tables/mimic.csv.gz"
    lines = [f"{name.rpartition('/')[2][:-4]},{name.split('/')[2]}" for name in MIMIC]
    file.write_bytes(gzip.compress("\n".join(["dicom_id,subject_id", *lines]).encode()))
    given = {"absolute": str(file), "~": "~/mimic.csv.gz"}.get(place, place)
    columns = {"image_column": "dicom_id", "patient_column": "subject_id"}
    found = patients(MIMIC, tmp_path, patient_table=given, **columns)
    assert found == patients(MIMIC, patient_pattern="mimic")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"patient_table cannot be read: .*mimic\.csv\.gz"):
        patients(MIMIC, tmp_path, patient_table=given, **columns)


def test_vindr_has_a_patient_an_image() -> None:
    """As far as is known: it names none. Equal file names in two folders are two images."""
    images = [*VINDR, "a/1.png", "b/1.png"]
    assert len(set(patients(images, patient_pattern="image").values())) == len(images)


def test_a_row_for_another_folders_image_names_no_patient(tmp_path: Path) -> None:
    """Although the file names are equal: the folders are part of the name."""
    (tmp_path / "table.csv").write_text("image,patient\np1/s1/a.png,p1\np3/s1/a.png,p3\n")
    given = {"patient_table": "table.csv", "image_column": "image", "patient_column": "patient"}
    with pytest.raises(DataError, match=r"1 image\(s\) have no patient.*\n  p9/s1/a\.png"):
        patients(["p1/s1/a.png", "p9/s1/a.png"], tmp_path, **given)


def test_file_names_that_repeat_across_folders_are_refused() -> None:
    """The default pattern finds "view1" and "view2" in CheXpert: the message has the right one."""
    with pytest.raises(DataError) as caught:
        patients(CHEXPERT)
    message = str(caught.value)
    assert "2 patient ID(s) in 32 images come from file names that repeat" in message
    assert "chexpert, for instance, which finds 8 patients" in message
    assert "accept_patients: true" in message


def test_a_patient_an_image_in_folders_by_patient_is_refused() -> None:
    """The default pattern finds a UUID in MIMIC; a table with a wrong column does the like."""
    with pytest.raises(DataError, match=r"every one of 12 images is a patient.*mimic, for"):
        patients(MIMIC)


def test_one_patient_for_all_is_refused() -> None:
    """As where a pattern finds a prefix that all names have."""
    with pytest.raises(DataError, match="all 4 images are of one patient, 'scan'"):
        patients([f"scan_{number}.png" for number in range(4)])


@pytest.mark.parametrize("layout", [CHEXPERT, MIMIC, ["scan_1.png", "scan_2.png"]])
def test_what_looks_wrong_can_be_meant(layout: list[str]) -> None:
    """A setting says so."""
    assert set(patients(layout, accept_patients=True)) == set(layout)


@pytest.mark.parametrize("pattern", ["file_name", r"^(?P<patient>[^/]+?) ?_"])
def test_a_patient_in_two_unicode_forms_is_one(pattern: str) -> None:
    """As folders have names that came by way of macOS, and as hands type blanks."""
    images = ["J\u00f6rg_1.png", "Jo\u0308rg_2.png", "J\u00f6rg _3.png", "Anna_1.png"]
    found = patients(images, patient_pattern=pattern)
    assert list(found.values()) == ["J\u00f6rg"] * 3 + ["Anna"]


def test_a_table_with_a_patient_in_two_unicode_forms_has_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("i,p\na,J\u00f6rg\nb,Jo\u0308rg \n", encoding="utf-8")
    columns = {"image_column": "i", "patient_column": "p", "accept_patients": True}
    found = patients(["a.png", "b.png"], tmp_path, patient_table="t.csv", **columns)
    assert set(found.values()) == {"J\u00f6rg"}


def test_backslashes_in_file_names_are_slashes() -> None:
    """As a zip from another system is unpacked by some tools: all in one folder."""
    images = [name.replace("/", "\\") for name in CHEXPERT]
    assert len(set(patients(images, patient_pattern="chexpert").values())) == 8
    with pytest.raises(DataError, match="chexpert, for instance, which finds 8 patients"):
        patients(images)


@pytest.mark.parametrize("blank", ["_1.png", " _1.png"])
def test_blanks_are_no_patient(blank: str) -> None:
    with pytest.raises(DataError, match=r"1 path\(s\) name no patient"):
        patients(["anna_1.png", f"sub/{blank}"])


def test_every_named_pattern_names_the_patient() -> None:
    """So that each can stand in params.yaml."""
    for name in PATTERNS:
        assert Folder(
            path="own",
            patient_pattern=name,
            patient_table=None,
            image_column="a",
            patient_column="b",
            accept_patients=False,
        )
