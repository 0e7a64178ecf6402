"""Every image that a user names is found, once, wherever it lies."""

from pathlib import Path

import pytest

from srpipe.core.errors import DataError
from srpipe.formats.listing import image_files, image_names, list_files


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


def test_images_are_known_by_their_endings_in_any_case() -> None:
    """And come sorted, so that nothing depends on the order of the file system."""
    names = [
        "z.tif",
        "b.PNG",
        "a.jpeg",
        "notes.txt",
        "c.dcm",
        "d.Jpg",
        "png",
        "e.tiff",
        "f.png.txt",
    ]
    assert image_names(names) == ["a.jpeg", "b.PNG", "d.Jpg", "e.tiff", "z.tif"]


def test_a_user_names_a_folder_or_an_image(tmp_path: Path) -> None:
    """By their paths below the folder; one image by its name, whatever that ends in."""
    put(tmp_path, "in/b.png", "in/sub/a.TIF", "in/readme.md", "scan.dat")
    assert image_files(tmp_path / "in", "--input") == {
        "b.png": tmp_path / "in/b.png",
        "sub/a.TIF": tmp_path / "in/sub/a.TIF",
    }
    assert list(image_files(tmp_path / "in", "--input")) == ["b.png", "sub/a.TIF"]
    assert image_files(tmp_path / "scan.dat", "--input") == {"scan.dat": tmp_path / "scan.dat"}


def test_nothing_to_work_on_is_told_with_the_option(tmp_path: Path) -> None:
    """A path that is not there, and a folder without images."""
    with pytest.raises(DataError, match=r"^--hr: .*gone does not exist: give a folder of images"):
        image_files(tmp_path / "gone", "--hr")
    put(tmp_path, "in/a.txt")
    with pytest.raises(DataError, match=r"^--lr: .*in holds no image: .*\.png, \.jpg, \.jpeg"):
        image_files(tmp_path / "in", "--lr")
