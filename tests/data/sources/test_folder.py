"""The user's own images: everything that is wrong is told before anything is replaced."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srpipe.core.errors import DataError
from srpipe.data.sources import folder
from srpipe.data.sources.manifest import open_source
from srpipe.formats.raster import SixteenBit, encode_png, write_png
from srpipe.imaging.arrays import GreyImage
from srpipe.settings.datasets import Folder

DEFAULTS = {
    "path": "data/own",
    "patient_pattern": "file_name",
    "patient_table": None,
    "image_column": "Image Index",
    "patient_column": "Patient ID",
    "accept_patients": False,
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder, `data/own` of a repository that is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    (tmp_path / "data/own").mkdir(parents=True)
    return tmp_path / "data/own"


def put(path: Path, height: int = 64, width: int = 64) -> None:
    """Write an image that can be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(np.full((height, width), 7, np.uint8)))


def fetch(scale: int = 4, use_lists: bool = True, **changes: Any) -> list[tuple[str, str, str]]:
    """Fetch with default settings but for `changes`; return image, patient and list of each."""
    chosen = Folder.model_validate({**DEFAULTS, **changes})
    raw = Path("data/raw/folder")
    folder.fetch(chosen, raw, scale=scale, sixteen_bit="minmax", use_lists=use_lists)
    entries = open_source(Path("data/raw/folder")).entries
    return [(each.image, each.patient, each.list) for each in entries]


def refused(**changes: Any) -> str:
    """Fetch, which must fail and write nothing; return the message."""
    with pytest.raises(DataError) as caught:
        fetch(**changes)
    assert not Path("data/raw").exists()
    return str(caught.value)


def test_images_are_listed_where_they_are(own: Path) -> None:
    """Subfolders are included, names sorted, suffixes of any case; nothing is copied."""
    for name in ("p2_a.PNG", "p1_b.png", "sub/p1_c.png", "sub/deep/00007_x.png"):
        put(own / name)
    (own / "notes.txt").write_text("left out")
    assert fetch() == [
        ("p1_b.png", "p1", ""),
        ("p2_a.PNG", "p2", ""),
        ("sub/deep/00007_x.png", "00007", ""),
        ("sub/p1_c.png", "p1", ""),
    ]
    source = open_source(Path("data/raw/folder"))
    assert source.root == own
    assert source.read(source.entries[2]) == (own / "sub/deep/00007_x.png").read_bytes()
    assert sorted(os.listdir("data/raw/folder")) == [
        "facts.csv",
        "manifest.csv",
        "source.json",
    ]


@pytest.mark.parametrize("given", ["data/own", "{}/data/own"])
@pytest.mark.parametrize("copied", [False, True])
def test_images_in_the_repository_move_with_it(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, copied: bool
) -> None:
    """However the path was given; a copy reads its own, not those of the old place. So does DVC's
    temporary workspace, to which the images are not copied.
    """
    put(own / "a_1.png")
    repository = tmp_path / "repository"
    for name in ("repository", "temporary"):
        (tmp_path / name).mkdir()
    (tmp_path / "data").rename(repository / "data")
    monkeypatch.chdir(repository)
    fetch(path=given.format(repository))
    written = Path("data/raw/folder/source.json").read_bytes()
    moved = tmp_path / "moved"
    shutil.copytree(repository, moved) if copied else repository.rename(moved)
    monkeypatch.chdir(moved)
    assert open_source(Path("data/raw/folder")).root == moved / "data/own"
    monkeypatch.chdir(tmp_path / "temporary")
    monkeypatch.setenv("DVC_ROOT", str(moved))
    fetch(path="data/own")
    assert open_source(Path("data/raw/folder")).root == moved / "data/own"
    assert Path("data/raw/folder/source.json").read_bytes() == written


def test_the_path_may_be_absolute_or_a_link(own: Path, tmp_path: Path) -> None:
    """Data on another disk need not be copied."""
    put(tmp_path / "disk/a_1.png")
    assert fetch(path=str(tmp_path / "disk")) == [("a_1.png", "a", "")]
    (own / "linked").symlink_to(tmp_path / "disk")
    assert fetch() == [("linked/a_1.png", "a", "")]


def test_the_repository_is_the_one_that_dvc_names(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a temporary copy that DVC runs in, a relative path still means the user's repository."""
    put(own / "a_1.png")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert fetch() == [("a_1.png", "a", "")]


def test_a_missing_folder_is_named(own: Path) -> None:
    """The message has the path and the setting."""
    message = refused(path="data/absent")
    assert "is not there" in message
    assert "data/absent" in message
    assert "datasets.folder.path" in message


def test_a_file_for_a_folder_is_named(own: Path) -> None:
    """A zip or an image given as the folder is said to be a file."""
    put(own / "a_1.png")
    assert "is a file" in refused(path="data/own/a_1.png")


def test_a_folder_without_images_says_what_is_there(own: Path) -> None:
    """The endings that are read, and DICOM by name."""
    (own / "a.dcm").write_bytes(b"x")
    (own / "b.txt").write_bytes(b"x")
    message = refused()
    assert "none of its files ends in .png, .jpg, .jpeg, .jfif, .jpe, .tif, .tiff" in message
    assert "it holds 1 DICOM (a.dcm)" in message


def test_dicom_beside_images_is_a_warning(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that look like radiographs are not left out in silence."""
    put(own / "a_1.png")
    (own / "a.dcm").write_bytes(b"x")
    assert len(fetch()) == 1
    assert "1 file(s) are not read: 1 DICOM (a.dcm)" in capsys.readouterr().err


def test_every_bad_file_is_told_at_once(own: Path) -> None:
    """A cut file, a text, an empty and a small one are told together, with their reasons."""
    put(own / "a_good.png")
    put(own / "b_small.png", height=63)
    (own / "c_cut.png").write_bytes(encode_png(np.full((64, 64), 7, np.uint8))[:-20])
    (own / "d_text.png").write_text("I am no image")
    (own / "e_empty.png").write_bytes(b"")
    (own / "f_dangling.png").symlink_to("nowhere")
    message = refused()
    assert message.startswith("5 of 6 image(s) cannot be used")
    assert "b_small.png is 64 x 63 pixels: allowed are sides of at least 64" in message
    assert "c_cut.png is damaged" in message
    assert "d_text.png is no image that can be read; it starts with 'I am no" in message
    assert "e_empty.png is empty" in message
    assert "f_dangling.png cannot be read: No such file" in message
    assert "a_good.png" not in message


def test_ten_bad_files_are_shown_and_the_rest_counted(own: Path) -> None:
    """A folder full of texts does not fill the screen."""
    for number in range(13):
        (own / f"{number:02d}.png").write_text("x")
    message = refused()
    assert message.startswith("13 of 13 image(s)")
    assert "09.png" in message
    assert "10.png" not in message
    assert "and 3 more" in message


@pytest.mark.parametrize(("scale", "side"), [(2, 32), (4, 64), (8, 128)])
def test_the_smallest_image_has_16_lr_pixels(own: Path, scale: int, side: int) -> None:
    """Sixteen LR pixels a side are enough, one HR pixel less is not."""
    put(own / "a_1.png", side, side)
    assert len(fetch(scale)) == 1
    put(own / "b_1.png", side, side - 1)
    with pytest.raises(DataError, match=rf"b_1\.png is {side - 1} x {side} pixels"):
        fetch(scale)


def test_a_fault_keeps_the_former_list(own: Path) -> None:
    """A new bad image does not cost the list that was there."""
    put(own / "a_1.png")
    fetch()
    before = Path("data/raw/folder/manifest.csv").read_bytes()
    (own / "b_1.png").write_text("x")
    with pytest.raises(DataError):
        fetch()
    assert Path("data/raw/folder/manifest.csv").read_bytes() == before


def test_the_number_of_workers_changes_nothing(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes write the same list as one."""
    for number in range(5):
        put(own / f"p{number}_1.png")
    fetch()
    one = Path("data/raw/folder/manifest.csv").read_bytes()
    monkeypatch.setenv("SRPIPE_WORKERS", "2")
    fetch()
    assert Path("data/raw/folder/manifest.csv").read_bytes() == one


def test_a_pattern_of_ones_own(own: Path) -> None:
    """The pattern is searched in the path below the folder."""
    put(own / "site_9/scan-patient042-pa.png")
    assert fetch(patient_pattern=r"patient(?P<patient>\d+)") == [
        ("site_9/scan-patient042-pa.png", "042", "")
    ]


def test_names_without_a_patient_are_told(own: Path) -> None:
    """No match, or an empty one, would put strangers into one patient."""
    for name in ("_1.png", "a_1.png", "_2.png"):
        put(own / name)
    message = refused()
    assert message.startswith("2 path(s) name no patient")
    assert "_1.png" in message
    assert "datasets.folder.patient_pattern is 'file_name'" in message


def test_a_table_names_the_patients(own: Path) -> None:
    """Ids stay text, NA and zeros included; spaces around do not make new patients."""
    for name in ("x.png", "y.png", "sub/z.png"):
        put(own / name)
    (own / "people.csv").write_text(
        "\ufefffile,who,age\nx.png,007,5\ny.png, 007 ,5\nz.png,NA,6\nunused.png,1,1\n",
        encoding="utf-8",
    )
    assert fetch(patient_table="people.csv", image_column="file", patient_column="who") == [
        ("sub/z.png", "NA", ""),
        ("x.png", "007", ""),
        ("y.png", "007", ""),
    ]


def test_a_table_that_lies_there_is_not_used_unasked(own: Path) -> None:
    """Null means the pattern, even beside a file with the NIH's name."""
    put(own / "a_1.png")
    (own / "Data_Entry_2017.csv").write_text("Image Index,Patient ID\na_1.png,99\n")
    assert fetch() == [("a_1.png", "a", "")]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("Image Index,Patient ID\nx.png,1\n", r"1 image\(s\) have no patient .*\n  y\.png"),
        ("Image Index,Patient ID\nx.png,1\ny.png,\n", r"1 image\(s\) have no patient"),
        ("Image Index,Patient ID\nx.png,1\ny.png,1\nx.png,2\n", r"1 image\(s\) have two patients"),
        ("Image,Patient ID\nx.png,1\n", "no column 'Image Index'; it has 'Image', 'Patient ID'"),
        ("", "cannot be read"),
        (None, "cannot be read: .* Give a CSV file"),
    ],
)
def test_a_table_that_does_not_do_is_refused(own: Path, table: str | None, told: str) -> None:
    """Missing images, two patients, other columns, no table: named, with nothing written."""
    for name in ("x.png", "y.png"):
        put(own / name)
    if table is not None:
        (own / "people.csv").write_text(table)
    with pytest.raises(DataError, match=told):
        fetch(patient_table="people.csv")
    assert not Path("data/raw").exists()


def test_a_name_for_two_images_is_refused(own: Path) -> None:
    """Two files of one name need their paths in the table; then each has its own patient."""
    for name in ("s1/x.png", "s2/x.png"):
        put(own / name)
    (own / "people.csv").write_text("Image Index,Patient ID\nx.png,1\n")
    message = refused(patient_table="people.csv")
    assert "could be s1/x.png or s2/x.png" in message
    (own / "people.csv").write_text("Image Index,Patient ID\ns1/x.png,1\ns2/x.png,2\n")
    assert fetch(patient_table="people.csv") == [("s1/x.png", "1", ""), ("s2/x.png", "2", "")]


def test_lists_fill_the_column(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By file name; a name without an image is a warning; without asking they are not read."""
    for name in ("a_1.png", "sub/b_1.png"):
        put(own / name)
    (own / "train_val_list.txt").write_text("a_1.png\nz_9.png\n")
    (own / "test_list.txt").write_text("b_1.png\n")
    assert fetch() == [
        ("a_1.png", "a", "train_val"),
        ("sub/b_1.png", "b", "test"),
    ]
    assert "1 name(s) on the lists of" in capsys.readouterr().err
    assert {kind for _, _, kind in fetch(use_lists=False)} == {""}


@pytest.mark.parametrize(
    "named",
    ["a_1.png", "a_1.jpg", "a_1", "sub/a_1.PNG", "sub\\a_1.png", "./sub/a_1.png", "\ufeffa_1.png"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_name_images_as_people_write_them(own: Path, named: str, end: str) -> None:
    """With another suffix or none, another system's slashes and line ends, a byte order mark."""
    put(own / "sub/a_1.png")
    put(own / "b_1.png")
    (own / "test_list.txt").write_bytes(f"{named}{end}".encode())
    (own / "train_val_list.txt").write_bytes(f"b_1.png{end}".encode("utf-16"))
    assert [kind for _, _, kind in fetch()] == ["train_val", "test"]


def test_lists_that_match_in_part_are_refused(own: Path) -> None:
    """They never become a random split in silence: counted, named, and the way out is said."""
    for name in ("a_1.png", "b_1.png", "c_1.png"):
        put(own / name)
    (own / "train_val_list.txt").write_text("x_1.png\n")
    (own / "test_list.txt").write_text("a_1.png\n")
    message = refused()
    assert message.startswith("2 of 3 image(s) are on neither list")
    assert "b_1.png" in message
    assert "split.use_lists: false" in message
    assert "Names on the lists that are no image: x_1.png" in message
    assert len(fetch(use_lists=False)) == 3


def test_one_list_alone_is_refused(own: Path) -> None:
    """A forgotten list is named, and how to do without one."""
    put(own / "a_1.png")
    (own / "test_list.txt").write_text("a_1.png\n")
    assert "has test_list.txt but no train_val_list.txt" in refused()


def test_an_image_on_both_lists_is_refused(own: Path) -> None:
    """An image to learn and to be tested on is named."""
    put(own / "a_1.png")
    for name in ("train_val_list.txt", "test_list.txt"):
        (own / name).write_text("a_1.png\n")
    assert "a_1.png is on both train_val_list.txt and test_list.txt" in refused()


def test_a_name_that_is_not_utf8_is_refused(own: Path) -> None:
    """A name that no CSV file can hold is told, in a form that can be printed."""
    try:
        put(Path(os.fsdecode(os.fsencode(own) + b"/a_\xff.png")))
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    assert "1 file name(s) are not UTF-8" in refused()


def test_images_that_did_not_change_are_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second look reads the bytes only; a changed file, or one now too small, is still found."""
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    images, raw = tmp_path / "images", tmp_path / "raw"
    images.mkdir()
    for name in ("a_1.png", "b_1.png"):
        write_png(images / name, np.full((64, 80), 7, np.uint8))
    settings = Folder.model_validate({**DEFAULTS, "path": str(images)})
    folder.fetch(settings, raw, scale=4, sixteen_bit="minmax", use_lists=True)
    before = (raw / "manifest.csv").read_bytes()

    decoded: list[str] = []
    real = folder.read_grey

    def spy(data: bytes, name: str, sixteen_bit: SixteenBit, *tell: Any) -> GreyImage:
        decoded.append(name)
        return real(data, name, sixteen_bit, *tell)

    monkeypatch.setattr(folder, "read_grey", spy)
    folder.fetch(settings, raw, scale=4, sixteen_bit="minmax", use_lists=True)
    assert decoded == []
    assert (raw / "manifest.csv").read_bytes() == before
    with pytest.raises(DataError, match="80 x 64 pixels"):
        folder.fetch(settings, raw, scale=8, sixteen_bit="minmax", use_lists=True)
    write_png(images / "b_1.png", np.full((64, 80), 8, np.uint8))
    folder.fetch(settings, raw, scale=4, sixteen_bit="minmax", use_lists=True)
    assert decoded == ["b_1.png"]
