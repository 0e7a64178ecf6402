"""What is read from image files, to the value, and what is refused with which words."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from srpipe.core.errors import ImageError, OutputError
from srpipe.formats.raster import SUFFIXES, encode_png, read_file, read_grey, write_png
from tests.formats.written import SIGNATURE, by_tifffile, chunk, saved

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
DEEP = np.array([[0, 257, 514], [1000, 32896, 65535]], dtype=np.uint16)
ROTATED = 6  # EXIF: the file's right side is the image's top; upright is a quarter turn clockwise


def read(data: bytes, sixteen_bit: Any = "minmax") -> Any:
    """Read bytes under a name that the messages must repeat."""
    return read_grey(data, "sub/x.png", sixteen_bit)


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(GREY), "PNG"),
        saved(Image.fromarray(GREY), "TIFF"),
        saved(Image.fromarray(GREY).convert("LA"), "PNG"),
        saved(Image.fromarray(GREY).convert("RGB"), "PNG"),
        saved(Image.fromarray(GREY).convert("RGBA"), "PNG"),
        saved(Image.fromarray(GREY).convert("RGB"), "TIFF"),
        saved(Image.fromarray(GREY), "PNG", transparency=0),
        saved(Image.fromarray(GREY).convert("P"), "PNG", transparency=b"\0\x80"),
        by_tifffile(GREY, photometric="minisblack", byteorder=">"),
        by_tifffile(GREY, photometric="minisblack", compression="deflate"),
        by_tifffile(255 - GREY, photometric="miniswhite"),
        by_tifffile(255 - GREY, photometric="miniswhite", compression="deflate"),
    ],
)
def test_every_lossless_eight_bit_kind_gives_the_same_grey(data: bytes) -> None:
    """Grey comes through exactly, be it stored as grey, equal colours, palette or WhiteIsZero."""
    array = read(data)
    assert array.dtype == np.uint8
    assert np.array_equal(array, GREY)


def test_jpeg_is_read_under_any_name() -> None:
    """The content decides: JPEG bytes named .png are read, within JPEG's own loss."""
    array = read(saved(Image.fromarray(GREY), "JPEG", quality=100))
    assert np.abs(array.astype(int) - GREY).max() <= 3


def test_colour_becomes_bt601_luma() -> None:
    """Pure red, green and blue weigh 0.299, 0.587 and 0.114 of 255."""
    colours = np.eye(3, dtype=np.uint8)[None] * 255
    assert read(saved(Image.fromarray(colours), "PNG")).tolist() == [[76, 150, 29]]


def test_one_bit_is_spread_to_black_and_white() -> None:
    """A bit is 0 or 255, in PNG and in a fax-compressed TIFF whose zeros are white."""
    bits = Image.fromarray(GREY).point(lambda value: 255 * (value > 100), "1")
    expected = np.where(GREY > 100, 255, 0)
    assert np.array_equal(read(saved(bits, "PNG")), expected)
    assert np.array_equal(read(saved(bits, "TIFF", compression="group4")), expected)


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(DEEP), "PNG"),
        by_tifffile(DEEP, photometric="minisblack"),
        by_tifffile(DEEP, photometric="minisblack", byteorder=">"),
        by_tifffile(DEEP, photometric="minisblack", compression="deflate"),
        by_tifffile(65535 - DEEP, photometric="miniswhite"),
        by_tifffile(65535 - DEEP, photometric="miniswhite", byteorder=">"),
        by_tifffile(65535 - DEEP, photometric="miniswhite", compression="deflate"),
        by_tifffile(DEEP.astype(np.int32), photometric="minisblack"),
    ],
)
def test_sixteen_bits_by_full_range(data: bytes) -> None:
    """257 steps of 16 bits are one of 8, rounded (1000 is 3.89, so 4); WhiteIsZero is inverted."""
    assert read(data, "full_range").tolist() == [[0, 1, 2], [4, 128, 255]]


def test_sixteen_bits_by_minmax() -> None:
    """The image's own minimum and maximum become 0 and 255, linear and rounded between."""
    values = np.array([[1000, 1100, 1255, 1510]], dtype=np.uint16)
    assert read(saved(Image.fromarray(values), "PNG")).tolist() == [[0, 50, 128, 255]]
    white_is_zero = by_tifffile(65535 - values, photometric="miniswhite")
    assert read(white_is_zero).tolist() == [[0, 50, 128, 255]]


def test_constant_sixteen_bit_image_is_black() -> None:
    """A constant image has no range to spread: it is 0, without a warning or a division."""
    flat = np.full((4, 4), 700, dtype=np.uint16)
    assert np.array_equal(read(saved(Image.fromarray(flat), "PNG")), np.zeros((4, 4)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str) -> None:
    """A file that says that it lies on its side comes upright, turned once and not twice."""
    exif = Image.Exif()
    exif[274] = ROTATED
    array = read(saved(Image.fromarray(GREY), kind, exif=exif))
    assert np.array_equal(array, np.rot90(GREY, -1))


def test_exif_orientation_of_a_jpeg() -> None:
    """JPEG, where orientation is common, is turned too."""
    exif = Image.Exif()
    exif[274] = ROTATED
    data = saved(Image.fromarray(GREY), "JPEG", exif=exif, quality=100)
    assert np.abs(read(data).astype(int) - np.rot90(GREY, -1)).max() <= 3


def test_orientation_and_white_is_zero_together() -> None:
    """Turning a 16-bit TIFF does not make its WhiteIsZero forgotten."""
    tags = [(274, "H", 1, ROTATED, True)]
    data = by_tifffile(65535 - DEEP, photometric="miniswhite", extratags=tags)
    assert read(data, "full_range").tolist() == [[4, 0], [128, 1], [255, 2]]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "is empty"),
        (b"no image at all\n", "starts with 'no image"),
        (saved(Image.fromarray(GREY), "GIF"), "GIF8"),
        (b"\0" * 128 + b"DICM" + b"\0" * 64, "DICOM file, which is not read here"),
        (by_tifffile(GREY.astype(np.float32)), "floating point"),
        (by_tifffile(GREY.view(np.int8), photometric="minisblack"), "signed"),
        (by_tifffile(-DEEP.astype(np.int32), photometric="minisblack"), "from -65535 to 0"),
        (by_tifffile(DEEP.astype(np.int32) * 2, photometric="minisblack"), "0 to 131070"),
        (by_tifffile(np.stack([DEEP] * 3, -1), photometric="rgb"), "more than 8 bits a channel"),
        (by_tifffile(np.stack([GREY] * 4, -1), photometric="separated"), "CMYK"),
        (by_tifffile(np.stack([GREY] * 3), photometric="minisblack"), "3 pages"),
        (by_tifffile(GREY, photometric="cfa"), "TIFF of a kind"),
    ],
)
def test_what_is_refused(data: bytes, found: str) -> None:
    """The message names the file, what was found, and what is allowed or to be done."""
    with pytest.raises(ImageError) as caught:
        read(data)
    message = str(caught.value)
    assert message.startswith("sub/x.png ")
    assert found in message
    advice = ("Allowed are PNG, JPEG, TIFF, BMP and JPEG 2000", "Replace", "0 to")
    assert any(each in message for each in advice)


def test_sixteen_bit_colour_png_is_refused() -> None:
    """Pillow would drop the lower byte without a word, whatever `sixteen_bit` says."""
    rows = b"".join(b"\0" + bytes(range(6)) * 2 for _ in range(2))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0))
    data = SIGNATURE + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    with pytest.raises(ImageError, match="more than 8 bits a channel together with colour"):
        read(data)


def noise(rng: np.random.Generator) -> Image.Image:
    """Return an image that does not compress, so that its bytes are spread over the file."""
    return Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused(kind: str, kept: float) -> None:
    """Whatever part is missing, no half image is returned."""
    data = saved(noise(np.random.default_rng(0)), kind)
    with pytest.raises(ImageError, match=r"sub/x\.png .*(damaged|cut)"):
        read(data[: int(len(data) * kept)])


def test_a_flipped_bit_in_a_png_is_refused() -> None:
    """Decoding alone stops before the checksum; every chunk's checksum is looked at."""
    data = bytearray(saved(noise(np.random.default_rng(0)), "PNG"))
    for place in (100, len(data) // 2, len(data) - 20):
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(ImageError, match="is damaged"):
            read(bytes(flipped))


def test_pillow_is_left_strict() -> None:
    """Nothing here turns on Pillow's tolerance of cut files, which is a global switch."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("over", [1.5, 3.0])
def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, over: float) -> None:
    """Pillow warns above its limit and raises above twice that; both are one clear refusal."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(GREY.size / over))
    with pytest.raises(ImageError, match="too many pixels"):
        read(saved(Image.fromarray(GREY), "PNG"))


def test_a_dicom_file_is_known_by_its_name() -> None:
    """A .dcm without DICOM's preamble is told as DICOM too."""
    with pytest.raises(ImageError, match="not read here"):
        read_grey(b"\x08\0\x05\0", "x.DCM", "minmax")


def test_read_file_names_a_missing_file(tmp_path: Path) -> None:
    """A path that is not there is an ImageError with that path."""
    with pytest.raises(ImageError, match=r"absent\.png cannot be read: No such file"):
        read_file(tmp_path / "absent.png", "minmax")


def test_png_round_trip(tmp_path: Path) -> None:
    """What is written is read back equal, and nothing else is left in the folder."""
    write_png(tmp_path / "deep" / "x.png", GREY)
    assert np.array_equal(read_file(tmp_path / "deep" / "x.png", "minmax"), GREY)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x.png"]


def test_write_png_explains_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where a folder should be is an OutputError with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_png(tmp_path / "file" / "x.png", GREY)


@pytest.mark.parametrize("array", [GREY.astype(np.float32), GREY[None], GREY[:0]])
def test_only_images_are_encoded(array: Any) -> None:
    """Another type, more axes or no pixel is a ValueError that says what was given."""
    with pytest.raises(ValueError, match=r"uint8 \(height, width\), got"):
        encode_png(array)


def test_suffixes_are_lower_case() -> None:
    """Listing compares lower-cased names, so each suffix is lower case and has its dot."""
    usual = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".tiff")
    assert (*usual, ".bmp", ".jp2", ".j2k", ".j2c") == SUFFIXES
