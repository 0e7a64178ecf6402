"""Listing the image files in a folder, and what else is there."""

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.extras import install
from srpipe.formats.raster import SUFFIXES, is_dicom

# Files that systems leave in folders, and texts, which need no warning.
SYSTEM = frozenset(("thumbs.db", "desktop.ini", "icon\r"))
TEXTS = frozenset(
    (".txt", ".csv", ".tsv", ".json", ".md", ".html", ".xml", ".yaml", ".yml", ".pdf", ".xlsx")
)
LeftOut = dict[str, dict[str, int | list[str]]]
# How the names of maps beside results end, which `enhance.maps` writes: floats, and no images.
MAPS = (".interval.tif", ".added.tif")
_NEEDS_EXTRA = f"DICOM, which needs {install('dicom')}"
# Names of a kind shown in a message.
SHOWN = 3


@dataclass(frozen=True)
class Listing:
    """The files below a folder, as paths with "/".

    `images` are read; `left_out` has other files by kind, except texts and system files.
    """

    images: list[str]
    left_out: Mapping[str, list[str]] = field(default_factory=dict)

    def describe(self) -> str:
        """Describe what was left out: counts by kind, and a few names."""
        kinds = []
        for kind, names in sorted(self.left_out.items()):
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            kinds.append(f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{rest})")
        # Names that are not UTF-8 can be shown too.
        return "; ".join(kinds).encode("utf-8", "backslashreplace").decode("utf-8")

    def summary(self) -> str:
        """Return a sentence about what was left out, for the end of a report; else ""."""
        if not self.left_out:
            return ""
        total = sum(map(len, self.left_out.values()))
        return f"{total} file(s) are not read: {self.describe()}"

    def counts(self) -> LeftOut:
        """Return the same for a JSON file: of each kind, how many there are and a few names."""
        return {
            kind: {"files": len(names), "first": names[:SHOWN]}
            for kind, names in sorted(self.left_out.items())
        }

    def report(self, where: Path) -> None:
        """Warn of files that were left out, if there are any."""
        if self.left_out:
            console.warn(f"{where}: {self.summary()}")


def list_files(root: Path) -> list[str]:
    """Return the files below a folder as paths with "/", following links, without hidden files.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}.") from error

    files: list[str] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        # Each folder is listed once, whatever links lead to it: a link back up would never end.
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(root)
        files += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return files


def list_images(root: Path, *, dicom: bool = False) -> Listing:
    """Return the files below a folder; images are recognised by suffix, DICOM also by content.

    Args:
        root: the folder.
        dicom: count DICOM files as images, if the extra that reads them is installed, and they are
            no reports or other files of a study that hold no image (`dicom.other_kind`).

    Raises:
        DataError: a folder cannot be listed.
    """
    images: list[str] = []
    left_out: dict[str, list[str]] = defaultdict(list)
    for name in sorted(list_files(root)):
        file = name.rpartition("/")[2].lower()
        suffix = os.path.splitext(file)[1]
        if file.endswith(MAPS):
            left_out["map of a result"].append(name)
        elif file.endswith(SUFFIXES):
            images.append(name)
        elif is_dicom_file(root / name):
            if kind := _left_out_dicom(root / name) if dicom else "DICOM":
                left_out[kind].append(name)
            else:
                images.append(name)
        elif file not in SYSTEM and suffix not in TEXTS:
            left_out[suffix or "without a suffix"].append(name)
    return Listing(images, left_out)


def _left_out_dicom(path: Path) -> str:
    """Say what a DICOM file is, if it is not to be read as an image; "" if it is."""
    if not find_spec("pydicom"):
        return _NEEDS_EXTRA
    from srpipe.formats import dicom

    kind = dicom.other_kind(start_of(path, dicom.START))
    return f"DICOM {kind}" if kind else ""


def image_files(path: Path, option: str, *, dicom: bool = False) -> tuple[dict[str, Path], Listing]:
    """Return the images that a user asks for, by paths below the folder, and the listing.

    Warns of other files.

    Args:
        path: an image, or a folder of images, with its subfolders.
        option: the command-line option or argument, for messages.
        dicom: see `list_images`.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        return {path.name: path}, Listing([path.name])
    if not path.is_dir():
        raise DataError(f"{option}: {path} does not exist: give a folder of images, or one image")
    listing = list_images(path, dicom=dicom)
    if not listing.images:
        found = f"; it holds {listing.describe()}" if listing.left_out else ""
        raise DataError(
            f"{option}: {path} holds no image: allowed are files ending in {', '.join(SUFFIXES)}"
            f"{', and DICOM' if dicom else ''}{found}"
        )
    listing.report(path)
    return {name: path / name for name in listing.images}, listing


def is_dicom_file(path: Path) -> bool:
    """Say whether a file is DICOM, by content or suffix; one that cannot be read is by suffix."""
    return is_dicom(start_of(path), path.name)


def start_of(path: Path, length: int = 132) -> bytes:
    """Return the first bytes of a file, which say what it is; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return b""
