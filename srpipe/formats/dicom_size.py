"""How large a DICOM file would become in memory, found before anything of it is unpacked.

A file of a few kilobytes may say that it has huge Rows and Columns, or hold compressed pixels whose
own header says more than these, or more runs than these need, or be deflated from a thousand times
its size.
"""

import io
import struct
import zlib

from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from srpipe.core.errors import ImageError
from srpipe.formats.raster import require_few_pixels

# What a file may hold beside its pixels, bytes.
BESIDE = 64 * 2**20

_META, _AFTER_PREAMBLE = 0x0002, 132
_JPEG, _JPEG_2000 = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
# Of run lengths (PS3.5, annex G), and two bytes for each of a frame's rows, which are coded apart.
_RLE_HEADER = 64 + 2 * 2**16
# Marker segments that hold a size: SOF0 to SOF15, but for DHT, JPG and DAC; JPEG-LS's SOF55.
_FRAMES = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def require_inflatable(data: bytes, name: str, most_pixels: int) -> None:
    """Refuse a deflated file that holds more than 16 bits a pixel and some.

    Args:
        data: the bytes of the file, with its header.
        name: what to call the file in messages.
        most_pixels: allowed.

    Raises:
        ImageError: it holds more.
        zlib.error: it is damaged.
    """
    stream = io.BytesIO(data)
    stream.seek(_AFTER_PREAMBLE)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != _META)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    unpacker, room = zlib.decompressobj(-zlib.MAX_WBITS), 2 * most_pixels + BESIDE
    rest = data[stream.tell() :]
    while rest and room > 0 and not unpacker.eof:
        # By pieces, none of which is kept.
        room -= len(unpacker.decompress(rest, min(room, 2**20)))
        rest = unpacker.unconsumed_tail
    if room <= 0:
        raise ImageError(
            f"{name} is deflated and holds more than {2 * most_pixels + BESIDE:,} bytes: make the "
            "image smaller, or export it uncompressed."
        )


def require_size(dataset: Dataset, name: str, most_pixels: int) -> None:
    """Refuse too many pixels, or compressed pixels that say they are of another size.

    Raises:
        ImageError: there are more than `most_pixels`.
        ValueError: the sizes differ.
    """
    size = (int(dataset.Rows), int(dataset.Columns))
    require_few_pixels(size, name, most_pixels)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_encapsulated:
        return
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    # Runs only add to a frame that does not repeat: a byte to 128, and a header.
    if syntax == RLELossless and len(frame) > 2 * size[0] * size[1] * 129 // 128 + _RLE_HEADER:
        raise ValueError(f"its {len(frame):,} bytes of runs are too many for {size} pixels")
    coded = _coded(frame)
    if coded not in (None, size):
        raise ValueError(f"its pixels are {coded}, but it says (rows, columns) are {size}")


def _coded(frame: bytes) -> tuple[int, int] | None:
    """Return (height, width) by a JPEG's or JPEG 2000 codestream's own header, if it is one."""
    # A JP2 file's boxes may lie around the codestream.
    if (start := frame.find(_JPEG_2000, 0, 1024)) >= 0:
        right, bottom, left, top = struct.unpack_from(">LLLL", frame, start + 8)
        return bottom - top, right - left
    at = 2
    while frame.startswith(_JPEG) and at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker, length = frame[at + 1], struct.unpack_from(">H", frame, at + 2)[0]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", frame, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + length
    return None
