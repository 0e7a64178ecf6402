"""Writers of image files: Pillow, tifffile, and our own for what neither writes."""

import io
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageCms

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHORT, LONG, UNDEFINED = 3, 4, 7


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_tifffile(array: Any, **options: Any) -> bytes:
    """Return the bytes that tifffile writes, which can write kinds that Pillow cannot."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes = b"", damage: int = 0) -> bytes:
    """Return a PNG chunk; its checksum is off by `damage`."""
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body) ^ damage)
    )


def png(array: npt.NDArray[Any], *extra: bytes, after: bytes = b"") -> bytes:
    """Return a grey PNG of uint8 or uint16 (height, width), with chunks before its pixels."""
    bits = array.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in array)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(extra) + pixels + after + chunk(b"IEND")


def grey_profile() -> bytes:
    """Return a colour profile of grey as LittleCMS writes it: gamma 2.2, white of D50."""
    white = (63190, 65536, 54061)
    tags = {
        b"desc": b"desc" + struct.pack(">LL", 0, 5) + b"grey\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + struct.pack(">L3l", 0, *white),
        b"kTRC": b"curv" + struct.pack(">LLH", 0, 1, 563),
    }
    entries, values = b"", b""
    for name, value in tags.items():
        entries += struct.pack(">4sLL", name, 132 + 12 * len(tags) + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    rest = struct.pack(">L", len(tags)) + entries + values
    size, kinds = 128 + len(rest), (b"mntr", b"GRAY", b"XYZ ")
    header = struct.pack(">L4xL4s4s4s12x4s28x3l48x", size, 2 << 24, *kinds, b"acsp", *white)
    made = ImageCms.ImageCmsProfile(io.BytesIO(header + rest))
    return ImageCms.ImageCmsProfile(made.profile).tobytes()


def colour_profile() -> bytes:
    """Return the profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _lzw(data: bytes) -> bytes:
    """Return literals only: the table is cleared before codes would grow beyond 9 bits."""
    codes = []
    for number, byte in enumerate(data):
        codes += [256, byte] if number % 250 == 0 else [byte]
    bits = "".join(f"{code:09b}" for code in (*codes, 257))
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def _packbits(data: bytes) -> bytes:
    runs = [data[at : at + 128] for at in range(0, len(data), 128)]
    return b"".join(bytes((len(run) - 1,)) + run for run in runs)


def _plain(data: bytes) -> bytes:
    return data


COMPRESSIONS: Mapping[int, Callable[[bytes], bytes]] = {
    1: _plain,
    5: _lzw,
    8: zlib.compress,
    32946: zlib.compress,
    32773: _packbits,
    34925: lzma.compress,
}


def packed(values: npt.NDArray[Any], bits: int, order: str) -> bytes:
    """Return rows of samples, packed from the highest bit; 16 and 32 bits in the byte order."""
    if bits in (16, 32):
        return values.astype(f"{order}u{bits // 8}").tobytes()
    rows = ("".join(f"{value:0{bits}b}" for value in row) for row in values.tolist())
    return b"".join(
        int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big")
        for row in rows
    )


def tag(order: str, number: int, values: Sequence[int] | bytes, kind: int = LONG) -> Any:
    """Return a tag for `tiff`: number, type, count and the bytes of its values."""
    if isinstance(values, bytes):
        return number, UNDEFINED, len(values), values
    raw = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'L'}", *values)
    return number, kind, len(values), raw


def directory(order: str, tags: Sequence[Any], at: int, following: int = 0) -> bytes:
    """Return a directory that lies at an offset, with the values that it points at."""
    end = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for number, kind, count, raw in sorted(tags):
        held = raw.ljust(4, b"\0")
        if len(raw) > 4:
            held = struct.pack(order + "L", end + len(values))
            values += raw + bytes(len(raw) % 2)
        entries += struct.pack(order + "HHL", number, kind, count) + held
    count_of = struct.pack(order + "H", len(tags))
    return count_of + entries + struct.pack(order + "L", following) + values


def header(order: str) -> bytes:
    """Return the header of a TIFF or EXIF block whose directory lies at 8."""
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8)


def tiff(
    values: npt.NDArray[Any],
    bits: int,
    *,
    order: str = "<",
    white_is_zero: bool = False,
    compression: int = 1,
    tiles: bool = False,
    differences: bool = False,
    words: bool = False,
    more: Sequence[Any] = (),
    following: Sequence[Any] = (),
) -> bytes:
    """Return a grey TIFF.

    Args:
        values: what to store (height, width), 0 to 2^bits - 1.
        bits: of a sample.
        order: "<" or ">".
        white_is_zero: only says so; the values are stored as given.
        compression: TIFF's number.
        tiles: of 16 x 16 pixels, or strips of 5 rows.
        differences: store horizontal differences (predictor 2), of 8 or 16 bits.
        words: in 16-bit words, whatever `bits` says.
        more: further tags.
        following: tags of a second page, whose pixels are the first page's.
    """
    height, width = values.shape
    if tiles:
        padded = np.pad(values, ((0, -height % 16), (0, -width % 16)))
        parts = [
            padded[y : y + 16, x : x + 16]
            for y in range(0, height, 16)
            for x in range(0, width, 16)
        ]
    else:
        parts = [values[y : y + 5] for y in range(0, height, 5)]
    if differences:
        parts = [np.diff(part.astype(np.int64), axis=1, prepend=0) % 2**bits for part in parts]
    blocks = [
        COMPRESSIONS[compression](packed(part, 16 if words else bits, order)) for part in parts
    ]
    numbers = (322, 323, 324, 325) if tiles else (None, 278, 273, 279)
    tags = [
        tag(order, 256, [width]),
        tag(order, 257, [height]),
        tag(order, 258, [bits], SHORT),
        tag(order, 259, [compression], SHORT),
        tag(order, 262, [0 if white_is_zero else 1], SHORT),
        tag(order, 277, [1], SHORT),
        tag(order, numbers[1], [16 if tiles else 5]),
        tag(order, numbers[3], [len(block) for block in blocks]),
        *([tag(order, 322, [16])] if tiles else []),
        *([tag(order, 317, [2], SHORT)] if differences else []),
        *more,
    ]
    room = len(directory(order, [*tags, tag(order, numbers[2], [0] * len(blocks))], 8))
    starts = [8 + room + sum(map(len, blocks[:number])) for number in range(len(blocks))]
    tags.append(tag(order, numbers[2], starts))
    pixels = b"".join(blocks)
    if not following:
        return header(order) + directory(order, tags, 8) + pixels
    changed = {each[0] for each in following}
    second = 8 + room + len(pixels) + len(pixels) % 2
    page = directory(
        order, [*(each for each in tags if each[0] not in changed), *following], second
    )
    first = directory(order, tags, 8, second)
    return (header(order) + first + pixels).ljust(second, b"\0") + page
