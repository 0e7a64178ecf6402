"""TIFF files: the page that is read, what its pixels need, the orientation and the depth.

The page is written anew in front of the file with the tags that pixels need, so that Pillow reads
neither the other tags nor the other pages. It knows no samples of 9 to 15 bits but some of 12:
their rows are shown to it as rows of bytes, which it decompresses and leaves as they are.
"""

import struct
from collections.abc import Mapping

from srpipe.formats.orientation import ORIENTATION, of_directory, of_xmp
from srpipe.formats.prepared import Packed, Prepared, UnsuitableError
from srpipe.formats.tags import Directory, Tag, first_directory, read_directory

HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_SUBFILE, _OLD_SUBFILE = 254, 255
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _STRIP_BYTES, _MAX_SAMPLE = 273, 277, 279, 281
_STRIP_ROWS, _PLANES, _PLANES_APART = 278, 284, 2
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 317, 322, 323, 324, 325
_FURTHER_PAGES, _SAMPLE_FORMAT, _XMP, _PROFILE = 330, 339, 700, 34675
# Besides these: fill order, rows a strip, planes, fax options, colours, extra samples, JPEG tables,
# and how luma and chroma are coded.
_NEEDED = frozenset(
    (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES, _STRIP_BYTES)
) | {_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _SAMPLE_FORMAT}
_NEEDED |= {266, 278, 284, 292, 293, 320, 338, 347, 529, 530, 531, 532}
# Pages that are looked at, and bytes of their tags as a multiple of the file's (some are shared).
_MOST_PAGES, _MOST_TIMES = 1000, 4
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_LONG, _LONG8 = 4, 16

_ACROSS, _DOWN, _UNIT = 282, 283, 296
_METRES = {2: 0.0254, 3: 0.01}  # of the unit of resolution

_UNCOMPRESSED = 1
_LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
_LOSSLESS |= {34925: "LZMA", 50000: "Zstandard"}
_FAX = (2, 3, 4)
_JPEG = 7
_COMPRESSIONS = "none, PackBits, LZW, deflate, LZMA, Zstandard, JPEG of 8 bits, CCITT of 1 bit"

_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_SIGNED, _FLOAT = 2, 3
_FORMS = {_SIGNED: "signed numbers", _FLOAT: "floating point"}


def prepare(data: bytes) -> Prepared:
    """Take a TIFF file apart.

    Raises:
        ValueError: it is damaged where pixels or orientation are.
        UnsuitableError: it is of a kind that is not read.
    """
    page = _page(data)
    ignored = [f"its tag {tag}" for tag in page.unreadable if tag not in _NEEDED | {ORIENTATION}]
    orientation = of_directory(page, ignored)
    if orientation is None and _XMP in page.tags:
        orientation = of_xmp(page.tags[_XMP].raw)
    changes: dict[int, tuple[int, ...]] = {}
    samples = page.number(_SAMPLES, 1)
    bits = max(page.numbers(_BITS, 1))
    _refuse_kinds(page, samples, bits)
    photometric = page.number(_PHOTOMETRIC, _WHITE_IS_ZERO)
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if grey:
        changes[_PHOTOMETRIC] = (_BLACK_IS_ZERO,)
    signed = bits == 16 and page.number(_SAMPLE_FORMAT, 1) == _SIGNED
    packed = None
    stated: int = 16
    by: str | None = None
    if 9 <= bits <= 15:
        if _in_words(page, bits):
            changes[_BITS] = (16,)
            stated, by = bits, "BitsPerSample"
        else:
            packed = Packed(page.number(_WIDTH, 0), bits)
            changes |= _as_bytes(page, bits)
    elif bits == 32:
        # Pillow knows 32 bits without sign in one byte order only.
        changes[_SAMPLE_FORMAT] = (_SIGNED,)
    elif signed:
        # Pillow mixes up the byte orders of compressed numbers with a sign.
        changes[_SAMPLE_FORMAT] = (1,)
    elif bits == 16 and grey and (used := _used_bits(page)) is not None:
        stated, by = used, "MaxSampleValue"
    return Prepared(
        pixels=_rewritten(data, page, changes),
        orientation=orientation or 1,
        packed=packed,
        stated_bits=stated,
        stated_by=by,
        signed=signed,
        white_is_zero=photometric == _WHITE_IS_ZERO,
        density=_density(page),
        ignored=tuple(ignored),
        profile=page.tags[_PROFILE].raw if _PROFILE in page.tags else None,
    )


def _density(page: Directory) -> tuple[float, float] | None:
    """Return pixels a metre, across and down; a unit that is not given is the inch."""
    try:
        unit = _METRES.get(page.number(_UNIT, 2))
    except ValueError:
        return None  # told, as a tag that cannot be read
    across, down = page.ratio(_ACROSS), page.ratio(_DOWN)
    return (across / unit, down / unit) if unit and across and down else None


def _page(data: bytes) -> Directory:
    """Return the only page that is neither a preview nor a mask."""
    page = first_directory(data)
    big = data[2:4] in (b"+\0", b"\0+")
    pages, places, size = [page], set[int](), page.size
    # Some writers end the list with a way back.
    while page.next and not page.cut and page.next not in places:
        places.add(page.next)
        page = read_directory(data, page.order, big, page.next)
        if page == pages[0]:
            break
        pages.append(page)
        size += page.size
        if len(pages) > _MOST_PAGES or size > _MOST_TIMES * len(data):
            raise UnsuitableError(
                f"is a TIFF file of {len(pages)} pages or more", "save each page as a file"
            )
    if any(each.cut for each in pages):
        raise ValueError("it is cut: its pages are not all there")
    if len(pages) == 1 and _FURTHER_PAGES not in page.tags:
        return page
    full = [each for each in pages if not _beside(each)]
    if len(full) != 1:
        raise UnsuitableError(
            f"is a TIFF file of {len(pages)} pages, {len(full)} of them in full resolution",
            "save each page as a file of its own",
        )
    return full[0]


def _beside(page: Directory) -> bool:
    """Say whether a page is marked as an image of reduced resolution, or as a mask."""
    return bool(
        page.number(_SUBFILE, 0) & (_REDUCED | _MASK)
        or page.number(_OLD_SUBFILE, 0) == _OLD_REDUCED
    )


def _refuse_kinds(page: Directory, samples: int, bits: int) -> None:
    if bits > 8 and samples > 1:
        raise UnsuitableError(
            "has more than 8 bits a channel together with colour or alpha",
            "save it as 16-bit grey without alpha",
        )
    photometric = page.number(_PHOTOMETRIC, _WHITE_IS_ZERO)
    form = max(page.numbers(_SAMPLE_FORMAT, 1))
    if form == _FLOAT or (form == _SIGNED and bits not in (16, 32)):
        raise UnsuitableError(f"holds {_FORMS[form]}", "convert it to whole numbers without sign")
    if photometric == _WHITE_IS_ZERO and (form == _SIGNED or bits == 32):
        raise UnsuitableError(f"holds WhiteIsZero in {bits} bits, which has no fixed white")
    if bits in (3, 5, 6, 7) or (16 < bits != 32):
        raise UnsuitableError(f"is a TIFF file of {bits} bits a channel")
    if bits > 8 and photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
        raise UnsuitableError(f"is a TIFF file of {bits} bits with a palette or in colour")
    compression = page.number(_COMPRESSION, _UNCOMPRESSED)
    if not (
        compression in _LOSSLESS
        or (compression == _JPEG and bits == 8)
        or (compression in _FAX and (bits, samples) == (1, 1))
    ):
        raise UnsuitableError(
            f"is a TIFF file of {bits} bits compressed in way {compression}",
            f"compressions that are read are {_COMPRESSIONS}",
        )
    if bits == 32 and page.order == ">" and compression != _UNCOMPRESSED:
        raise UnsuitableError("is a TIFF file of compressed 32-bit numbers of high byte first")
    if compression in _LOSSLESS and page.number(_PREDICTOR, 1) != 1 and bits not in (8, 16, 32):
        raise UnsuitableError(
            f"is a TIFF file of {bits} bits with a predictor", "save it without the predictor"
        )


def _used_bits(page: Directory) -> int | None:
    """Return how many bits the file says that its 16-bit words use.

    MaxSampleValue may also be the largest value that occurs. It is taken for a depth only if all
    its bits are set, which no other number than a depth's largest is likely to have.
    """
    try:
        most = page.number(_MAX_SAMPLE, 65535)
    except ValueError:
        return None  # told, as an unreadable tag that is not needed
    return most.bit_length() if most in {2**bits - 1 for bits in range(8, 16)} else None


def _in_words(page: Directory, bits: int) -> bool:
    """Say whether uncompressed samples lie in 16-bit words, by the number of their bytes."""
    if page.number(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
        return False
    if _TILES in page.tags:
        size = page.number(_TILE_WIDTH, 0) * page.number(_TILE_HEIGHT, 0)
        return page.number(_TILE_BYTES, 0) == 2 * size
    size = page.number(_WIDTH, 0) * page.number(_HEIGHT, 0)
    return sum(page.numbers(_STRIP_BYTES, 0)) == 2 * size


def _as_bytes(page: Directory, bits: int) -> dict[int, tuple[int, ...]]:
    """Return the tags that make rows of packed samples rows of bytes."""
    changes: dict[int, tuple[int, ...]] = {_BITS: (8,)}
    changes[_WIDTH] = ((page.number(_WIDTH, 0) * bits + 7) // 8,)
    if _TILES in page.tags:
        width = page.number(_TILE_WIDTH, 0)
        if width % 8:
            raise ValueError(f"its tiles are {width} pixels wide, not a multiple of 16")
        changes[_TILE_WIDTH] = (width * bits // 8,)
    return changes


def _rewritten(data: bytes, page: Directory, changes: Mapping[int, tuple[int, ...]]) -> bytes:
    """Return the file with a page of the needed tags in front, and with these changes."""
    order = page.order
    lost = [tag for tag in page.unreadable if tag in _NEEDED]
    if lost:
        raise ValueError(f"its tag {lost[0]} cannot be read")
    tags = {tag: page.tags[tag] for tag in sorted(_NEEDED & page.tags.keys())}
    for tag, found in tags.items():
        if tag in changes or found.type == _LONG8:
            tags[tag] = _numbers(order, changes.get(tag) or page.numbers(tag))
    for tag in sorted(changes.keys() - tags.keys()):
        tags[tag] = _numbers(order, changes[tag])
    places = [tag for tag in (_STRIPS, _TILES) if tag in tags]
    for tag in places:
        _refuse_missing(page, tag)
        _refuse_cut(data, page, tag)
        tags[tag] = _numbers(order, page.numbers(tag))
    first = 8 + 2 + 12 * len(tags) + 4
    length = first + sum(len(tag.raw) + len(tag.raw) % 2 for tag in tags.values())
    for tag in places:
        tags[tag] = _numbers(order, tuple(place + length for place in page.numbers(tag)))
    entries, values = b"", b""
    for number, found in sorted(tags.items()):
        held = found.raw
        if len(held) > 4:
            held = struct.pack(order + "L", first + len(values))
            values += found.raw + bytes(len(found.raw) % 2)
        entries += struct.pack(order + "HHL4s", number, found.type, found.count, held)
    header = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8)
    count = struct.pack(order + "H", len(tags))
    return (header + count + entries + bytes(4) + values).ljust(length, b"\0") + data


def _refuse_missing(page: Directory, places: int) -> None:
    """Refuse a page of fewer strips or tiles than its size needs: Pillow leaves the rest black."""
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    tiled = places == _TILES
    across = page.number(_TILE_WIDTH, 0) if tiled else width
    down = page.number(_TILE_HEIGHT, 0) if tiled else page.number(_STRIP_ROWS, height)
    if not (across and down):
        raise ValueError("it says that it is empty")
    planes = page.number(_SAMPLES, 1) if page.number(_PLANES, 1) == _PLANES_APART else 1
    needed, there = -(-width // across) * -(-height // down) * planes, len(page.numbers(places))
    if there < needed:
        raise ValueError(f"it is cut: of {needed:,} parts of its image {there:,} are there")


def _refuse_cut(data: bytes, page: Directory, places: int) -> None:
    """Refuse compressed blocks beyond the end, before libtiff writes about them to the terminal.

    Uncompressed ones are left to Pillow: the last strip's number of bytes is often too large.
    """
    if page.number(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED:
        return
    sizes = page.numbers(_TILE_BYTES if places == _TILES else _STRIP_BYTES)
    starts = page.numbers(places)
    if any(start + size > len(data) for start, size in zip(starts, sizes, strict=False)):
        raise ValueError("it is cut")


def _numbers(order: str, values: tuple[int, ...]) -> Tag:
    return Tag(_LONG, len(values), struct.pack(f"{order}{len(values)}L", *values))
