"""DICOM files that would fill memory are refused before anything of them is unpacked."""

import struct
import tracemalloc

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from srpipe.core.errors import ImageError
from srpipe.formats import dicom_size
from srpipe.formats.dicom import read
from tests.formats.radiographs import encoded, radiograph, stored
from tests.mutants.seeds import jp2

MOST = 2**20
BLACK = np.zeros((32, 32), np.int32)


def refused(data: bytes) -> str:
    """Return the message, and assert that memory stayed small."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageError) as caught:
            read(data, "x.dcm", MOST)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data) + 6e6
    finally:
        tracemalloc.stop()
    return str(caught.value)


def test_rows_and_columns() -> None:
    """Are what counts; as many pixels as allowed are read."""
    data = encoded(radiograph(BLACK, 8, Rows=65535, Columns=65535))
    assert refused(data).startswith(
        "x.dcm has too many pixels, 65,535 x 65,535: allowed are 1,048,576. Check"
    )
    array = stored(8)
    assert read(encoded(radiograph(array, 8)), "x", array.size).values.array.shape == array.shape
    with pytest.raises(ImageError, match="too many pixels, 24 x 20: allowed are 479"):
        read(encoded(radiograph(array, 8)), "x", array.size - 1)


def test_a_deflated_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would hold is counted, by pieces."""
    monkeypatch.setattr(dicom_size, "BESIDE", 2**20)
    dataset = radiograph(BLACK, 8)
    dataset.add_new("PixelData", "OW", bytes(8_000_000))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = encoded(dataset)
    assert len(data) < 1e5
    assert "is deflated and holds more than 3,145,728 bytes: make the image smaller" in refused(
        data
    )
    dataset.add_new("PixelData", "OW", bytes(BLACK.size))
    assert not read(encoded(dataset), "x", MOST).values.array.any()


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (JPEGBaseline8Bit, b"\xff\xd8\xff\xfe\0\4hi\xff\xc0\0\x0b\x08\xea\x60\xea\x60\1\1\x11\0"),
        (
            JPEG2000Lossless,
            b"\xff\x4f\xff\x51" + struct.pack(">HHLLLL", 41, 0, 60000, 60000, 0, 0) + bytes(24),
        ),
    ],
    ids=["JPEG", "JPEG 2000"],
)
def test_compressed_pixels_of_another_size(syntax: str, frame: bytes) -> None:
    """A codestream's own header must agree with Rows and Columns."""
    dataset = radiograph(BLACK, 8)
    dataset.add_new("PixelData", "OB", encapsulate([frame]))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    assert (
        "x.dcm is damaged: its pixels are (60000, 60000), but it says (rows, columns) are (32, 32)"
        in refused(encoded(dataset))
    )


def test_runs_without_end() -> None:
    """More of them than pixels need are refused; those that noise needs are read."""
    dataset = radiograph(BLACK, 8)
    header = struct.pack("<16L", 1, 64, *[0] * 14)
    dataset.add_new("PixelData", "OB", encapsulate([header + b"\x81\0" * 500_000]))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = RLELossless
    assert "1,000,064 bytes of runs are too many for (32, 32) pixels" in refused(encoded(dataset))
    noise = radiograph(stored(16), 16)
    noise.compress(RLELossless, encoding_plugin="pydicom")
    assert len(next(generate_frames(noise.PixelData, number_of_frames=1))) > 2 * 20 * 24
    assert np.array_equal(read(encoded(noise), "x", MOST).values.array, stored(16))


# ------------------------------------------------------------------ without end


def beside(more: bytes) -> bytes:
    """Return a file with bytes before its pixels."""
    data = encoded(radiograph(BLACK, 8))
    at = data.index(b"\xe0\x7f\x10\0O")
    return data[:at] + more + data[at:]


def sequence(items: bytes, length: int = 0xFFFFFFFF) -> bytes:
    """Return a sequence; of no given length it ends with a mark."""
    head = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, length)
    return head + items + (b"\xfe\xff\xdd\xe0\0\0\0\0" if length == 0xFFFFFFFF else b"")


ITEM = b"\xfe\xff\0\xe0\0\0\0\0"


def test_items_without_end() -> None:
    """Each of 8 bytes would become an object of a thousand; deflated, the file would be tiny."""
    data = beside(sequence(ITEM * 100_000))
    assert "x.dcm is damaged: it has more items than radiographs have" in refused(data)
    assert not read(beside(sequence(ITEM * 1000)), "x", MOST).values.array.any()
    dataset = radiograph(BLACK, 8, ReferencedImageSequence=[Dataset()] * 20_000)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated = encoded(dataset)
    assert len(deflated) < 10_000
    assert "it has more items than radiographs have" in refused(deflated)


def test_elements_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted as they are read."""
    monkeypatch.setattr(dicom_size.Limited, "_left", 500)
    some, many = (
        b"".join(struct.pack("<HH2sH", 0x0029, number, b"SH", 0) for number in range(count))
        for count in (200, 600)
    )
    assert not read(beside(some), "x", MOST).values.array.any()
    assert "x.dcm is damaged: it has more elements than radiographs have" in refused(beside(many))


def test_a_long_sequence_that_is_taken_apart_later() -> None:
    """One of a given length, which the reader leaves as it is until it is asked for."""
    element = struct.pack("<HH2sH", 0x0029, 1, b"SH", 0)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(element) * 300_000) + element * 300_000
    told = refused(beside(sequence(item, len(item))))
    assert "its sequence (0008,1140) is longer than those of radiographs" in told


def test_an_overlay() -> None:
    """Need not be as large as the image; so it has the same limit."""
    dataset = radiograph(BLACK, 8)
    dataset.add_new((0x6000, 0x0010), "US", 60000)
    dataset.add_new((0x6000, 0x0011), "US", 60000)
    dataset.add_new((0x6000, 0x3000), "OW", bytes(8))
    assert "x.dcm's overlay has too many pixels, 60,000 x 60,000" in refused(encoded(dataset))


# ------------------------------------------------------------------ pixels' own headers


def compressed(syntax: str, *frames: bytes) -> bytes:
    """Return a file of compressed pixels."""
    dataset = radiograph(BLACK, 8)
    dataset.add_new("PixelData", "OB", encapsulate(list(frames), has_bot=len(frames) > 1))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    return encoded(dataset)


def siz(height: int, width: int, tile: int, channels: int = 1) -> bytes:
    """Return the beginning of a JPEG 2000 codestream."""
    sizes = struct.pack(">8LH", width, height, 0, 0, tile, tile, 0, 0, channels)
    return b"\xff\x4f\xff\x51" + struct.pack(">HH", 41, 0) + sizes + b"\7\1\1" * channels


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (siz(32, 32, 32, 3), "its pixels have 3 channels, but it says that it has one"),
        (siz(32, 32, 0), "its tiles have no size"),
        (jp2(siz(60000, 60000, 32), 32, 32), "its pixels are (60000, 60000), but it says"),
        (siz(32, 32, 32)[:30], "is damaged: unpack_from requires"),
        (b"\xff\xd8\xff" + bytes(100), "its pixels are no JPEG 2000"),
    ],
)
def test_jpeg_2000_that_says_other_things(frame: bytes, told: str) -> None:
    """Also within a JP2 file, whose boxes are followed."""
    assert told in refused(compressed(JPEG2000Lossless, frame))


def test_jpeg_2000_of_many_tiles() -> None:
    """For each of which the decoder would take memory."""
    dataset = radiograph(np.zeros((512, 512)), 8)
    dataset.add_new("PixelData", "OB", encapsulate([siz(512, 512, 2)]))
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert "its pixels are in 65,536 tiles, more than 4,096" in refused(encoded(dataset))


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (b"\xff\xd8\xff\xc0\0\x0b\x08\0\x20\0\x20\3", "its pixels have 3 channels"),
        (b"\xff\xd8\xff\xf7\0\x0b\x10\0\x20\0\x20\1", "have 16 bits, in words of 8"),
        (b"\xff\xd8\xff\xe0\0\4hi??\xff\xc0\0\x0b\x08\0\x20\0\x20\1", "are no JPEG"),
        (
            b"\xff\xd8\xff\xc3\0\x0b\x08\0\x20\0\x20\1\1\x11\0??\xff\xda\0\x08" + bytes(40),
            "its pixels are no JPEG, or one whose header is damaged",
        ),
        (b"nothing of the kind", "are no JPEG"),
    ],
)
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless])
def test_jpeg_that_says_other_things(syntax: str, frame: bytes, told: str) -> None:
    """Or that only a decoder would find, behind what does not belong there."""
    assert told in refused(compressed(syntax, frame))


def test_a_second_frame() -> None:
    """Is not decoded, whatever it says."""
    one = siz(32, 32, 32)
    data = compressed(JPEG2000Lossless, one, siz(60000, 60000, 32))
    assert "it has one frame, but holds the pixels of more" in refused(data)
