"""Which side of an image is up: EXIF's orientation, or XMP's where EXIF has none."""

import re

import numpy as np
import numpy.typing as npt

from srpipe.formats.prepared import UPRIGHT_UNKNOWN
from srpipe.formats.tags import Directory, first_directory, read_directory

ORIENTATION = 274
# Orientations of an image that lies on its side as stored.
SIDEWAYS = (5, 6, 7, 8)
_FURTHER = (34665, 34853)  # EXIF's own directory, and the place where the image was taken
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def of_exif(block: bytes, ignored: list[str]) -> int | None:
    """Return the orientation in an EXIF block, 1 to 8, or None; add to `ignored` what is damaged.

    Raises:
        ValueError: the block has, or may have, an orientation that cannot be read.
    """
    block = re.sub(rb"^(Exif\0\0){1,2}", b"", block)
    if not block:
        return None
    try:
        directory = first_directory(block)
        found = of_directory(directory, ignored)
    except ValueError as error:
        raise ValueError(UPRIGHT_UNKNOWN) from error
    if found is None and directory.cut:
        raise ValueError(UPRIGHT_UNKNOWN)
    if not _whole(block, directory):
        ignored.append("a part of its EXIF block")
    return found


def _whole(block: bytes, directory: Directory) -> bool:
    whole = not directory.cut and not directory.unreadable
    for tag in _FURTHER:
        try:
            for place in directory.numbers(tag):
                further = read_directory(block, directory.order, False, place)
                whole = whole and not further.cut and not further.unreadable
        except ValueError:
            return False
    return whole


def of_directory(directory: Directory, ignored: list[str]) -> int | None:
    """Return the orientation among TIFF's tags, 1 to 8, or None.

    Raises:
        ValueError: it is there and cannot be read.
    """
    found = directory.numbers(ORIENTATION)
    if not found:
        return None
    if found[0] in range(1, 9):
        return found[0]
    ignored.append(f"its orientation {found[0]}, which is not defined")
    return 1


def of_xmp(packet: bytes) -> int | None:
    """Return the orientation in an XMP packet, 1 to 8, or None."""
    found = _XMP.search(packet)
    return int(found[1]) if found and found[1] in b"12345678" else None


def upright(array: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Turn and flip an array (height, width) as stored, so that it is as seen."""
    if orientation in SIDEWAYS:
        array = array.T
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
