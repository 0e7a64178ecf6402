"""Reading PNG, JPEG, TIFF, BMP and JPEG 2000 files, and writing 8-bit PNG.

What uses `read_grey` sees 8-bit grey, `uint8 (height, width)`, 0 black and 255 white; `read_values`
returns the values of the file.

Supported are these, recognised by content, not by file name:

    grey, 8 bits         unchanged
    grey, 1, 2, 4 bits   scaled to 0..255
    grey, 9 to 16 bits   mapped linearly to 0..255 and rounded, by the setting `sixteen_bit`:
                           "minmax"      the image's own minimum..maximum; a constant image is 0
                           "full_range"  0..2^bits - 1
    colour, palette      ITU-R BT.601 luma; where red, green and blue are equal, that is their value
    alpha                dropped
    WhiteIsZero (TIFF)   inverted over the range of its bits, so that 0 is black (like DICOM's
                         MONOCHROME1)
    EXIF orientation     applied; XMP's where EXIF has none

The bits of grey values:

    TIFF, packed         BitsPerSample, 9 to 15: samples lie side by side, rows begin at a byte
    TIFF, 16-bit words   16; less if BitsPerSample says so (uncompressed, by the number of bytes),
                         or if MaxSampleValue is 2^n - 1 for an n of 8 to 15: another MaxSampleValue
                         is the largest value that occurs, and says nothing of the range
    TIFF, 32-bit or      16; values must be 0..65535, and not WhiteIsZero. Compressed 32-bit numbers
    signed 16-bit        must be of low byte first
    PNG of 16 bits       16: the standard has values of n bits (sBIT) scaled up to 16. Where no
                         value is above 2^n - 1, and one is none that scaling makes, the writer has
                         not scaled them: n
    JPEG 2000            those that its header states, without a sign
    values above these   16, with a warning

TIFF may be of either byte order, BigTIFF, in strips or tiles, and compressed by PackBits, LZW,
deflate, LZMA, Zstandard, JPEG (8 bits) or CCITT (1 bit); 8 and 16 bits may have a predictor.

Of a TIFF of several pages the one is read that is not marked as a preview (of reduced resolution)
or a mask; of a JPEG of several pictures (MPO) the first, if all others are previews. Thumbnails
within EXIF blocks are not looked at.

Damage of the pixels is refused: truncated files, checksums of PNG's pixel chunks. Damage beside
them (colour profiles, texts, a part of an EXIF block, TIFF tags that pixels do not need, texts and
profiles over Pillow's limits) is ignored and told, except where it hides the orientation.

Refused, with an `ImageError`, are also: several full pages, pictures or frames, floating point,
negative numbers, values over 65535, 16-bit colour or alpha, CMYK, Lab, images above Pillow's
decompression-bomb limit, and every other format. Damage that a format does not record (bits flipped
inside JPEG data) cannot be detected.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from srpipe.core import console
from srpipe.core.errors import ImageError
from srpipe.core.files import replacing
from srpipe.formats import bmp, jpeg, jpeg2000, png, tiff
from srpipe.formats.orientation import SIDEWAYS, upright
from srpipe.formats.prepared import FORMATS, Packed, Prepared, UnsuitableError
from srpipe.formats.profile import of_grey
from srpipe.imaging.arrays import GreyImage

SixteenBit = Literal["minmax", "full_range"]

DICOM_SUFFIXES = (".dcm", ".dicom")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".tiff"),
    *(".bmp", ".jp2", ".j2k", ".j2c"),
)

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I")
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
# What files begin with, and the kinds that they are of.
_STARTS = {
    png.SIGNATURE: "PNG",
    jpeg.START + b"\xff": "JPEG",
    **dict.fromkeys(tiff.HEADERS, "TIFF"),
    jpeg2000.FILE: "JPEG 2000",
    jpeg2000.CODESTREAM: "JPEG 2000",
    bmp.START: "BMP",
}
_PREPARE = {
    "PNG": png.prepare,
    "JPEG": jpeg.prepare,
    "TIFF": tiff.prepare,
    "JPEG 2000": jpeg2000.prepare,
    "BMP": bmp.prepare,
}
_ALLOWED = (
    "Allowed are PNG, JPEG, TIFF, BMP and JPEG 2000 of one page: grey of 1 to 16 bits, or colour "
    "of 8 bits a channel"
)
_MEND = "Replace the file by an intact copy, convert it, or move it away."

# How Pillow writes PNG of 8 bits. Only runs are looked for: radiographs, which repeat nothing else,
# come out as small as at Pillow's own level, in a quarter of its time.
PNG_OPTIONS: dict[str, Any] = {"format": "PNG", "compress_type": zlib.Z_RLE}

# Samples that are unpacked at once.
_AT_ONCE = 2**20

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


@dataclass(frozen=True)
class Values:
    """An image's grey values in the range of the file: the lowest is black, the highest white.

    Attributes:
        array: whole numbers (height, width), upright.
        low: the lowest value that there could be.
        high: the highest.
        bits: how many bits hold a value, 8 to 16.
        ignored: what of the file could not be read and was not needed.
        density: pixels a metre, across and down; None if the file does not say.
        padding: the lowest and the highest value of pixels outside of the image, if there are any.
        form: the file's format and mode, in Pillow's words: "PNG L", "TIFF I;16"; "" if not known.
        changes: how the values differ from those stored, in a few words each.
        profile: the colour profile of the file, where it describes these values: of grey, for
            values between the black and the white of the file; None otherwise.
    """

    array: npt.NDArray[Any]
    low: int
    high: int
    bits: int
    ignored: tuple[str, ...]
    density: tuple[float, float] | None = None
    padding: tuple[int, int] | None = None
    form: str = ""
    changes: tuple[str, ...] = ()
    profile: bytes | None = None


def read_grey(
    data: bytes, name: str, sixteen_bit: SixteenBit, tell: Callable[[str], None] = console.warn
) -> GreyImage:
    """Decode a whole image file to grey.

    Args:
        data: the bytes of the file.
        name: what to call the file in messages.
        sixteen_bit: how values of more than 8 bits are mapped; see the module docstring.
        tell: receives a message if something beside the pixels could not be read.

    Returns:
        uint8 (height, width), 0 black to 255 white.

    Raises:
        ImageError: the file is damaged or not supported.
    """
    values = read_values(data, name)
    if values.ignored:
        tell(ignored_text(name, ", ".join(values.ignored)))
    return to_eight_bits(values, sixteen_bit)


def ignored_text(name: str, ignored: str) -> str:
    """Return the warning about what of a file could not be read and was not needed."""
    return f"{name}: cannot be read and is ignored: {ignored}"


def read_values(data: bytes, name: str, most_pixels: int | None = None) -> Values:
    """Decode a whole image file to grey values of its own range; see `read_grey`.

    Args:
        data: the bytes of the file.
        name: what to call the file in messages.
        most_pixels: allowed; more are refused before they are decoded. None: Pillow's limit.

    Raises:
        ImageError: the file is damaged or not supported, or has too many pixels.
    """
    prepared, image = _decode(data, name, most_pixels)
    ignored = prepared.ignored
    if prepared.packed is not None:
        array: npt.NDArray[Any] = _unpacked(np.asarray(image), prepared.packed)
        bits = prepared.packed.bits
    elif image.mode in _SIXTEEN_BIT_MODES:
        array = _words(image, prepared.signed, name)
        if prepared.stated_by == "SIZ":
            array = array >> (16 - prepared.stated_bits)  # Pillow scales them up
        bits = _used_bits(array, prepared)
        if bits > prepared.stated_bits and prepared.stated_by != "sBIT":
            ignored += (
                f"{prepared.stated_by} of {prepared.stated_bits} bits, which values exceed",
            )
    else:
        array, bits = np.array(_eight_bit_grey(image), dtype=np.uint8), 8
    high = 2**bits - 1
    if prepared.white_is_zero:
        array = high - array
    density = prepared.density
    if density is not None and prepared.orientation in SIDEWAYS:
        density = density[::-1]
    return Values(
        upright(array, prepared.orientation),
        0,
        high,
        bits,
        ignored,
        density,
        form=f"{image.format} {image.mode}",
        changes=tuple(_changes(prepared, image)),
        profile=_profile(prepared, image),
    )


def to_eight_bits(values: Values, sixteen_bit: SixteenBit) -> GreyImage:
    """Map grey values to uint8 (height, width); those of 8 bits stay, from their lowest as 0."""
    if values.bits == 8:
        return (values.array - values.low).astype(np.uint8, copy=False)
    array = values.array.astype(np.int64)
    if sixteen_bit == "full_range":
        low, high = values.low, values.high
    else:
        low, high = int(array.min()), int(array.max())
    if low == high:
        return np.zeros(array.shape, dtype=np.uint8)
    # In integers, rounding half up, so that the result is the same on every machine.
    span = high - low
    return (((array - low) * 510 + span) // (2 * span)).astype(np.uint8)


def is_dicom(start: bytes, name: str) -> bool:
    """Say whether a file is DICOM, by its first 132 bytes or by its name."""
    return start[128:132] == b"DICM" or name.lower().endswith(DICOM_SUFFIXES)


def kind_of(start: bytes) -> str:
    """Return what a file is by its first bytes: PNG, JPEG, TIFF, JPEG 2000 or BMP; "" if none."""
    return next((kind for first, kind in _STARTS.items() if start.startswith(first)), "")


def read_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as stored, from the header of a file that `read_grey` accepted."""
    prepared = _prepare(data)
    with Image.open(io.BytesIO(prepared.pixels), formats=FORMATS) as image:
        return image.height, prepared.packed.width if prepared.packed else image.width


def read_file(path: Path, sixteen_bit: SixteenBit) -> GreyImage:
    """Read an image file to grey, uint8 (height, width); see `read_grey`.

    Raises:
        ImageError: the file is missing, unreadable, damaged or not supported.
    """
    return read_grey(file_bytes(path), str(path), sixteen_bit)


def file_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}. Give the path of an image file."
        ) from error


def encode_png(array: GreyImage) -> bytes:
    """Encode `array`, uint8 (height, width), as a PNG file's bytes.

    Raises:
        ValueError: `array` has another type or shape.
    """
    if array.dtype != np.uint8 or array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"an image is uint8 (height, width), got {array.dtype} {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, **PNG_OPTIONS)
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


def require_few_pixels(size: tuple[int, int], name: str, most: int) -> None:
    """Refuse an image of a size (height, width) of more pixels than allowed.

    Raises:
        ImageError: it has.
    """
    height, width = size
    if height * width > most:
        raise ImageError(
            f"{name} has too many pixels, {width:,} x {height:,}: allowed are {most:,}. Check that "
            "this is the image that you mean, and make it smaller."
        )


def _decode(data: bytes, name: str, most_pixels: int | None = None) -> tuple[Prepared, Image.Image]:
    """Return what is known of a file, and its image as stored, decoded, in an allowed mode."""
    if not data:
        raise ImageError(f"{name} is empty (0 bytes). {_MEND}")
    if is_dicom(data, name):
        raise ImageError(
            f"{name} is a DICOM file, which is not read here. {_ALLOWED}: export it as 16-bit "
            "PNG or TIFF."
        )
    try:
        with warnings.catch_warnings():
            # Pillow only warns about an image over its limit by less than a factor of two.
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Too many values for a tag: the first is taken. Common in scanners' files.
            warnings.filterwarnings("ignore", message="Metadata Warning")
            prepared = _prepare(data)
            image = Image.open(io.BytesIO(prepared.pixels), formats=FORMATS)
            if image.mode not in _SIXTEEN_BIT_MODES + _EIGHT_BIT_MODES:
                raise UnsuitableError(f"is a {image.format} file in {image.mode}")
            if most_pixels is not None:
                width = prepared.packed.width if prepared.packed else image.width
                require_few_pixels((image.height, width), name, most_pixels)
            image.load()
            return prepared, image
    except UnsuitableError as error:
        raise ImageError(f"{name} {error}. {_ALLOWED}: {error.advice}.") from error
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


def _prepare(data: bytes) -> Prepared:
    if kind := kind_of(data):
        return _PREPARE[kind](data)
    raise UnidentifiedImageError


def _changes(prepared: Prepared, image: Image.Image) -> Iterator[str]:
    """Yield what reading does to the stored values of an image, its depth apart."""
    if image.mode == "1":
        yield "black and white as 0 and 255"
    elif image.mode in ("RGB", "RGBA", "RGBX", "YCbCr"):
        yield "colour to grey"
    elif image.mode in ("P", "PA"):
        yield "palette to grey"
    if image.mode in ("LA", "PA", "RGBA", "RGBX"):
        yield "alpha dropped"
    if prepared.white_is_zero:
        yield "WhiteIsZero inverted"
    if prepared.orientation != 1:
        yield "turned upright"


def _profile(prepared: Prepared, image: Image.Image) -> bytes | None:
    """Return the colour profile if it holds for the values that are read.

    Those of colour and palettes are made grey, WhiteIsZero is inverted, and numbers with a sign or
    of 32 bits have another white.
    """
    kept = image.mode in ("1", "L", "LA", *_SIXTEEN_BIT_MODES) and image.mode != "I"
    inverted = prepared.white_is_zero or prepared.signed
    return of_grey(prepared.profile) if kept and not inverted else None


def _eight_bit_grey(image: Image.Image) -> Image.Image:
    if image.mode in ("P", "PA", "YCbCr"):
        image = image.convert("RGB")
    return image.convert("L")


def _words(image: Image.Image, signed: bool, name: str) -> npt.NDArray[np.int32]:
    array = np.array(image).astype(np.int32)
    if signed:
        array = array.astype(np.int16).astype(np.int32)
    if array.min() < 0 or array.max() > 65535:
        raise ImageError(
            f"{name} has values from {array.min()} to {array.max()}: allowed in 16-bit grey are "
            "0 to 65535. Convert it."
        )
    return array


def _used_bits(array: npt.NDArray[Any], prepared: Prepared) -> int:
    """Return how many bits the values of 16-bit words have; see the module docstring."""
    bits = prepared.stated_bits
    if array.max() >= 2**bits:
        return 16
    if prepared.stated_by == "sBIT" and not (array % 2 ** (16 - bits)).any():
        return 16
    return bits


def _unpacked(rows: npt.NDArray[np.uint8], packed: Packed) -> npt.NDArray[np.uint16]:
    """Return samples (height, width) from the bytes of rows (height, bytes), highest bit first."""
    first = np.arange(packed.width) * packed.bits
    at, shift = first // 8, 24 - packed.bits - first % 8
    samples = np.empty((len(rows), packed.width), np.uint16)
    step = max(1, _AT_ONCE // packed.width)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        padded = np.pad(rows[part], ((0, 0), (0, 2))).astype(np.int32)
        # A sample of up to 16 bits lies in three bytes.
        three = padded[:, at] << 16 | padded[:, at + 1] << 8 | padded[:, at + 2]
        samples[part] = three >> shift & 2**packed.bits - 1
    return samples


def _content(data: bytes) -> str:
    start = data[:16]
    if start.startswith(tiff.HEADERS):
        return "it is a TIFF of a kind that Pillow does not know, or it is cut"
    if start.startswith((b"\x89PNG", b"\xff\xd8")):
        return "it starts as an image file and is damaged soon after"
    return f"it starts with {str(start)[1:]}"  # without the b of bytes
