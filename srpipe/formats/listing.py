"""Listing the image files in a folder."""

import os
from pathlib import Path

from srpipe.core.errors import DataError
from srpipe.formats.raster import SUFFIXES


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


def image_names(files: list[str]) -> list[str]:
    """Return the names with an image file's suffix, sorted."""
    return sorted(name for name in files if name.lower().endswith(SUFFIXES))


def image_files(path: Path, option: str) -> dict[str, Path]:
    """Return the images that a user asks for, by their paths below the folder.

    Args:
        path: an image, or a folder of images, with its subfolders.
        option: the command-line option, for messages.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        files = {path.name: path}
    elif path.is_dir():
        files = {name: path / name for name in image_names(list_files(path))}
    else:
        raise DataError(f"{option}: {path} does not exist: give a folder of images, or one image")
    if not files:
        raise DataError(
            f"{option}: {path} holds no image: allowed are files ending in {', '.join(SUFFIXES)}"
        )
    return files
