"""Results are files of their inputs' types that others read, and that say how they were made."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from srpipe.core.errors import ImageError
from srpipe.enhance.upscale import Method, upscale_bytes
from srpipe.enhance.written import as_written, encode_grey, require_room, result_suffix
from srpipe.formats import jpeg2000
from srpipe.formats.raster import read_values
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from tests.formats.radiographs import encoded, radiograph, stored
from tests.formats.written import by_tifffile, colour_profile, grey_profile, saved

GREY = Image.fromarray(np.full((20, 24), 90, np.uint8))
KINDS = {kind: saved(GREY, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "JPEG2000")}
DICOM = encoded(radiograph(np.zeros((20, 20)), 8))


@pytest.mark.parametrize(
    ("data", "name", "wanted"),
    [
        (KINDS["PNG"], "a.PNG", ".png"),
        (KINDS["TIFF"], "a.TIF", ".tif"),
        (KINDS["JPEG"], "a.Jpeg", ".jpeg"),
        (KINDS["JPEG2000"], "a.j2c", ".j2c"),
        (KINDS["BMP"], "a.bmp", ".png"),
        (DICOM, "1.2.840.113", ".dcm"),
        (DICOM, "a.dicom", ".dicom"),
        # The content decides, and the ending only where that says nothing.
        (KINDS["JPEG"], "a.png", ".jpg"),
        (KINDS["PNG"], "a.jpg", ".png"),
        (KINDS["JPEG2000"], "a", ".jp2"),
        (DICOM, "a.png", ".dcm"),
        (b"", "a.tiff", ".tiff"),
        (b"", "a.DCM", ".dcm"),
        (b"", "a.gif", ".png"),
    ],
)
def test_a_result_is_of_the_type_of_its_input(data: bytes, name: str, wanted: str) -> None:
    """BMP, and what is none, PNG."""
    assert result_suffix(data[:132], name) == wanted
    assert result_suffix(data, name, lossless=True) == wanted.replace(".jpeg", ".png").replace(
        ".jpg", ".png"
    )


# ------------------------------------------------------------------ JPEG


def made_of(our_method: Method, data: bytes, suffix: str) -> Any:
    """Return what becomes of a file, and its picture as Pillow opens it."""
    made = upscale_bytes(data, f"x{suffix}", our_method, suffix=suffix)
    return made, Image.open(io.BytesIO(made.encode()))


def test_a_jpeg_loses_little(our_method: Method) -> None:
    """One channel at quality 95; what is told of a result is told of what the file holds, whose
    PSNR to what was made is over 50 dB.
    """
    data = saved(Image.fromarray(render(Exposure(1, 0, 14), 128)), "JPEG", quality=95)
    made, image = made_of(our_method, data, ".jpg")
    assert (image.format, image.mode, get_sampling(image)) == ("JPEG", "L", -1)
    assert (
        image.quantization == Image.open(io.BytesIO(saved(GREY, "JPEG", quality=95))).quantization
    )
    assert np.array_equal(made.sr, np.asarray(image))
    exact, _ = made_of(our_method, data, ".png")
    error = np.mean((made.sr.astype(float) - exact.sr) ** 2)
    assert 0 < error < 255**2 / 1e5
    # Colour becomes grey, as everywhere.
    colour = saved(Image.merge("RGB", [GREY] * 3), "JPEG")
    assert made_of(our_method, colour, ".jpg")[1].mode == "L"


@pytest.mark.parametrize(
    ("unit", "given"), [(1, (72, 300)), (2, (28, 113)), (1, (20_000, 20_000)), (0, (1, 1))]
)
def test_a_jpeg_keeps_its_size(our_method: Method, unit: int, given: tuple[int, int]) -> None:
    """In inches or centimetres to the last digit, also where inches would have too many pixels."""
    data = bytearray(KINDS["JPEG"])
    data[13:18] = bytes((unit,)) + b"".join(each.to_bytes(2, "big") for each in given)
    made, _ = made_of(our_method, bytes(data), ".jpg")
    before, after = made.values.density, read_values(made.encode(), "x").density
    assert (before is None) == (unit == 0)
    assert after == (before and pytest.approx([4 * each for each in before], rel=1e-4))


def test_a_jpeg_says_how_it_was_made(our_method: Method) -> None:
    """In EXIF's description, which viewers show, and its software."""
    made, image = made_of(our_method, KINDS["JPEG"], ".jpg")
    assert image.getexif()[270] == str(made.origin)
    assert image.getexif()[305] == made.origin.software
    assert read_values(made.encode(), "x").ignored == ()


def test_what_jpeg_cannot_hold_is_refused(our_method: Method) -> None:
    """Before anything is made; with what to do."""
    deep = saved(Image.fromarray(stored(16).astype(np.uint16)), "PNG")
    with pytest.raises(ImageError, match=r"x\.jpg: JPEG holds 8 bits .* take PNG"):
        made_of(our_method, deep, ".jpg")
    with pytest.raises(ImageError, match="65,500 pixels a side, and the result has 8 and 65,504"):
        require_room(".jpe", 8, (64, 65_504))
    require_room(".jpg", 8, (65_500, 65_500))
    require_room(".png", 16, (64, 65_504))


# ------------------------------------------------------------------ colour profiles


@pytest.mark.parametrize(
    ("suffix", "depth"),
    [
        (".png", np.uint8),
        (".png", np.uint16),
        (".tif", np.uint8),
        (".tif", np.uint16),
        (".jpg", np.uint8),
    ],
)
def test_a_profile_of_grey_is_carried(our_method: Method, suffix: str, depth: Any) -> None:
    """To the byte, with all else that a result says; also into another type."""
    kind = {".png": "PNG", ".tif": "TIFF", ".jpg": "JPEG"}[suffix]
    array = (stored(8) * (257 if depth == np.uint16 else 1)).astype(depth)
    data = saved(Image.fromarray(array), kind, icc_profile=grey_profile(), dpi=(100, 100))
    for other in {suffix, ".png"}:
        made, image = made_of(our_method, data, other)
        assert image.info["icc_profile"] == grey_profile()
        assert image.info["dpi"] == pytest.approx((400, 400), rel=1e-3)
        assert read_values(made.encode(), "x").profile == grey_profile()


def test_a_profile_of_12_bits_is_carried(our_method: Method) -> None:
    """Beside the number of bits."""
    array = stored(12).astype(np.uint16)
    tags = [(281, 3, 1, 4095, False), (34675, 7, len(grey_profile()), grey_profile(), False)]
    made, image = made_of(our_method, by_tifffile(array, extratags=tags), ".tif")
    assert (read_values(made.encode(), "x").bits, image.info["icc_profile"]) == (12, grey_profile())


def test_a_profile_that_does_not_hold_is_left_out(our_method: Method) -> None:
    """Of colour that became grey, of 16 bits that became 8."""
    colour = saved(Image.merge("RGB", [GREY] * 3), "JPEG", icc_profile=colour_profile())
    assert "icc_profile" not in made_of(our_method, colour, ".jpg")[1].info
    array = stored(16).astype(np.uint16)
    deep = saved(Image.fromarray(array), "PNG", icc_profile=grey_profile())
    made = upscale_bytes(deep, "x", our_method, sixteen_bit="minmax")
    assert read_values(made.encode(), "x").profile is None


# ------------------------------------------------------------------ JPEG 2000


@pytest.mark.parametrize("suffix", [".jp2", ".j2k"])
@pytest.mark.parametrize("bits", range(8, 17))
def test_jpeg_2000_is_lossless_in_every_depth(our_method: Method, bits: int, suffix: str) -> None:
    """As Pillow reads it, and another reader of the codestream; the header states the bits."""
    openjpeg = pytest.importorskip("openjpeg.utils", reason="the extra dicom is not installed")
    array = np.tile(stored(bits), (2, 2)).astype(np.uint8 if bits == 8 else np.uint16)
    data = bytes(openjpeg.encode_array(array, bits_stored=bits))
    made, image = made_of(our_method, data, suffix)
    assert image.format == "JPEG2000"
    assert made.encode().startswith(jpeg2000.FILE if suffix == ".jp2" else jpeg2000.CODESTREAM)
    found = read_values(made.encode(), "x")
    assert (found.bits, found.ignored) == (bits, ())
    assert (found.array.min(), found.array.max()) == (0, 2**bits - 1)
    for read in (found.array, openjpeg.decode(io.BytesIO(made.encode()))):
        assert np.array_equal(read, made.sr)
    assert jpeg2000.header(made.encode()).bits == bits
    assert image.info["comment"].decode() == str(made.origin)


def test_a_type_does_not_change_the_pixels(our_method: Method) -> None:
    """All but JPEG hold the same 12 bits."""
    array = stored(12).astype(np.uint16)
    data = by_tifffile(array, extratags=[(281, 3, 1, 4095, False)])
    found = [upscale_bytes(data, "x", our_method, suffix=each) for each in (".tif", ".png", ".jp2")]
    for made in found:
        values = read_values(made.encode(), "x")
        assert (values.bits, np.array_equal(values.array, found[0].sr)) == (12, True)


def test_an_image_of_any_size_is_read_back(our_method: Method) -> None:
    """Pillow's limit of pixels is for what strangers send."""
    sr = np.zeros((64, 64), np.uint8)
    data = encode_grey(".jpg", sr, 8, None, our_method.provenance)
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, 100
    try:
        assert as_written(".jpg", sr, lambda: data).shape == (64, 64)
    finally:
        Image.MAX_IMAGE_PIXELS = before
