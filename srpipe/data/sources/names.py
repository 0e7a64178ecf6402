"""Resolving image names given by users, in lists, tables and options.

A name is an image's path below the folder, the end of that path (often the file name alone), or
that path with folders before it. The folders that are given must agree. Unicode is
compared in its composed form (NFC), a backslash is a slash, and as long as one image remains,
neither the suffix's letter case nor the suffix itself matters: a list of `.png` files fits images
converted to `.jpg`, and a table without suffixes fits both.
"""

import codecs
import difflib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from srpipe.core.errors import DataError

# Known file suffixes; anything else after a dot is part of the name (DICOM names contain dots).
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
)
# Names shown in a message.
SHOWN = 5


class Names:
    """The images of a folder, found by their names in lists and tables.

    Args:
        images: their paths below the folder, with "/", each once.
    """

    def __init__(self, images: Iterable[str]) -> None:
        self.images = sorted(images)
        self._whole: list[dict[str, list[str]]] = [defaultdict(list) for _ in _keys("")]
        self._ends: list[dict[str, list[str]]] = [defaultdict(list) for _ in _keys("")]
        for image in self.images:
            for whole, ends, key in zip(self._whole, self._ends, _keys(image), strict=True):
                whole[key].append(image)
                for end in _shorter(key):
                    ends[end].append(image)

    def find(self, given: str) -> list[str]:
        """Return the images that a name may mean: one, none, or several."""
        keys = _keys(given)
        for index in (self._whole, self._ends):
            for found, key in zip(index, keys, strict=True):
                if images := found.get(key):
                    return images
        # From further up, as in CheXpert's table: a folder and the file have to agree.
        for found, key in zip(self._whole, keys, strict=True):
            for end in _shorter(key):
                if "/" in end and (images := found.get(end)):
                    return images
        return []

    def resolve(self, given: Sequence[str], what: str) -> dict[str, str]:
        """Return the image of every name.

        Args:
            given: the names.
            what: where they come from, for messages.

        Raises:
            DataError: names match no image, or several; the message counts and lists them, with the
                nearest image name.
        """
        found = {name: self.find(name) for name in given}
        unknown = [name for name, images in found.items() if not images]
        unclear = {name: images for name, images in found.items() if len(images) > 1}
        if unknown:
            raise DataError(
                f"{len(unknown)} of the {len(found)} names in {what} are not among the "
                f"{len(self.images)} images: {self.described(unknown)}"
            )
        if unclear:
            name, images = next(iter(unclear.items()))
            raise DataError(
                f"{len(unclear)} of the {len(found)} names in {what} could mean several images: "
                f"{name} is {' or '.join(images[:3])}. Write their paths below the folder"
            )
        return {name: images[0] for name, images in found.items()}

    def described(self, unknown: Sequence[str]) -> str:
        """Return the first few names that match no image, each with the nearest image name."""
        told = [f"{name}{self._nearest(name)}" for name in unknown[:SHOWN]]
        rest = len(unknown) - SHOWN
        return ", ".join(told) + (f" and {rest} more" if rest > 0 else "")

    def _nearest(self, name: str) -> str:
        # Comparing with every name of a large data set would take minutes.
        near = difflib.get_close_matches(normalised(name), self.images[:5000], n=1, cutoff=0.5)
        return f" (nearest: {near[0]})" if near else ""


def normalised(name: str) -> str:
    """Return a name as it is compared: NFC, "/", no blanks around it, no leading "./"."""
    plain = unicodedata.normalize("NFC", name.strip("\ufeff \t\r\n")).replace("\\", "/")
    return plain.removeprefix("./")


def read_names(path: Path, option: str) -> list[str]:
    """Return the names in a text file, one per line, with any line endings and UTF encoding.

    Raises:
        DataError: the file cannot be read as text.
    """
    try:
        text = decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{option}: cannot read {path}: {error}. It is text, a name a line"
        ) from error
    return [name for line in text.splitlines() if (name := normalised(line))]


def decoded(data: bytes) -> str:
    """Return text without its byte order mark: UTF-8, or UTF-16 if the mark says so.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig")


def _keys(name: str) -> tuple[str, ...]:
    """Return the keys to look a name up by, the strictest first."""
    path = normalised(name)
    stem, suffix = _split(path)
    return (path, stem + suffix, stem)


def _shorter(path: str) -> list[str]:
    """Return a path without its first folder, its first two and so on, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))]


def _split(path: str) -> tuple[str, str]:
    """Return a path without its suffix, and the suffix in lower case; "" for an unknown one."""
    stem, dot, end = path.rpartition(".")
    suffix = (dot + end).lower()
    return (stem, suffix) if suffix in SUFFIXES and stem else (path, "")
