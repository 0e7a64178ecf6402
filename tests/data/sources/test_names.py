"""A name means one image, none, or is not clear; nothing is guessed."""

from pathlib import Path

import pytest

from srpipe.core.errors import DataError
from srpipe.data.sources.names import Names, read_names

IMAGES = ["a/1.png", "b/1.png", "c/2.JPG", "x.jpg", "\u00fc.png", "1.2.840.10008.png"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a/1.png", ["a/1.png"]),  # a path before a file name
        ("1.png", ["a/1.png", "b/1.png"]),
        ("2.jpg", ["c/2.JPG"]),
        ("2", ["c/2.JPG"]),
        ("c\\2.jpeg", ["c/2.JPG"]),
        ("x.png", ["x.jpg"]),
        ("u\u0308.PNG", ["\u00fc.png"]),  # decomposed, as macOS writes it
        ("1.2.840.10008", ["1.2.840.10008.png"]),  # a number is no suffix
        (" ./x.jpg\r", ["x.jpg"]),
        ("1.2.840", []),
        ("b/1", ["b/1.png"]),
        ("d/1.png", []),  # in another folder it is another image
        ("d/x.jpg", []),
        ("set/train/b/1.png", ["b/1.png"]),  # from further up
        ("set/c/1.png", []),
        ("X.jpg", []),  # letter case of the name itself counts
        ("zz", []),
    ],
)
def test_a_name_is_found_as_people_write_it(given: str, found: list[str]) -> None:
    """The strictest way that finds an image decides."""
    assert Names(IMAGES).find(given) == found


def test_what_is_not_there_is_counted_and_named_with_the_nearest() -> None:
    """All at once."""
    with pytest.raises(DataError) as caught:
        Names(IMAGES).resolve(["x.jpg", "c/3.JPG", "nothing like it"], "list.txt")
    message = str(caught.value)
    assert message.startswith("2 of the 3 names in list.txt are not among the 6 images: ")
    assert "c/3.JPG (nearest: c/2.JPG), nothing like it" in message


def test_a_name_of_two_images_is_refused() -> None:
    """With both."""
    with pytest.raises(DataError, match=r"1\.png is a/1\.png or b/1\.png"):
        Names(IMAGES).resolve(["1.png"], "list.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_of_any_system_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    """Byte order marks and line ends are no part of a name; blank lines are none."""
    path = tmp_path / "list.txt"
    path.write_bytes(end.join(["\u00fc.png", "", "b c.png ", ""]).encode(encoding))
    assert read_names(path, "--list") == ["\u00fc.png", "b c.png"]


@pytest.mark.parametrize("content", [None, b"\xff\xff\xff"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing file, and bytes that are no text, under the option's name."""
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="--list: cannot read"):
        read_names(path, "--list")
