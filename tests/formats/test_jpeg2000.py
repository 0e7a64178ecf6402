"""JPEG 2000 keeps its values and their bits; what its header says is checked before decoding."""

import struct

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.formats.jpeg2000 import header
from srpipe.formats.raster import read_values
from tests.formats.written import saved
from tests.mutants.seeds import jp2

Array = npt.NDArray[np.uint16]


def values(bits: int) -> Array:
    return np.random.default_rng(bits).integers(0, 2**bits, (40, 50), np.uint16)


def encoded(array: Array, bits: int) -> bytes:
    """Return a lossless codestream of so many bits."""
    openjpeg = pytest.importorskip("openjpeg.utils", reason="the extra dicom is not installed")
    return bytes(openjpeg.encode_array(array, bits_stored=bits))


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
def test_values_and_bits_are_the_files(bits: int) -> None:
    """Of bare codestreams, as within DICOM, and of JP2 files."""
    codestream = encoded(values(bits), bits)
    for data in (codestream, jp2(codestream, 40, 50)):
        found = read_values(data, "x.j2k")
        assert (found.bits, found.high) == (bits, 2**bits - 1)
        assert np.array_equal(found.array, values(bits))


def test_eight_bits_grey_and_colour() -> None:
    """As JP2 files; colour becomes grey, and is told."""
    grey = values(8).astype(np.uint8)
    for array, changes in ((grey, ()), (np.stack([grey] * 3, -1), ("colour to grey",))):
        found = read_values(saved(Image.fromarray(array), "JPEG2000", irreversible=False), "x.jp2")
        assert (found.bits, found.changes) == (8, changes)
        assert np.array_equal(found.array, grey)


def changed(place: int, form: str, *value: int) -> bytes:
    """Return an intact codestream with other numbers in its header."""
    data = bytearray(encoded(values(8), 8))
    struct.pack_into(form, data, place, *value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (lambda: changed(42, "B", 0x87), "of numbers with a sign"),
        (lambda: changed(24, ">2L", 0, 0), "its tiles have no size"),
        (lambda: changed(24, ">2L", 0, 1), "its tiles have no size"),
        (lambda: changed(8, ">2L", 2**20, 2**20), "tiles, more than 4,096"),
        (lambda: encoded(values(8), 8)[:20], "is damaged"),
        (lambda: encoded(values(8), 8)[:200], "is damaged"),
    ],
)
def test_what_is_refused(data, told: str) -> None:  # type: ignore[no-untyped-def]
    """Before the decoder sees it, where the header tells."""
    with pytest.raises(ImageError, match=told):
        read_values(data(), "x.j2k")


def test_colour_of_more_bits_is_refused() -> None:
    """Pillow would cut it to 8 without a word."""
    data = bytearray(saved(Image.fromarray(np.zeros((20, 20, 3), np.uint8)), "JPEG2000"))
    at = data.index(b"\xff\x4f\xff\x51") + 42
    data[at] = 11
    assert header(bytes(data)).bits == 12
    with pytest.raises(ImageError, match="a JPEG 2000 file of 12 bits a channel"):
        read_values(bytes(data), "x.jp2")
