"""Every image that a user names is found, once, wherever it lies."""

import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from srpipe.core.errors import DataError
from srpipe.formats.dicom import START
from srpipe.formats.listing import image_files, list_files, list_images
from tests.formats.radiographs import encoded, radiograph, stored


def put(folder: Path, *names: str) -> None:
    """Make empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_are_listed_below_the_folder(tmp_path: Path) -> None:
    """In subfolders too, as paths with "/"; whatever their endings."""
    put(tmp_path, "b.png", "a.txt", "sub/c.PNG", "sub/deep/d")
    assert sorted(list_files(tmp_path)) == ["a.txt", "b.png", "sub/c.PNG", "sub/deep/d"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    """What a file manager hides (thumbnails, macOS's ._ files) is no image of the user's."""
    put(tmp_path, "a.png", "._a.png", ".thumbnails/b.png", "sub/.c.png")
    assert list_files(tmp_path) == ["a.png"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    """To files and folders elsewhere; one that leads back up neither hangs nor doubles images."""
    put(tmp_path, "disk/x.png", "root/sub/a.png")
    (tmp_path / "root/linked").symlink_to(tmp_path / "disk")
    (tmp_path / "root/again").symlink_to(tmp_path / "disk")
    (tmp_path / "root/sub/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/file.png").symlink_to(tmp_path / "disk/x.png")
    found = sorted(list_files(tmp_path / "root"))
    assert found == ["again/x.png", "file.png", "sub/a.png"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    """Images that are silently not there would change a data set."""
    with pytest.raises(DataError, match="gone cannot be listed: No such file"):
        list_files(tmp_path / "gone")


def test_images_are_known_by_their_endings_in_any_case(tmp_path: Path) -> None:
    """And come sorted, so that nothing depends on the order of the file system."""
    put(tmp_path, "z.tif", "b.PNG", "a.jpeg", "notes.txt", "d.Jpg", "e.tiff", "g.jfif", "h.jpe")
    found = list_images(tmp_path)
    assert found.images == ["a.jpeg", "b.PNG", "d.Jpg", "e.tiff", "g.jfif", "h.jpe", "z.tif"]
    assert found.left_out == {}


def test_what_is_left_out_is_told_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counted, a few of each named; DICOM by its content; texts and system files aside."""
    put(tmp_path, "a.png", "c.gif", *(f"d{number}.webp" for number in range(5)), "Thumbs.db")
    put(tmp_path, "notes.txt", "table.CSV", ".DS_Store", "IM-0002", "scan.dcm")
    (tmp_path / "IM-0001").write_bytes(bytes(128) + b"DICM")
    found = list_images(tmp_path)
    assert found.images == ["a.png"]
    assert {kind: len(names) for kind, names in found.left_out.items()} == {
        "DICOM": 2,
        ".gif": 1,
        ".webp": 5,
        "without a suffix": 1,
    }
    assert found.counts()[".webp"] == {"files": 5, "first": ["d0.webp", "d1.webp", "d2.webp"]}
    files, listing = image_files(tmp_path, "--images")
    assert (list(files), listing) == (["a.png"], found)
    told = capsys.readouterr().err
    assert f"warning: {tmp_path}: 9 file(s) are not read: " in told
    assert "5 .webp (d0.webp, d1.webp, d2.webp and 2 more)" in told
    assert "2 DICOM (IM-0001, scan.dcm)" in told
    assert "notes" not in told


def test_dicom_counts_as_image_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By content or suffix; without the extra that reads it the listing says what to install."""
    put(tmp_path, "a.png", "b.DCM", "c.gif")
    (tmp_path / "IM-0001").write_bytes(bytes(128) + b"DICM")
    found = list_images(tmp_path, dicom=True)
    assert found.images == ["IM-0001", "a.png", "b.DCM"]
    assert list(found.left_out) == [".gif"]
    monkeypatch.setitem(sys.modules, "pydicom", None)
    found = list_images(tmp_path, dicom=True)
    assert found.images == ["a.png"]
    assert (
        "2 DICOM, which needs pip install '.[dicom]' in the project's folder (IM-0001, b.DCM)"
        in found.describe()
    )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "Key Object Selection Document"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "X-Ray Radiation Dose SR"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "RT Dose"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation"),
        ("1.2.840.10008.1.3.10", "Media Storage Directory"),
    ],
)
def test_what_else_a_study_holds_is_left_out_by_kind(tmp_path: Path, kind: str, told: str) -> None:
    """Reports and the like, in whatever transfer syntax, whatever they are called."""
    text = np.random.default_rng(0).bytes(4 * START).hex()  # long, however it is packed
    dataset = radiograph(stored(12), 12, SOPClassUID=kind, PixelData=None, TextValue=text)
    for name, syntax in (
        ("a", ImplicitVRLittleEndian),
        ("b.dcm", ExplicitVRLittleEndian),
        ("c", DeflatedExplicitVRLittleEndian),
    ):
        dataset.file_meta.TransferSyntaxUID = syntax
        (tmp_path / name).write_bytes(encoded(dataset))
    found = list_images(tmp_path, dicom=True)
    assert (found.images, found.left_out) == ([], {f"DICOM {told}": ["a", "b.dcm", "c"]})


@pytest.mark.parametrize(
    "kind",
    [
        "1.2.840.10008.5.1.4.1.1.1",  # computed radiography
        "1.2.840.10008.5.1.4.1.1.2",  # CT
        "1.2.840.10008.5.1.4.1.1.1.2",  # mammography
        "1.2.840.10008.5.1.4.1.1.7.2",  # several frames
        "1.2.840.10008.5.1.4.1.1.481.1",  # RT Image
        "1.2.3.4",  # a vendor's
    ],
)
def test_images_that_cannot_be_read_are_not_left_out(tmp_path: Path, kind: str) -> None:
    """They are told by who reads them; so is what is cut before it says what it is."""
    data = encoded(radiograph(stored(12), 12, SOPClassUID=kind))
    for name, length in (("a", len(data)), ("b", 150), ("c", 132)):
        (tmp_path / name).write_bytes(data[:length])
    assert list_images(tmp_path, dicom=True).images == ["a", "b", "c"]


def test_a_user_names_a_folder_or_an_image(tmp_path: Path) -> None:
    """By their paths below the folder; one image by its name, whatever that ends in."""
    put(tmp_path, "in/b.png", "in/sub/a.TIF", "in/readme.md", "scan.dat")
    files, _ = image_files(tmp_path / "in", "--input")
    assert files == {"b.png": tmp_path / "in/b.png", "sub/a.TIF": tmp_path / "in/sub/a.TIF"}
    assert list(files) == ["b.png", "sub/a.TIF"]
    files, listing = image_files(tmp_path / "scan.dat", "--input")
    assert files == {"scan.dat": tmp_path / "scan.dat"}
    assert listing.summary() == ""


def test_nothing_to_work_on_is_told_with_the_option(tmp_path: Path) -> None:
    """A path that is not there, and a folder without images."""
    with pytest.raises(DataError, match=r"^--hr: .*gone does not exist: give a folder of images"):
        image_files(tmp_path / "gone", "--hr")
    put(tmp_path, "in/a.txt")
    with pytest.raises(DataError, match=r"^--lr: .*in holds no image: .*\.png, \.jpg, \.jpeg"):
        image_files(tmp_path / "in", "--lr")
    with pytest.raises(DataError, match=r"^IN: .*in holds no image: .*\.j2c, and DICOM$"):
        image_files(tmp_path / "in", "IN", dicom=True)
