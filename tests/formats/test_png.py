"""PNG: pixels are verified; what lies beside them may be damaged, and is told."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.formats.raster import read_grey, read_values
from tests.formats.written import SHORT, chunk, directory, header, png, saved, tag

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
ROTATED = 6


def read(data: bytes) -> tuple[Any, list[str]]:
    """Return the grey image, and what was told."""
    told: list[str] = []
    return read_grey(data, "x.png", "full_range", told.append), told


def exif(orientation: int = ROTATED) -> bytes:
    """Return an EXIF block of one tag."""
    return header("<") + directory("<", [tag("<", 274, [orientation], SHORT)], 8)


LARGE = zlib.compress(bytes(2_000_000))
XMP = b'<rdf:Description tiff:Orientation="6"/>'


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        (chunk(b"iCCP", b"profile\0\0" + LARGE), "iCCP"),
        (chunk(b"zTXt", b"Comment\0\0" + LARGE), "zTXt"),
        (chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE), "iTXt"),
        (chunk(b"zTXt", b"Comment\0\7no zlib"), "zTXt"),
        (chunk(b"gAMA", b"\0"), "gAMA"),
        (chunk(b"tEXt", b"Comment\0hello", damage=1), "tEXt"),
        (chunk(b"prVt", b"private", damage=1), "prVt"),
    ],
)
def test_metadata_is_not_damage_of_the_pixels(extra: bytes, kind: str) -> None:
    """Profiles and texts over Pillow's limits, short chunks, wrong checksums: one message."""
    for data in (png(GREY, extra), png(GREY, extra, extra)):
        array, told = read(data)
        assert np.array_equal(array, GREY)
        assert told == [f"x.png: cannot be read and is ignored: its chunk {kind}"]


def test_damage_after_the_pixels_is_told_too() -> None:
    """Where Pillow would look for texts only while it decodes."""
    array, told = read(png(GREY, after=chunk(b"zTXt", b"Comment\0\0" + LARGE)))
    assert np.array_equal(array, GREY)
    assert told == ["x.png: cannot be read and is ignored: its chunk zTXt"]


def test_intact_metadata_is_not_told() -> None:
    """What is never needed is left out without a word."""
    extra = (chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"tEXt", b"Comment\0hello"))
    array, told = read(png(GREY, *extra, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"profile"))))
    assert np.array_equal(array, GREY)
    assert told == []


def test_checksums_of_pixels_are_verified() -> None:
    """The size, the palette, the pixels and the end: any flipped bit is refused."""
    data = saved(Image.fromarray(GREY).convert("P"), "PNG")
    for kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
        place = data.index(kind) + (4 if kind != b"IEND" else 5)
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(ImageError, match=rf"damaged: .*checksum.*{kind.decode()}"):
            read(bytes(flipped))


def test_unknown_chunks_that_pixels_need_are_refused() -> None:
    """A capital first letter says that a reader must know the chunk."""
    with pytest.raises(ImageError, match="needs a special reader"):
        read(png(GREY, chunk(b"CgBI", b"\0\0\0\0")))


def test_an_animation_is_refused() -> None:
    """Of several frames; one frame is an image."""
    with pytest.raises(ImageError, match="PNG file of 3 frames"):
        read(png(GREY, chunk(b"acTL", struct.pack(">II", 3, 0))))
    array, told = read(png(GREY, chunk(b"acTL", struct.pack(">II", 1, 0))))
    assert np.array_equal(array, GREY)
    assert told == []


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"eXIf", exif()),
        chunk(b"eXIf", b"Exif\0\0" + exif()),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n%8d\n" % len(exif()) + exif().hex().encode() + b"\n"),
        ),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    ],
)
def test_orientation_is_found_wherever_it_is_written(extra: bytes) -> None:
    """In an EXIF chunk, in ImageMagick's text, or in XMP; before the pixels or after."""
    for data in (png(GREY, extra), png(GREY, after=extra)):
        array, told = read(data)
        assert np.array_equal(array, np.rot90(GREY, -1))
        assert told == []


def test_exif_decides_where_xmp_disagrees() -> None:
    """XMP is asked only where EXIF has no orientation."""
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    assert np.array_equal(read(png(GREY, xmp, chunk(b"eXIf", exif(1))))[0], GREY)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"eXIf", exif(), damage=1),
        chunk(b"eXIf", exif()[:12]),
        chunk(b"eXIf", b"no header of EXIF"),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 2\nno digits"),
    ],
)
def test_an_orientation_that_cannot_be_known_is_refused(extra: bytes) -> None:
    """Lying on its side, or not: only where nobody can tell is the file refused."""
    with pytest.raises(ImageError, match="not known which side is up"):
        read(png(GREY, extra))


def test_a_cut_exif_block_is_no_harm_where_its_orientation_is_known() -> None:
    """The orientation comes before the cut, or all tags were there and none is one."""
    more = [tag("<", 274, [ROTATED], SHORT), tag("<", 305, b"Software" * 9)]
    for tags, wanted in ((more, np.rot90(GREY, -1)), (more[1:], GREY)):
        block = header("<") + directory("<", tags, 8)
        array, told = read(png(GREY, chunk(b"eXIf", block[:-40])))
        assert np.array_equal(array, wanted)
        assert told == ["x.png: cannot be read and is ignored: a part of its EXIF block"]
    odd, told = read(png(GREY, chunk(b"eXIf", exif(0))))
    assert np.array_equal(odd, GREY)
    assert told == ["x.png: cannot be read and is ignored: its orientation 0, which is not defined"]


def test_significant_bits() -> None:
    """By the standard values are scaled up to 16 bits; a writer that has not done so is seen."""
    twelve = np.array([[0, 1, 2047], [2048, 4094, 4095]], dtype=np.uint16)
    says = chunk(b"sBIT", b"\x0c")
    for bits in (9, 10, 12, 14, 15):
        plain = (twelve.astype(int) * (2**bits - 1) // 4095).astype(np.uint16)
        found = read_values(png(plain, chunk(b"sBIT", bytes((bits,)))), "x.png")
        assert (found.bits, found.high) == (bits, 2**bits - 1)
        assert np.array_equal(found.array, plain)
    assert read(png(twelve, says))[0].tolist() == [[0, 0, 127], [128, 255, 255]]
    assert read_values(png(twelve), "x.png").high == 65535, "nothing is said"
    for scaled in (twelve << 4 | twelve >> 8, twelve << 4, (twelve << 4) % 4096):
        assert read_values(png(scaled.astype(np.uint16), says), "x.png").high == 65535
    assert read_values(png(GREY, chunk(b"sBIT", b"\4")), "x.png").high == 255
