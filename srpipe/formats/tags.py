"""Directories of tags: TIFF's, which EXIF and JPEG's list of pictures (MPF) use too."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

# Bytes of a value, by its type; and the types that are unsigned whole numbers.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_RATIO = 5
_UNSIGNED = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Tag:
    """A tag's values as they lie in the file."""

    type: int
    count: int
    raw: bytes


@dataclass(frozen=True)
class Directory:
    """The tags of one page or block.

    Attributes:
        order: "<" or ">", for `struct`.
        tags: those that can be read.
        unreadable: those that lie outside of the file, or whose type is unknown.
        cut: the file ends within the directory.
        size: bytes of its entries and values.
        next: where the next directory is; 0 if there is none.
    """

    order: str
    tags: Mapping[int, Tag]
    unreadable: tuple[int, ...]
    cut: bool
    size: int
    next: int

    def numbers(self, tag: int, *default: int) -> tuple[int, ...]:
        """Return a tag's whole numbers, or the default if the tag is not there.

        Raises:
            ValueError: it is there and cannot be read as such.
        """
        found = self.tags.get(tag)
        if found is None and tag not in self.unreadable:
            return default
        if found is None or found.type not in _UNSIGNED or not found.count:
            raise ValueError(f"its tag {tag} cannot be read")
        return struct.unpack(f"{self.order}{found.count}{_UNSIGNED[found.type]}", found.raw)

    def number(self, tag: int, default: int) -> int:
        """Return a tag's only, or first, whole number; raises as `numbers`."""
        return self.numbers(tag, default)[0]

    def ratio(self, tag: int) -> float | None:
        """Return a tag's first fraction; None if it is not there or no positive number."""
        found = self.tags.get(tag)
        if found is None or found.type != _RATIO or not found.count:
            return None
        over, under = struct.unpack_from(self.order + "LL", found.raw)
        return over / under if over and under else None


def first_directory(data: bytes) -> Directory:
    """Read the directory that the header points at.

    Raises:
        ValueError: there is no such header, or no directory where it points.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise ValueError("it has no TIFF header")
    version = struct.unpack_from(order + "H", data, 2)[0]
    if version not in (42, 43):
        raise ValueError("it has no TIFF header")
    if version == 43:
        if len(data) < 16:
            raise ValueError("it is cut")
        return read_directory(data, order, True, struct.unpack_from(order + "Q", data, 8)[0])
    return read_directory(data, order, False, struct.unpack_from(order + "L", data, 4)[0])


def read_directory(data: bytes, order: str, big: bool, offset: int) -> Directory:
    """Read the directory at an offset; `big` is for BigTIFF.

    Raises:
        ValueError: the file ends before it.
    """
    count_form, entry_form, next_form = ("Q", "HHQ8s", "Q") if big else ("H", "HHL4s", "L")
    inline = 8 if big else 4
    at = offset + struct.calcsize(order + count_form)
    if at > len(data):
        raise ValueError("it is cut: a directory of its tags is missing")
    count = struct.unpack_from(order + count_form, data, offset)[0]
    entry_size = struct.calcsize(order + entry_form)
    tags: dict[int, Tag] = {}
    unreadable: dict[int, None] = {}  # a set that keeps its order
    length, beyond = 0, False
    for number in range(count):
        place = at + number * entry_size
        if place + entry_size > len(data):
            beyond = True
            break
        tag, kind, values, held = struct.unpack_from(order + entry_form, data, place)
        if tag in tags or tag in unreadable:
            continue
        size = values * _SIZES.get(kind, 0)
        start = 0 if size <= inline else struct.unpack(order + next_form, held)[0]
        # Values lie in the file once each: the same bytes under many tags would fill memory.
        fits = size <= inline or (start + size <= len(data) and length + size <= len(data))
        if kind not in _SIZES or not fits:
            unreadable[tag] = None
        else:
            raw = held[:size] if size <= inline else data[start : start + size]
            tags[tag] = Tag(kind, values, raw)
            length += size
    end = at + count * entry_size
    beyond = beyond or end + struct.calcsize(order + next_form) > len(data)
    following = 0 if beyond else struct.unpack_from(order + next_form, data, end)[0]
    return Directory(order, tags, tuple(unreadable), beyond, length + entry_size * count, following)
