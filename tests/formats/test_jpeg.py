"""JPEG: odd segments of applications are no damage; several pictures are one only with previews."""

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.formats.raster import read_grey
from tests.formats.written import SHORT, directory, header, saved, tag

GREY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
ROTATED = 6


def jpeg(image: Any = GREY, *segments: bytes) -> bytes:
    """Return a JPEG by Pillow, with segments after its start."""
    data = saved(Image.fromarray(image), "JPEG", quality=100)
    return data[:2] + b"".join(segments) + data[2:]


def segment(number: int, body: bytes) -> bytes:
    """Return a segment APPn."""
    return struct.pack(">BBH", 0xFF, 0xE0 + number, len(body) + 2) + body


def read(data: bytes) -> tuple[Any, list[str]]:
    """Return the grey image, and what was told."""
    told: list[str] = []
    return read_grey(data, "x.jpg", "minmax", told.append), told


PLAIN = read(jpeg())[0]
TAGS = directory("<", [tag("<", 274, [ROTATED], SHORT), tag("<", 305, b"Software" * 9)], 8)
EXIF = b"Exif\0\0" + header("<") + TAGS
XMP = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.mark.parametrize(
    ("odd", "number"),
    [
        (segment(13, b"Photoshop 3.0\x008BIM\x03\xed"), 13),
        (segment(0, b"JFIF\0"), 0),
        (segment(14, b"Adobe"), 14),
        (segment(2, b"ICC_PROFILE\0"), 2),
    ],
)
def test_odd_segments_are_ignored_and_told(odd: bytes, number: int) -> None:
    """Each of these makes Pillow refuse the whole file."""
    array, told = read(jpeg(GREY, odd))
    assert np.array_equal(array, PLAIN)
    assert told == [f"x.jpg: cannot be read and is ignored: its segment APP{number}"]


def test_intact_and_unknown_segments_are_not_told() -> None:
    """A comment, an odd XMP packet that says nothing of the orientation, another's data."""
    comment = b"\xff\xfe\0\7hello"
    extra = (comment, segment(1, XMP + b"<no xml"), segment(11, b"something"))
    assert np.array_equal(read(jpeg(GREY, *extra))[0], PLAIN)
    assert read(jpeg(GREY, *extra))[1] == []


def test_colour_is_decoded_as_its_segments_say() -> None:
    """The segments that say how colour is coded (JFIF, Adobe) are kept."""
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:8, :, 0] = colours[8:, :, 2] = 255
    rgb = saved(Image.fromarray(colours), "JPEG", quality=100, keep_rgb=True)
    for data in (jpeg(colours), rgb):
        array = read(data)[0].astype(int)
        assert np.abs(array[:6] - 76).max() <= 3
        assert np.abs(array[10:] - 29).max() <= 3


def test_orientation_by_exif_or_xmp() -> None:
    """EXIF first; its block may go on in a second segment; a thumbnail in it is not looked at."""
    thumbnail = jpeg(np.zeros((8, 8), np.uint8))
    parts = (segment(1, EXIF[:50]), segment(1, b"Exif\0\0" + EXIF[50:]))
    for extra in (
        (segment(1, EXIF),),
        (segment(1, EXIF + thumbnail),),
        parts,
        (segment(1, XMP + b'<x tiff:Orientation="6"/>'),),
        (segment(1, XMP + b'<x tiff:Orientation="3"/>'), segment(1, EXIF)),
    ):
        array, told = read(jpeg(GREY, *extra))
        assert np.array_equal(array, np.rot90(PLAIN, -1))
        assert told == []


def test_a_cut_exif_block() -> None:
    """Behind the orientation the cut is told; before it nobody knows which side is up."""
    array, told = read(jpeg(GREY, segment(1, EXIF[:-30])))
    assert np.array_equal(array, np.rot90(PLAIN, -1))
    assert told == ["x.jpg: cannot be read and is ignored: a part of its EXIF block"]
    for block in (EXIF[:20], b"Exif\0\0garbage", EXIF[:10]):
        with pytest.raises(ImageError, match="not known which side is up"):
            read(jpeg(GREY, segment(1, block)))
    assert np.array_equal(read(jpeg(GREY, segment(1, b"Exif\0\0")))[0], PLAIN), "empty"


def pictures(*kinds: int) -> bytes:
    """Return a JPEG with a list of pictures (MPF) of these types, and one picture after it."""
    entries = b"".join(struct.pack("<LLLHH", kind, 100, 0, 0, 0) for kind in kinds)
    tags = [tag("<", 0xB001, [len(kinds)]), tag("<", 0xB002, entries)]
    index = segment(2, b"MPF\0" + header("<") + directory("<", tags, 8))
    return jpeg(GREY, index) + jpeg(np.zeros((8, 8), np.uint8))


def test_of_several_pictures_the_first_is_read_if_the_others_are_previews() -> None:
    """Large thumbnails of either kind; two views of a scene are refused."""
    for kinds in ((0x030000, 0x010001), (0x030000, 0x010001, 0x010002)):
        array, told = read(pictures(*kinds))
        assert np.array_equal(array, PLAIN)
        assert told == []
    for kinds in ((0x030000, 0x020002), (0x030000, 0x010001, 0x020001), (0x030000, 0)):
        with pytest.raises(ImageError, match=f"JPEG file of {len(kinds)} pictures"):
            read(pictures(*kinds))
    array, told = read(jpeg(GREY, segment(2, b"MPF\0no list")))
    assert np.array_equal(array, PLAIN)
    assert told == ["x.jpg: cannot be read and is ignored: its list of pictures (MPF)"]


def test_a_gain_map_is_no_picture_of_its_own() -> None:
    """Telephones add one for bright screens, with a list of pictures of undefined type."""
    xmp = segment(1, XMP + b'<x hdrgm:Version="1.0"/>')
    data = pictures(0x030000, 0)
    array, told = read(data[:2] + xmp + data[2:])
    assert np.array_equal(array, PLAIN)
    assert told == []


def test_padding_is_passed_over_and_a_wrong_length_is_not() -> None:
    """Zeros and repeated marks are padding; other bytes could lead into a thumbnail."""
    assert np.array_equal(read(jpeg(GREY, segment(11, b"x") + b"\0\0\xff\xff"))[0], PLAIN)
    short = segment(1, EXIF)[:2] + b"\0\x20" + segment(1, EXIF)[4:]
    for odd in (short, jpeg(), b"\xff\xd9"):
        with pytest.raises(ImageError, match="the length of a segment is wrong"):
            read(jpeg(GREY, odd))


def test_twelve_bits_are_not_called_damage() -> None:
    """The file is intact; it is only of a kind that is not read."""
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match=r"is a JPEG file of 12 bits a channel\. Allowed are"):
        read(bytes(data))
