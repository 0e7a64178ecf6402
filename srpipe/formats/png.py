"""PNG files: what the pixels need, the orientation, and the depth that is said to be used."""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from srpipe.formats.orientation import of_exif, of_xmp
from srpipe.formats.prepared import UPRIGHT_UNKNOWN, Prepared, UnsuitableError, opens

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LARGEST_TEXT = 1 << 20  # bytes, as in Pillow
_GREY = 0


class _Chunk(NamedTuple):
    kind: bytes
    whole: bytes  # with its length and its checksum
    body: bytes
    intact: bool  # by its checksum

    def __str__(self) -> str:
        return f"its chunk {self.kind.decode('latin-1')}"


def prepare(data: bytes) -> Prepared:
    """Take a PNG file apart.

    Raises:
        ValueError: it is damaged where pixels or orientation are.
        UnsuitableError: it is of a kind that is not read.
    """
    chunks = list(_chunks(data))
    for chunk in chunks:
        # By a small first letter the standard marks what pixels do not need.
        if chunk.kind[:1].isupper():
            if not chunk.intact:
                raise ValueError(f"the checksum of {chunk} is wrong")
            if chunk.kind not in _PIXELS:
                raise UnsuitableError(f"is a PNG file that needs a special reader ({chunk})")
    header = next(chunk for chunk in chunks if chunk.kind == b"IHDR").body
    depth, colour = header[8], header[9]
    if depth > 8 and colour != _GREY:
        raise UnsuitableError(
            "has more than 8 bits a channel together with colour or alpha",
            "save it as 16-bit grey without alpha",
        )
    ignored: list[str] = []
    others = [chunk for chunk in chunks if chunk.kind not in _PIXELS]
    intact = [chunk for chunk in others if chunk.intact]
    _refuse_frames(intact)
    orientation = _orientation(others, ignored)
    ignored += [str(chunk) for chunk in others if not chunk.intact]
    start = b"".join(chunk.whole for chunk in chunks if chunk.kind in (b"IHDR", b"PLTE"))
    pixels = b"".join(chunk.whole for chunk in chunks if chunk.kind in (b"IDAT", b"IEND"))
    ignored += [
        str(chunk)
        for chunk in intact
        if chunk.kind not in (*_ANIMATION, b"eXIf")
        and not opens(SIGNATURE + start + chunk.whole + pixels[:8])
    ]
    significant = [chunk.body[0] for chunk in intact if chunk.kind == b"sBIT" and chunk.body]
    stated = depth == 16 and bool(significant) and 1 <= significant[0] < 16
    return Prepared(
        pixels=SIGNATURE + start + pixels,
        orientation=orientation or 1,
        stated_bits=significant[0] if stated else 16,
        stated_by="sBIT" if stated else None,
        density=_density(intact),
        ignored=tuple(dict.fromkeys(ignored)),
        profile=next((_text(chunk) for chunk in intact if chunk.kind == b"iCCP"), None),
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    at = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("it is cut")
        length, kind = struct.unpack_from(">I4s", data, at)
        if at == len(SIGNATURE) and (kind, length) != (b"IHDR", 13):
            raise ValueError("it does not begin with its size")
        end = at + 12 + length
        if end > len(data) or not kind.isalpha():
            raise ValueError("it is cut, or the length of a chunk is wrong")
        body = data[at + 8 : end - 4]
        intact = struct.pack(">I", zlib.crc32(kind + body)) == data[end - 4 : end]
        yield _Chunk(kind, data[at:end], body, intact)
        at = end


def _density(chunks: list[_Chunk]) -> tuple[float, float] | None:
    """Return pixels a metre, across and down, where that is the unit."""
    for chunk in chunks:
        if chunk.kind == b"pHYs" and len(chunk.body) == 9:
            across, down, unit = struct.unpack(">LLB", chunk.body)
            return (across, down) if unit == 1 and across and down else None
    return None


def _refuse_frames(chunks: list[_Chunk]) -> None:
    for chunk in chunks:
        if chunk.kind == b"acTL" and (frames := int.from_bytes(chunk.body[:4], "big")) > 1:
            raise UnsuitableError(
                f"is a PNG file of {frames} frames", "save each frame as a file of its own"
            )


def _orientation(chunks: list[_Chunk], ignored: list[str]) -> int | None:
    """Return the orientation by EXIF, by EXIF as text (ImageMagick's way), or by XMP."""
    found: list[int | None] = []
    packets = []
    for chunk in chunks:
        if chunk.kind == b"eXIf":
            if not chunk.intact:
                raise ValueError(UPRIGHT_UNKNOWN)
            found.append(of_exif(chunk.body, ignored))
        elif chunk.kind in _TEXTS:
            keyword = chunk.body.partition(b"\0")[0]
            if keyword == b"Raw profile type exif":
                found.append(of_exif(_profile(chunk), ignored))
            elif keyword == b"XML:com.adobe.xmp" and chunk.intact:
                packets.append(_text(chunk) or b"")
    found += map(of_xmp, packets)
    return next((each for each in found if each is not None), None)


def _profile(chunk: _Chunk) -> bytes:
    """Return the EXIF block that a text holds: a name, a length and hexadecimal digits."""
    text = _text(chunk) if chunk.intact else None
    if text is None:
        raise ValueError(UPRIGHT_UNKNOWN)
    try:
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except ValueError as error:
        raise ValueError(UPRIGHT_UNKNOWN) from error


def _text(chunk: _Chunk) -> bytes | None:
    """Return a chunk's text, or profile; None if it cannot be decompressed or is too long."""
    rest = chunk.body.partition(b"\0")[2]
    compressed = chunk.kind in (b"zTXt", b"iCCP")
    if chunk.kind == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif compressed:
        rest = rest[1:]
    if not compressed:
        return rest
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(rest, _LARGEST_TEXT)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else text
