"""BMP is read as it is, with its resolution, and refused where it is cut."""

import struct

import numpy as np
import pytest
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.formats.raster import read_values
from tests.formats.written import saved

GREY = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_values_and_resolution_are_the_files(mode: str) -> None:
    """Grey, colour and palette; 254 dpi are 10,000 pixels a metre."""
    data = saved(Image.fromarray(GREY).convert(mode), "BMP", dpi=(254, 508))
    found = read_values(data, "x.bmp")
    assert np.array_equal(found.array, GREY)
    assert found.density == (10_000, 20_000)
    assert found.bits == 8


@pytest.mark.parametrize("resolution", [(0, 0), (-3, 100), (100, 0)])
def test_a_resolution_that_is_none(resolution: tuple[int, int]) -> None:
    """It is as if it were not there."""
    data = bytearray(saved(Image.fromarray(GREY), "BMP"))
    struct.pack_into("<2l", data, 38, *resolution)
    assert read_values(bytes(data), "x.bmp").density is None


@pytest.mark.parametrize("length", [2, 17, 30, 60, 1200])
def test_a_file_that_is_cut_is_refused(length: int) -> None:
    """Wherever."""
    data = saved(Image.fromarray(GREY), "BMP")[:length]
    with pytest.raises(ImageError, match=r"x\.bmp is "):
        read_values(data, "x.bmp")
