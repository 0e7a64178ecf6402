"""DICOM files that would fill memory are refused before anything of them is unpacked."""

import struct
import tracemalloc

import numpy as np
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from srpipe.core.errors import ImageError
from srpipe.formats import dicom_size
from srpipe.formats.dicom import read
from tests.formats.radiographs import encoded, radiograph, stored

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
