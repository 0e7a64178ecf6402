"""Reading and writing image files; the only module that knows their formats.

All other modules see 8-bit grey, `uint8 (height, width)`, 0 black and 255 white.

Supported are PNG, JPEG and TIFF, recognised by content, not by file name:

    grey, 8 bits        unchanged
    grey, 1 to 4 bits   scaled to 0..255
    grey, 16 bits       mapped linearly to 0..255 and rounded, by the setting `sixteen_bit`:
                          "minmax"      the image's own minimum..maximum; a constant image is 0
                          "full_range"  0..65535
    colour, palette     ITU-R BT.601 luma; where red, green and blue are equal, that is their value
    alpha               dropped
    WhiteIsZero (TIFF)  inverted, so that 0 is black (like DICOM's MONOCHROME1)
    EXIF orientation    applied

Refused, with an `ImageError`: truncated files, failed checksums, several pages or frames, floating
point, signed numbers, values over 65535, 16-bit colour or alpha, CMYK, Lab, images above Pillow's
decompression-bomb limit, and every other format. Damage that a format does not record (bits flipped
inside JPEG data) cannot be detected.
"""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from srpipe.core.errors import ImageError
from srpipe.core.files import replacing
from srpipe.imaging.arrays import GreyImage

SixteenBit = Literal["minmax", "full_range"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".tiff")

_FORMATS = ("PNG", "JPEG", "TIFF")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I")
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
_ALLOWED = (
    "Allowed are PNG, JPEG and TIFF of one page: grey of 1 to 16 bits, or colour of 8 bits a "
    "channel"
)
_MEND = "Replace the file by an intact copy, convert it, or move it away."

# What Pillow's readers raise on damaged data.
_DECODING_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)

_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_SAMPLE_FORMAT = 339
_WHITE_IS_ZERO = 0
_UNSIGNED = 1


def read_grey(data: bytes, name: str, sixteen_bit: SixteenBit) -> GreyImage:
    """Decode a whole image file to grey.

    Args:
        data: the bytes of the file.
        name: what to call the file in messages.
        sixteen_bit: how 16-bit values are mapped; see the module docstring.

    Returns:
        uint8 (height, width), 0 black to 255 white.

    Raises:
        ImageError: the file is damaged or not supported.
    """
    image = _decode(data, name)
    if image.mode in _SIXTEEN_BIT_MODES:
        return _to_eight_bits(_sixteen_bit_values(image, name), sixteen_bit)
    return np.array(_eight_bit_grey(image), dtype=np.uint8)


def read_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as stored, from the header of a file that `read_grey` accepted."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        return image.height, image.width


def read_file(path: Path, sixteen_bit: SixteenBit) -> GreyImage:
    """Read an image file to grey, uint8 (height, width); see `read_grey`.

    Raises:
        ImageError: the file is missing, unreadable, damaged or not supported.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}. Give the path of an image file."
        ) from error
    return read_grey(data, str(path), sixteen_bit)


def encode_png(array: GreyImage) -> bytes:
    """Encode `array`, uint8 (height, width), as a PNG file's bytes.

    Raises:
        ValueError: `array` has another type or shape.
    """
    if array.dtype != np.uint8 or array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"an image is uint8 (height, width), got {array.dtype} {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def write_png(path: Path, array: GreyImage) -> None:
    """Write `array`, uint8 (height, width), as a PNG file; on an error the old file stays.

    Raises:
        OutputError: the file cannot be written.
        ValueError: `array` has another type or shape.
    """
    data = encode_png(array)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _decode(data: bytes, name: str) -> Image.Image:
    """Return the upright image with every pixel decoded, in an allowed mode."""
    if not data:
        raise ImageError(f"{name} is empty (0 bytes). {_MEND}")
    if data[128:132] == b"DICM" or name.lower().endswith((".dcm", ".dicom")):
        raise ImageError(
            f"{name} is a DICOM file, which is not read yet. {_ALLOWED}: export it as 16-bit "
            "PNG or TIFF."
        )
    try:
        with warnings.catch_warnings():
            # Pillow only warns about a truncated TIFF directory, an unreadable EXIF block, and an
            # image over its pixel limit by less than a factor of two.
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Harmless, and common in scanners' files.
            warnings.filterwarnings("ignore", message="Metadata Warning")
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            _refuse_unsuitable(image, data, name)
            if image.format == "PNG":
                # Decoding stops at the last pixel and ignores checksums; this verifies them all.
                image.verify()
                image = Image.open(io.BytesIO(data), formats=_FORMATS)
            image.load()
            # In place: a transposed copy would lose the format and the tags of the file.
            ImageOps.exif_transpose(image, in_place=True)
            return image
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name} has too many pixels: allowed are {Image.MAX_IMAGE_PIXELS:,}. Pillow says: "
            f"{error} Check that this is the image that you mean, and make it smaller."
        ) from error
    except UnidentifiedImageError as error:
        found = _content(data)
        raise ImageError(f"{name} is no image that can be read; {found}. {_ALLOWED}.") from error
    except (*_DECODING_FAULTS, UserWarning) as error:
        raise ImageError(f"{name} is damaged: {error}. {_MEND}") from error


def _refuse_unsuitable(image: Image.Image, data: bytes, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise ImageError(
            f"{name} is a {image.format} file of {frames} pages. {_ALLOWED}: save each page as a "
            "file of its own."
        )
    if image.mode not in _SIXTEEN_BIT_MODES + _EIGHT_BIT_MODES:
        kind = {"F": "floating point"}.get(image.mode, image.mode)
        raise ImageError(f"{name} is a {image.format} file in {kind}. {_ALLOWED}: convert it.")
    # Pillow would silently drop the lower 8 bits, and `sixteen_bit` would have no effect.
    if image.mode not in _SIXTEEN_BIT_MODES and _bits_per_channel(image, data) > 8:
        raise ImageError(
            f"{name} has more than 8 bits a channel together with colour or alpha. {_ALLOWED}: "
            "save it as 16-bit grey without alpha."
        )
    if set(_tag(image, _SAMPLE_FORMAT)) - {_UNSIGNED} and image.mode not in _SIXTEEN_BIT_MODES:
        raise ImageError(f"{name} holds signed numbers. {_ALLOWED}, without sign: convert it.")


def _bits_per_channel(image: Image.Image, data: bytes) -> int:
    if image.format == "PNG":
        return data[24]  # in the header chunk, which is first and has a fixed layout
    return max(_tag(image, _BITS_PER_SAMPLE), default=8)


def _tag(image: Image.Image, number: int) -> tuple[int, ...]:
    """Return a TIFF tag's values; none if the tag is absent or the image is not a TIFF."""
    value = getattr(image, "tag_v2", {}).get(number, ())
    return value if isinstance(value, tuple) else (value,)


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    # Pillow would blend a palette's transparency in, and warn.
    image.info.pop("transparency", None)
    if image.mode in ("P", "PA", "YCbCr"):
        image = image.convert("RGB")
    return image.convert("L")


def _sixteen_bit_values(image: Image.Image, name: str) -> npt.NDArray[np.int64]:
    values = np.array(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"{name} has values from {values.min()} to {values.max()}: allowed in 16-bit grey are "
            "0 to 65535. Convert it."
        )
    # Pillow inverts WhiteIsZero up to 8 bits, and leaves 16 bits as they are in the file.
    if image.format == "TIFF" and _tag(image, _PHOTOMETRIC) == (_WHITE_IS_ZERO,):
        return 65535 - values
    return values


def _to_eight_bits(values: npt.NDArray[np.int64], sixteen_bit: SixteenBit) -> GreyImage:
    low, high = (0, 65535) if sixteen_bit == "full_range" else (values.min(), values.max())
    if low == high:
        return np.zeros(values.shape, dtype=np.uint8)
    # In integers, rounding half up, so that the result is the same on every machine.
    span = int(high - low)
    return (((values - low) * 510 + span) // (2 * span)).astype(np.uint8)


def _content(data: bytes) -> str:
    start = data[:16]
    if start.startswith((b"II*\0", b"MM\0*")):
        return "it is a TIFF of a kind that Pillow does not know, or it is cut"
    if start.startswith((b"\x89PNG", b"\xff\xd8")):
        return "it starts as an image file and is damaged soon after"
    return f"it starts with {start!r}"
