"""JPEG files: what the pixels need, and the orientation."""

import re
import struct
from typing import NamedTuple

from srpipe.formats.orientation import of_exif, of_xmp
from srpipe.formats.prepared import Prepared, UnsuitableError, opens
from srpipe.formats.tags import first_directory

START = b"\xff\xd8"

# Metres of the units of JFIF's density.
UNITS = {1: 0.0254, 2: 0.01}

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_PICTURES = b"MPF\0"
_GAIN_MAP = b' hdrgm:Version="'
_PADDED_MARKER = re.compile(rb"\0*\xff+")
_SCAN, _END, _SECOND_START, _COMMENT = 0xDA, 0xD9, 0xD8, 0xFE
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ENTRIES = 0xB002  # tag of the list of pictures
_PREVIEW = 0x01  # first of the three bytes of a picture's type


class _Segment(NamedTuple):
    marker: int
    whole: bytes  # with its marker and its length
    body: bytes

    @property
    def needed(self) -> bool:
        """Whether the pixels need it: not comments, nor what applications add, but for colour."""
        if self.marker == 0xE0:
            return self.body.startswith(b"JFIF\0") and len(self.body) >= 14
        if self.marker == 0xEE:
            return self.body.startswith(b"Adobe") and len(self.body) >= 12
        return self.marker < 0xE0

    def __str__(self) -> str:
        return "its comment" if self.marker == _COMMENT else f"its segment APP{self.marker & 15}"


def prepare(data: bytes) -> Prepared:
    """Take a JPEG file apart.

    Raises:
        ValueError: it is damaged where pixels or orientation are.
        UnsuitableError: it is of a kind that is not read.
    """
    segments, scan = _segments(data)
    for segment in segments:
        if segment.marker in _FRAMES and segment.body[:1] != b"\x08":
            raise UnsuitableError(f"is a JPEG file of {segment.body[0]} bits a channel")
    others = [segment for segment in segments if not segment.needed]
    blocks = [each.body for each in others if each.marker == 0xE1]
    ignored: list[str] = []
    _refuse_pictures(others, ignored)
    # A long block is continued in further segments.
    exif = [block.removeprefix(_EXIF) for block in blocks if block.startswith(_EXIF)]
    orientation = of_exif(b"".join(exif), ignored)
    if orientation is None:
        found = (of_xmp(block) for block in blocks if block.startswith(_XMP))
        orientation = next((each for each in found if each is not None), 1)
    needed = b"".join(segment.whole for segment in segments if segment.needed)
    ignored += [
        str(segment)
        for segment in others
        if not segment.body.startswith((_EXIF, _PICTURES))
        and not opens(START + segment.whole + needed + data[scan : scan + 64])
    ]
    return Prepared(
        pixels=START + needed + data[scan:],
        orientation=orientation,
        density=_density(segments),
        ignored=tuple(dict.fromkeys(ignored)),
        profile=_profile(others),
    )


def _profile(segments: list[_Segment]) -> bytes | None:
    """Return the colour profile, whose parts are numbered; None unless all are there, once."""
    parts = [each.body[len(_ICC) :] for each in segments if each.body.startswith(_ICC)]
    parts.sort(key=lambda part: part[:1])
    numbers = [tuple(part[:2]) for part in parts]
    if not parts or numbers != [(number + 1, len(parts)) for number in range(len(parts))]:
        return None
    return b"".join(part[2:] for part in parts)


def _density(segments: list[_Segment]) -> tuple[float, float] | None:
    """Return pixels a metre, across and down, by the JFIF segment, in inches or centimetres."""
    for segment in segments:
        if segment.marker == 0xE0 and segment.needed:
            unit, across, down = struct.unpack_from(">BHH", segment.body, 7)
            metres = UNITS.get(unit)
            return (across / metres, down / metres) if metres and across and down else None
    return None


def _segments(data: bytes) -> tuple[list[_Segment], int]:
    """Return what comes before the pixels, and where they start."""
    segments: list[_Segment] = []
    at = len(START)
    while True:
        found = _PADDED_MARKER.match(data, at)
        if found is None and at < len(data):
            # Skipping to the next marker could lead into a thumbnail.
            raise ValueError("the length of a segment is wrong")
        if found is None or found.end() + 3 > len(data):
            raise ValueError("it is cut")
        start, marker = found.end() - 1, data[found.end()]
        at = found.end() + 1
        if marker == _SCAN:
            return segments, start
        if marker in (0, _END, _SECOND_START):
            raise ValueError("the length of a segment is wrong, or it holds no image")
        if marker in _WITHOUT_LENGTH:
            continue
        end = at + struct.unpack_from(">H", data, at)[0]
        if end > len(data) or end < at + 2:
            raise ValueError("it is cut, or the length of a segment is wrong")
        segments.append(_Segment(marker, data[start:end], data[at + 2 : end]))
        at = end


def _refuse_pictures(segments: list[_Segment], ignored: list[str]) -> None:
    """Refuse a file of several pictures (MPO), unless all but the first are previews."""
    if any(segment.marker == 0xE1 and _GAIN_MAP in segment.body for segment in segments):
        return  # the other pictures are for brighter screens
    for segment in segments:
        if segment.marker != 0xE2 or not segment.body.startswith(_PICTURES):
            continue
        try:
            directory = first_directory(segment.body.removeprefix(_PICTURES))
            entries = directory.tags[_ENTRIES].raw
            kinds = [
                kind >> 16 & 0xFF
                for kind, *_ in struct.iter_unpack(directory.order + "LLLHH", entries)
            ]
        except (ValueError, KeyError, struct.error):
            ignored.append("its list of pictures (MPF)")
            continue
        if any(kind != _PREVIEW for kind in kinds[1:]):
            raise UnsuitableError(
                f"is a JPEG file of {len(kinds)} pictures", "save each as a file of its own"
            )
