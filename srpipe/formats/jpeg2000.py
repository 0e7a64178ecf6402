"""JPEG 2000 files and codestreams: what their header says, before anything is decoded."""

import struct
from typing import NamedTuple

from srpipe.formats.prepared import Prepared, UnsuitableError

CODESTREAM = b"\xff\x4f\xff\x51"
FILE = b"\0\0\0\x0cjP  \r\n\x87\n"
# Where the depth is written, from the codestream's start (SIZ) and from the name of JP2's box.
_DEPTH, _BOX_DEPTH = 42, 14
# The decoder takes kilobytes for each, before it has read any.
_MOST_TILES = 2**12


class Header(NamedTuple):
    """What a codestream says of itself (SIZ, ISO 15444-1 A.5.1).

    `bits` of its first channel; `signed` if its numbers have a sign; how many `tiles`, 0 if they
    have no size.
    """

    height: int
    width: int
    channels: int
    bits: int
    signed: bool
    tiles: int


def header(data: bytes) -> Header:
    """Read the header of a codestream, or of the first one in a JP2 file.

    Raises:
        ValueError: there is none.
        struct.error: it is cut.
    """
    at = _codestream(data)
    if not data.startswith(CODESTREAM, at):
        raise ValueError("its pixels are no JPEG 2000")
    right, bottom, left, top, across, down, first, upper, channels, depth = struct.unpack_from(
        ">8LHB", data, at + 8
    )
    sized = across > 0 and down > 0
    tiles = -(-(right - first) // across) * -(-(bottom - upper) // down) if sized else 0
    bits, signed = (depth & 0x7F) + 1, bool(depth & 0x80)
    return Header(bottom - top, right - left, channels, bits, signed, tiles)


def require_few_tiles(found: Header) -> None:
    """Refuse more tiles than radiographs have, or tiles without a size.

    Raises:
        ValueError: it has.
    """
    if found.tiles == 0:
        raise ValueError("its tiles have no size")
    if found.tiles > _MOST_TILES:
        raise ValueError(f"its pixels are in {found.tiles:,} tiles, more than {_MOST_TILES:,}")


def prepare(data: bytes) -> Prepared:
    """Say what of a file's values Pillow gives.

    Raises:
        ValueError: it is damaged.
        UnsuitableError: it is of a kind that is not read.
    """
    found = header(data)
    require_few_tiles(found)
    if found.signed:
        raise UnsuitableError("is a JPEG 2000 file of numbers with a sign")
    if found.channels > 1 and found.bits > 8:
        raise UnsuitableError(f"is a JPEG 2000 file of {found.bits} bits a channel")
    if found.bits == 9:
        data = data[_codestream(data) :]  # else Pillow takes a JP2 file for one of 8 bits
    # Pillow scales 9 to 15 bits up to 16.
    return Prepared(data, stated_bits=found.bits, stated_by="SIZ" if found.bits > 8 else None)


def with_bits(data: bytes, bits: int) -> bytes:
    """Return a grey file of 16 bits that says that its values are of `bits`, 9 to 15.

    Its values have to lie around 2^15 as the others are to lie around 2^(bits-1): that middle alone
    is what a codestream takes off them.
    """
    changed = bytearray(data)
    changed[_codestream(data) + _DEPTH] = bits - 1
    if data.startswith(FILE):
        changed[data.index(b"ihdr") + _BOX_DEPTH] = bits - 1
    return bytes(changed)


def _codestream(data: bytes) -> int:
    """Return where a codestream begins: at once, or in a JP2 file's box of that kind."""
    at = 0
    while data.startswith(FILE) and at + 16 <= len(data):
        length, kind, long = struct.unpack_from(">L4sQ", data, at)
        size = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + size
        length = long if length == 1 else length
        if length < size:
            break
        at += length
    return at
