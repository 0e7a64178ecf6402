"""How large a DICOM file would become in memory, found before anything of it is unpacked.

A file of a few kilobytes may say that it has huge Rows and Columns, or hold compressed pixels whose
own header says more than these, or more runs than these need, or be deflated from a thousand times
its size, or consist of elements and items without end.
"""

import io
import struct
import zlib
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from srpipe.core.errors import ImageError
from srpipe.formats import jpeg2000
from srpipe.formats.raster import require_few_pixels

# What a file may hold beside its pixels, bytes.
BESIDE = 64 * 2**20
# Groups of the overlays that a file may have.
OVERLAYS = range(0x6000, 0x6020, 2)

# The reader makes objects of all of these, of a hundred times the bytes in the file.
MOST_READS = 150_000  # one to three an element
MOST_ITEMS = 10_000
LONGEST_SEQUENCE = 2 * 2**20  # bytes
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

_META, _AFTER_PREAMBLE = 0x0002, 132
_JPEG = b"\xff\xd8\xff"
# Of run lengths (PS3.5, annex G), and two bytes for each of a frame's rows, which are coded apart.
_RLE_HEADER = 64 + 2 * 2**16
# Marker segments that hold a size: SOF0 to SOF15, but for DHT, JPG and DAC; JPEG-LS's SOF55.
_FRAMES = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA  # after it come the coded pixels


class Limited(io.BytesIO):
    """A file that is not read in more than `MOST_READS` pieces.

    Raises:
        ValueError: on reading more.
    """

    _left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has more elements than radiographs have")
        return super().read(size)


def unpacked(data: bytes, name: str, most_pixels: int) -> bytes:
    """Return a DICOM file that is not deflated, of at most 16 bits a pixel and some.

    Args:
        data: the bytes of the file, with its header.
        name: what to call the file in messages.
        most_pixels: allowed.

    Raises:
        ImageError: it is deflated and holds more.
        ValueError: it has too many items.
        zlib.error: it is damaged.
    """
    stream = io.BytesIO(data)
    stream.seek(_AFTER_PREAMBLE)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != _META)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        rest = data[stream.tell() :]
        _require_inflatable(rest, name, most_pixels)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header = DicomBytesIO()
        write_file_meta_info(header, FileMetaDataset(meta), enforce_standard=False)
        data = data[:_AFTER_PREAMBLE] + header.getvalue() + zlib.decompress(rest, -zlib.MAX_WBITS)
    if sum(map(data.count, _ITEMS)) > MOST_ITEMS:
        raise ValueError("it has more items than radiographs have")
    return data


def _require_inflatable(rest: bytes, name: str, most_pixels: int) -> None:
    unpacker, room = zlib.decompressobj(-zlib.MAX_WBITS), 2 * most_pixels + BESIDE
    while rest and room > 0 and not unpacker.eof:
        # By pieces, none of which is kept.
        room -= len(unpacker.decompress(rest, min(room, 2**20)))
        rest = unpacker.unconsumed_tail
    if room <= 0:
        raise ImageError(
            f"{name} is deflated and holds more than {2 * most_pixels + BESIDE:,} bytes: make the "
            "image smaller, or export it uncompressed."
        )


def require_short_sequences(dataset: Dataset) -> None:
    """Refuse sequences that are long and not taken apart yet: it takes long.

    Raises:
        ValueError: there is one.
    """
    tags = dataset.keys()  # iterating over the dataset itself would take all apart
    for tag in tags:
        raw: Any = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or len(raw.value or b"") <= LONGEST_SEQUENCE:
            continue
        kind = raw.VR
        if kind in (None, "UN") and dictionary_has_tag(tag):
            kind = dictionary_VR(tag)
        if kind == "SQ":
            raise ValueError(f"its sequence {tag} is longer than those of radiographs")


def require_size(dataset: Dataset, name: str, most_pixels: int) -> None:
    """Refuse too many pixels, or compressed pixels that say they are others than the file says.

    Raises:
        ImageError: there are more than `most_pixels`, of the image or of an overlay.
        ValueError: what the pixels' own header says differs, or they have none.
    """
    size = (int(dataset.Rows), int(dataset.Columns))
    require_few_pixels(size, name, most_pixels)
    for group in OVERLAYS:
        if (group, 0x3000) in dataset:
            rows, columns = (int(dataset[group, at].value) for at in (0x0010, 0x0011))
            several = int(dataset[group, 0x0015].value) if (group, 0x0015) in dataset else 1
            require_few_pixels((rows * several, columns), f"{name}'s overlay", most_pixels)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_encapsulated:
        return
    frames = generate_frames(dataset.PixelData, number_of_frames=1)
    frame = next(frames, b"")
    if next(frames, None) is not None:
        raise ValueError("it has one frame, but holds the pixels of more")
    # Runs only add to a frame that does not repeat: a byte to 128, and a header.
    if syntax == RLELossless and len(frame) > 2 * size[0] * size[1] * 129 // 128 + _RLE_HEADER:
        raise ValueError(f"its {len(frame):,} bytes of runs are too many for {size} pixels")
    if syntax in JPEG2000TransferSyntaxes:
        _require_jpeg_2000(frame, size)
    elif syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        _require_jpeg(frame, size, int(dataset.BitsAllocated))


def _require_agreement(coded: tuple[int, int], channels: int, size: tuple[int, int]) -> None:
    if coded != size:
        raise ValueError(f"its pixels are {coded}, but it says (rows, columns) are {size}")
    if channels != 1:
        raise ValueError(f"its pixels have {channels} channels, but it says that it has one")


def _require_jpeg_2000(frame: bytes, size: tuple[int, int]) -> None:
    """Refuse a codestream whose header does not suit."""
    found = jpeg2000.header(frame)
    _require_agreement((found.height, found.width), found.channels, size)
    jpeg2000.require_few_tiles(found)


def _require_jpeg(frame: bytes, size: tuple[int, int], allocated: int) -> None:
    """Refuse a JPEG or JPEG-LS whose header does not suit, or has bytes between its segments.

    At some of the latter gdcm crashes.
    """
    at, known = 2, False
    while frame.startswith(_JPEG) and at + 10 <= len(frame) and frame[at] == 0xFF:
        marker, length, bits, height, width, channels = struct.unpack_from(">xBHBHHB", frame, at)
        if marker in _FRAMES:
            _require_agreement((height, width), channels, size)
            if bits > allocated:
                raise ValueError(f"its pixels have {bits} bits, in words of {allocated}")
            known = True
        if marker == _SCAN and known:
            return
        at += 1 if marker == 0xFF else 2 + length
    raise ValueError("its pixels are no JPEG, or one whose header is damaged")
