"""The HR and LR images of a data set in two flat files and a manifest.

DVC tracks three files instead of 112,120, and training reads crops through the page cache without
decoding. `hr.bin` and `lr.bin` hold the images one after another, `uint8`, row by row; an image's
offset in `lr.bin` is its offset in `hr.bin` divided by scale squared.
"""

import functools
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from srpipe.core.errors import DataError
from srpipe.core.files import replacing_folder, sha256, write_csv, write_json
from srpipe.imaging.arrays import GreyImage

MANIFEST = "manifest.csv"
HR = "hr.bin"
LR = "lr.bin"
INFO = "packed.json"
COLUMNS = ["image", "patient", "list", "height", "width", "offset"]
_AGAIN = "Run `dvc repro --force downsample`."


@dataclass(frozen=True)
class Pair:
    """One radiograph: `hr` is `uint8 (H, W)`, `lr` `uint8 (H/scale, W/scale)`.

    `listed` is "train_val", "test" or "": the data set's own list that names it.
    """

    image: str
    patient: str
    listed: str
    hr: GreyImage
    lr: GreyImage


def write_packed(
    folder: Path,
    pairs: Iterable[Pair],
    scale: int,
    describe: Callable[[GreyImage], Mapping[str, str]] = lambda hr: {},
    acquisition: Mapping[str, Any] = MappingProxyType({}),
) -> pd.DataFrame:
    """Write pairs in the order given and return the manifest; on an error the old folder stays.

    Args:
        folder: where to.
        pairs: what to write.
        scale: HR side over LR side.
        describe: columns that an HR image adds to the manifest, such as `likeness.describe`.
        acquisition: how LR was made, `settings.acquisition.Acquisition` as plain values.

    Raises:
        OutputError: the folder cannot be written.
        DataError: there is no pair.
    """
    with replacing_folder(folder) as temporary, Writer(temporary) as writer:
        for pair in pairs:
            writer.add(pair, describe(pair.hr))
        return writer.finish(scale, acquisition)


class Writer:
    """A packed folder in the making; a context manager.

    Pairs are appended to the two files, and described at the end. What the files hold from before
    is kept as far as `keep` is told of it.

    Attributes:
        rows: of the manifest, of all pairs until now.
    """

    def __init__(self, folder: Path) -> None:
        """Open the files of a folder, which must exist."""
        self._folder = folder
        self.rows: list[dict[str, Any]] = []
        self._ends = [0, 0]
        self._digests = hashlib.sha256(), hashlib.sha256()
        for name in (HR, LR):
            (folder / name).touch()
        self._files = (folder / HR).open("r+b"), (folder / LR).open("r+b")

    def __enter__(self) -> "Writer":
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files, both, even if the disk has no room for the rest of one."""
        hr, lr = self._files
        with hr, lr:
            pass

    def keep(self, row: Mapping[str, Any], sizes: Sequence[int], checks: Sequence[int]) -> bool:
        """Keep the next pair, which an earlier writer appended, if its bytes are what they were.

        Args:
            row: of the manifest.
            sizes: bytes of HR and LR.
            checks: their CRC-32.
        """
        read = [file.read(size) for file, size in zip(self._files, sizes, strict=True)]
        if [zlib.crc32(data) for data in read] != list(checks):
            return False
        self._count(row, read)
        return True

    def cut(self) -> None:
        """Remove from the files what was not kept."""
        for file, end in zip(self._files, self._ends, strict=True):
            file.seek(end)
            file.truncate()

    def add(self, pair: Pair, more: Mapping[str, str]) -> tuple[list[int], list[int]]:
        """Append a pair; return the sizes and checks that `keep` takes.

        Args:
            pair: what to write.
            more: further columns of the manifest.
        """
        stored = [np.ascontiguousarray(image).data.cast("B") for image in (pair.hr, pair.lr)]
        for file, data in zip(self._files, stored, strict=True):
            file.write(data)
            file.flush()
        height, width = pair.hr.shape
        place = (pair.image, pair.patient, pair.listed, height, width, self._ends[0])
        self._count(dict(zip(COLUMNS, place, strict=True)) | dict(more), stored)
        return [len(data) for data in stored], [zlib.crc32(data) for data in stored]

    def _count(self, row: Mapping[str, Any], stored: Sequence[bytes | memoryview]) -> None:
        self.rows.append(dict(row))
        for which, data in enumerate(stored):
            self._ends[which] += len(data)
            self._digests[which].update(data)

    def finish(self, scale: int, acquisition: Mapping[str, Any]) -> pd.DataFrame:
        """Write and return the manifest, and what else `write_packed` is told.

        Raises:
            OutputError: they cannot be written.
            DataError: there is no pair.
        """
        if not self.rows:
            raise DataError("there is no image to pack: run the download stage first")
        manifest = pd.DataFrame(self.rows)
        write_csv(self._folder / MANIFEST, manifest)
        info = {
            "scale": scale,
            "acquisition": dict(acquisition),
            "hr": self._digests[0].hexdigest(),
            "lr": self._digests[1].hexdigest(),
        }
        write_json(self._folder / INFO, info)
        return manifest


@dataclass(frozen=True)
class Packed:
    """Read access to a packed folder by manifest row; images are memory-mapped views.

    `digests` are the SHA-256 of the HR and the LR file, as they were written; `acquisition` says
    how LR was made, as `write_packed` was told.
    """

    folder: Path
    manifest: pd.DataFrame
    scale: int
    digests: tuple[str, str]
    acquisition: Mapping[str, Any]

    def hr(self, row: int) -> GreyImage:
        """Return the HR image of a manifest row: read-only `uint8 (H, W)`."""
        offset, height, width = self._places[row]
        return self._hr[offset : offset + height * width].reshape(height, width)

    def lr(self, row: int) -> GreyImage:
        """Return the LR image of a manifest row: read-only `uint8 (H/scale, W/scale)`."""
        offset, height, width = self._places[row]
        area = self.scale**2
        flat = self._lr[offset // area : (offset + height * width) // area]
        return flat.reshape(height // self.scale, width // self.scale)

    def pair(self, row: int) -> Pair:
        """Return a manifest row as a pair; its arrays are the views that `hr` and `lr` return."""
        image, patient, listed = self.manifest.loc[row, ["image", "patient", "list"]]
        return Pair(str(image), str(patient), str(listed), self.hr(row), self.lr(row))

    def rows(self, images: Iterable[str]) -> list[int]:
        """Return the manifest rows of images by name, in the order given.

        Raises:
            DataError: an image is not in the manifest.
        """
        index = pd.Index(self.manifest["image"])
        wanted = list(images)
        rows: npt.NDArray[np.intp] = index.get_indexer(pd.Index(wanted))
        if (rows < 0).any():
            missing = [name for name, row in zip(wanted, rows, strict=True) if row < 0]
            raise DataError(
                f"{len(missing)} image(s) of the split are not in {self.folder}, the first is "
                f"{missing[0]}: run the split stage again"
            )
        return [int(row) for row in rows]

    def verify(self) -> None:
        """Read both files whole, and compare them with their digests; `open_packed` does not.

        Raises:
            DataError: they are not what was written.
        """
        for name, digest in zip((HR, LR), self.digests, strict=True):
            if sha256(self.folder / name) != digest:
                raise DataError(
                    f"{self.folder / name} is not what was written: a disk, a copy or a program "
                    f"changed it. {_AGAIN}"
                )

    @functools.cached_property
    def _places(self) -> npt.NDArray[np.int64]:
        return self.manifest[["offset", "height", "width"]].to_numpy(np.int64)

    @functools.cached_property
    def _hr(self) -> npt.NDArray[np.uint8]:
        return _mapped(self.folder / HR)

    @functools.cached_property
    def _lr(self) -> npt.NDArray[np.uint8]:
        return _mapped(self.folder / LR)


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    # As a plain array: slicing the memmap subclass is slower.
    return np.memmap(path, np.uint8, "r").view(np.ndarray)


def open_packed(folder: Path) -> Packed:
    """Open a packed folder.

    Raises:
        DataError: a file is missing, or its size does not match the manifest.
    """
    try:
        manifest = read_manifest(folder)
        info = json.loads((folder / INFO).read_text(encoding="utf-8"))
        scale, digests = int(info["scale"]), (str(info["hr"]), str(info["lr"]))
        acquisition = dict(info["acquisition"])
        sizes = [(folder / name).stat().st_size for name in (HR, LR)]
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: run the downsample stage first") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is damaged: {error}. {_AGAIN}") from error
    pixels = int((manifest["height"] * manifest["width"]).sum())
    if sizes != [pixels, pixels // scale**2]:
        raise DataError(
            f"{folder} is damaged: {HR} and {LR} have {sizes} bytes, the manifest says "
            f"{[pixels, pixels // scale**2]}. {_AGAIN}"
        )
    return Packed(folder, manifest, scale, digests, acquisition)


def read_manifest(folder: Path, more: Sequence[str] = ()) -> pd.DataFrame:
    """Return the manifest, a row an image: `COLUMNS`; sizes are integers, all else strings.

    Args:
        folder: of the packed images.
        more: names of columns that `describe` added in `write_packed`; strings.

    Raises:
        DataError: it is missing or damaged.
    """
    path = folder / MANIFEST
    text = dict.fromkeys(("image", "patient", "list", *more), str)
    numbers = {"height": np.int64, "width": np.int64, "offset": np.int64}
    try:
        return pd.read_csv(path, dtype={**text, **numbers}, keep_default_na=False)[
            [*COLUMNS, *more]
        ]
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the downsample stage first") from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}. {_AGAIN}") from error


def packed_pair(folder: Path, row: int) -> Pair:
    """Return one pair of a packed folder, which is opened once per process.

    For worker processes, whose tasks are then a path and a row, not images.

    Raises:
        DataError: as for `open_packed`.
    """
    return _opened_once(folder.absolute()).pair(row)


@functools.lru_cache(maxsize=1)
def _opened_once(folder: Path) -> Packed:
    return open_packed(folder)
