"""Which files of a folder are images."""

import os
from pathlib import Path

from srpipe.core.errors import DataError
from srpipe.formats.raster import SUFFIXES


def list_files(root: Path) -> list[str]:
    """Return the files below a folder as paths with "/", links followed, hidden ones left out.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be listed: {error.strerror}.") from error

    files: list[str] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        # A folder is listed once, whatever links lead to it: one that leads back up never ends.
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(root)
        files += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return files


def image_names(files: list[str]) -> list[str]:
    """Return the names that end as an image's does, sorted."""
    return sorted(name for name in files if name.lower().endswith(SUFFIXES))


def image_files(path: Path, option: str) -> dict[str, Path]:
    """Return the images that a user names, by their paths below the folder.

    Args:
        path: an image, or a folder of images, with its subfolders.
        option: what named it, for messages.

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
