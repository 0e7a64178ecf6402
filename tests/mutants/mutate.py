"""Damage to files: at random bytes, and where a format keeps its sizes, lengths and kinds."""

import io
import random
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from tests.mutants.seeds import frame_of, with_frame

# What lies where a number is expected.
NASTY = (0, 1, 2, 3, 7, 8, 15, 16, 17, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 65536)
NASTY += (2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
_FORMS = {1: "B", 2: "H", 4: "L"}
_SYNTAXES = ("1.2", "1.2.1", "1.2.1.99", "1.2.2", "1.2.5", "1.2.4.50", "1.2.4.51", "1.2.4.57")
_SYNTAXES += ("1.2.4.70", "1.2.4.80", "1.2.4.81", "1.2.4.90", "1.2.4.91", "1.2.4.201", "1.2.8.1")
_NUMBERS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_NUMBERS += ("SamplesPerPixel", "PlanarConfiguration", "PixelPaddingValue")
_IMAGES = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL_422", "", "x" * 16)
_DEFLATED = "1.2.840.10008.1.2.1.99"


def mutant(kind: str, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """Return a damaged copy of one of the seeds; the same for the same dice."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        changed = dice.choice((*_ANYWHERE, _structure(kind), _structure(kind), _structure(kind)))
        data = changed(data, seeds, dice) or data
    return data


# ------------------------------------------------------------------ anywhere


def _truncate(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def _flip(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        changed[_place(data, dice)] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    return _number_at(data, _place(data, dice), dice.choice((1, 2, 4)), dice)


def _splice(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(seeds)
    at = dice.randrange(len(data))
    return data[:at] + other[dice.choice((at, dice.randrange(len(other)))) :]


def _duplicate(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    start, end = sorted(dice.randrange(len(data)) for _ in range(2))
    at = dice.choice((end, dice.randrange(len(data))))
    return data[:at] + data[start:end] * dice.choice((1, 1, 20)) + data[at:]


def _insert(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + dice.randbytes(dice.choice((1, 2, 4, 100))) + data[at:]


def _remove(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + data[at + dice.choice((1, 2, 4, 100, 1000)) :]


def _blank(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    at, length = _place(data, dice), dice.choice((4, 64, 1000))
    return data[:at] + dice.choice((b"\0", b"\xff")) * length + data[at + length :]


_ANYWHERE = (_truncate, _flip, _overwrite, _splice, _duplicate, _insert, _remove, _blank)


def _place(data: bytes, dice: random.Random) -> int:
    """Return a place, every second time near the beginning, where headers are."""
    return dice.randrange(dice.choice((len(data), min(len(data), 600))) or 1) if data else 0


def _number_at(data: bytes, at: int, size: int, dice: random.Random) -> bytes:
    """Return data with another number of 1, 2 or 4 bytes at a place, in either byte order."""
    number = dice.choice((*NASTY, dice.randrange(2**32))) % 256**size
    raw = struct.pack(dice.choice("<>") + _FORMS[size], number)
    return data[:at] + raw + data[at + size :]


# ------------------------------------------------------------------ PNG


def _png(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change a chunk and mend its checksum; or drop, repeat or move it; or let its length lie."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return None
    which = dice.choice((0, dice.randrange(len(chunks))))
    kind, body = chunks[which]
    lie = 0
    match dice.randrange(7):
        case 0 | 1 | 2 if body:
            body = _number_at(body, dice.randrange(len(body)), dice.choice((1, 1, 2, 4)), dice)
        case 3 if kind == b"IDAT" or dice.random() < 0.3:
            body = zlib.compress(bytes(dice.choice((0, 1, 1000, 10**7))))
        case 4:
            chunks.insert(dice.randrange(len(chunks) + 1), chunks[which])
        case 5:
            lie = dice.choice(NASTY)
        case _:
            kind = dice.choice((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"eXIf", b"zTXt", b"iCCP"))
    chunks[which] = (kind, body)
    parts = [data[:8]]
    for number, (name, content) in enumerate(chunks):
        length = lie if lie and number == which else len(content)
        check = struct.pack(">L", zlib.crc32(name + content))
        parts.append(struct.pack(">L", length % 2**32) + name + content + check)
    return b"".join(parts)


# ------------------------------------------------------------------ TIFF


def _tiff(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change number, type, count or value of a tag, the list of pages, or what is pointed at."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16 or data[2:4] not in (b"*\0", b"\0*"):
        return None
    first = struct.unpack_from(order + "L", data, 4)[0]
    if first + 2 > len(data):
        return None
    count = struct.unpack_from(order + "H", data, first)[0]
    entry = first + 2 + 12 * dice.randrange(max(count, 1))
    if entry + 16 > len(data):
        return None

    def put(at: int, form: str, value: int) -> bytes:
        raw = struct.pack(order + form, value % 256 ** struct.calcsize(form))
        return data[:at] + raw + data[at + len(raw) :]

    nasty = dice.choice((*NASTY, len(data), len(data) - 1, first, dice.randrange(2**32)))
    match dice.randrange(8):
        case 0:
            return put(entry, "H", dice.choice((254, 256, 257, 258, 259, 262, 277, 317, 322, 325)))
        case 1:
            return put(entry + 2, "H", dice.randrange(20))
        case 2:
            return put(entry + 4, "L", nasty)
        case 3:
            return put(first + 2 + 12 * count, "L", nasty)
        case 4:
            return put(first, "H", nasty)
        case 5:
            pointed = struct.unpack_from(order + "L", data, entry + 8)[0]
            return put(pointed, "L", nasty) if pointed + 4 <= len(data) else None
        case _:
            return put(entry + 8, dice.choice("HL"), nasty)


# ------------------------------------------------------------------ JPEG and JPEG-LS


def _jpeg(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change a segment's marker, its length or what is in it; or repeat or drop it."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        length = struct.unpack_from(">H", data, at + 2)[0]
        segments.append((at, min(at + 2 + length, len(data))))
        if data[at + 1] == 0xDA or length < 2:
            break
        at += 2 + length
    if not segments:
        return None
    frames = [each for each in segments if data[each[0] + 1] in (*range(0xC0, 0xC4), 0xF7)]
    start, end = dice.choice((dice.choice(frames or segments), dice.choice(segments)))
    match dice.randrange(7):
        case 0:
            marker = dice.choice((*range(0xC0, 0xE3), 0xF7, 0xF8, 0xFE))
            return data[: start + 1] + bytes((marker,)) + data[start + 2 :]
        case 1:
            return _number_at(data, start + 2, 2, dice)
        case 2:
            return data[:end] + data[start:end] * dice.choice((1, 100)) + data[end:]
        case 3:
            return data[:start] + data[end:]
        case _ if end > start + 4:
            size = dice.choice((1, 1, 2))
            return _number_at(data, dice.randrange(start + 4, end), size, dice)
    return None


def _jpeg_2000(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change a size, a number of tiles or components, a depth, or a marker segment's parts."""
    siz = data.find(b"\xff\x4f\xff\x51")
    if siz < 0:
        return None
    at = siz + dice.choice((*range(8, 40, 4), 40, 42, 43, 44))
    match dice.randrange(4):
        case 0 | 1:
            return _number_at(data, at, 4 if at < siz + 40 else 1, dice)
        case 2:
            # Both sides, so that the image and what DICOM says of it may agree.
            raw = struct.pack(">LL", *(dice.choice(NASTY) for _ in range(2)))
            return data[: siz + 8] + raw + data[siz + 16 :]
        case _:
            markers = [each.start() for each in re.finditer(rb"\xff[\x52-\x93]", data)]
            at = dice.choice(markers) + dice.randrange(14) if markers else siz
            return _number_at(data, at, dice.choice((1, 2)), dice)


# ------------------------------------------------------------------ DICOM


def _dicom(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change an attribute, the pixels' own header, or the way that they are said to be coded."""
    dataset = _parsed(data)
    if dataset is None:
        return None
    if dice.random() < 0.15:
        syntax = UID("1.2.840.10008." + dice.choice(_SYNTAXES))
        dataset.file_meta.TransferSyntaxUID = syntax
    elif dice.random() < 0.5 and "PixelData" in dataset:
        _recode(dataset, seeds, dice)
    else:
        keyword = dice.choice((*_NUMBERS, "PhotometricInterpretation", "NumberOfFrames", "Rows"))
        if keyword == "PhotometricInterpretation":
            dataset.PhotometricInterpretation = dice.choice(_IMAGES)
        elif keyword == "NumberOfFrames":
            dataset.NumberOfFrames = str(dice.choice(NASTY) - 2)
        elif dice.random() < 0.1:
            dataset.pop(keyword, None)
        else:
            dataset.add_new(keyword, "US", dice.choice(NASTY) % 65536)
    return _written(dataset)


def _parsed(data: bytes) -> Dataset | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(io.BytesIO(data))
            dataset.walk(lambda *_: None)
            return dataset
    except Exception:  # whatever earlier damage makes pydicom raise
        return None


def _written(dataset: Dataset) -> bytes | None:
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.save_as(buffer, enforce_file_format=True)
    except Exception:  # what cannot be written is no mutant
        return None
    return buffer.getvalue()


def _recode(dataset: Dataset, seeds: Sequence[bytes], dice: random.Random) -> None:
    """Damage the pixels alone; every third time let Rows and Columns agree with their header."""
    pixels = dataset.PixelData
    if dataset["PixelData"].is_undefined_length:
        try:
            frame = frame_of(dataset)
        except (ValueError, struct.error):
            return
        if not frame:
            return
        if b"\xff\x4f\xff\x51" in frame[:200]:
            structure: Callable[..., bytes | None] = _jpeg_2000
        else:
            structure = _jpeg if frame.startswith(b"\xff\xd8") else _runs
        frame = dice.choice((structure, structure, *_ANYWHERE))(frame, [frame], dice) or frame
        with_frame(dataset, frame)
        if dice.random() < 0.3:
            _agree(dataset, frame)
    elif pixels:
        damaged = dice.choice(_ANYWHERE)(pixels, [pixels], dice)
        dataset.add_new("PixelData", "OW", damaged)


def _agree(dataset: Dataset, frame: bytes) -> None:
    siz = frame.find(b"\xff\x4f\xff\x51")
    if siz >= 0 and len(frame) > siz + 24:
        right, bottom, left, top = struct.unpack_from(">LLLL", frame, siz + 8)
        dataset.Rows, dataset.Columns = (bottom - top) % 65536, (right - left) % 65536
    elif found := re.search(rb"\xff[\xc0-\xc3\xf7]...(..)(..)", frame, re.DOTALL):
        dataset.Rows, dataset.Columns = (int.from_bytes(each, "big") for each in found.groups())


def _runs(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """Change the header of RLE: how many segments there are, and where they begin."""
    return _number_at(data, 4 * dice.randrange(16), 4, dice)


def _bmp(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """Change a number of the two headers, which the first 54 bytes are."""
    return _number_at(data, dice.choice(range(10, 54, 2)), dice.choice((2, 4)), dice)


def _jpeg_2000(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes | None:
    """Change a number of a box, or of a marker segment at the beginning of the codestream."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return None
    at = dice.choice((dice.randrange(start + 1), start + dice.randrange(2, 110)))
    return _number_at(data, at, dice.choice((1, 2, 4)), dice)


def _structure(kind: str) -> Callable[..., bytes | None]:
    known = {"PNG": _png, "TIFF": _tiff, "JPEG": _jpeg, "BMP": _bmp, "JPEG 2000": _jpeg_2000}
    return known.get(kind, _dicom)
