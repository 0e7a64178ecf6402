"""The download stage's output: a list of the images, where their bytes are, and facts of them.

`manifest.csv`, one row per image, sorted by `image`:

    image    its name, unique: the file name (NIH, phantom), or the path below the user's folder
             with "/" (folder), which is the plain file name for a file that lies directly in it
    patient  the patient ID, as text ("00000001" keeps its zeros)
    list     "train_val" or "test" where the source has such lists, else empty
    file     where the bytes are: a path below the root, or a member of the zip
    bytes    size of the file
    crc32    of its bytes, 8 hexadecimal digits

`source.json`: `{"kind": "folder" or "zip", "root": path}`; the root is relative to the manifest's
folder, or after "repository:" to the repository, or absolute. What lies in the repository is found
again after the repository was moved. Of a user's folder it also says which files are not images
that are read, `"left_out": {".webp": {"files": 5, "first": [names]}}` by kind, and which images
cannot be used and are left out, `"excluded": {name: why}`.

`facts.csv`, a row an image in the same order: what the data set's table says of it, as `data.facts`
reads it; all is empty where there is no table.
"""

import csv
import functools
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from srpipe.core import paths
from srpipe.core.errors import DataError, ImageError
from srpipe.core.files import write_csv, write_json
from srpipe.data import facts as known_facts

Kind = Literal["folder", "zip"]

MANIFEST = "manifest.csv"
SOURCE = "source.json"
FACTS = "facts.csv"
IN_REPOSITORY = "repository:"
LISTS = ("train_val", "test", "")

_AGAIN = "Run `dvc repro --force download` to list it again, then `dvc repro`."
# What zipfile raises on a member that is damaged, encrypted or compressed in an unknown way.
_UNZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Entry:
    """One image of a source; the fields are the manifest's columns."""

    image: str
    patient: str
    list: str
    file: str
    bytes: int
    crc32: str


COLUMNS = [column.name for column in fields(Entry)]


@dataclass(frozen=True)
class Source:
    """An open manifest. It is pickled for worker processes without its entries, to stay small.

    Attributes:
        folder: where the manifest lies.
        kind: "folder" of image files, or "zip".
        root: absolute path of that folder or zip.
        left_out: files of a user's folder that are not read, by kind.
        excluded: images of the folder that cannot be used and are not listed, and why.
    """

    folder: Path
    kind: Kind
    root: Path
    left_out: Mapping[str, Any] = field(default_factory=dict, compare=False)
    excluded: Mapping[str, str] = field(default_factory=dict, compare=False)

    @functools.cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All images, sorted by name."""
        return _read_entries(self.folder / MANIFEST)

    def facts(self) -> pd.DataFrame:
        """Return what the data set's table says, a row an image, in the order of `entries`.

        Raises:
            DataError: the file is missing or damaged, or is about other images.
        """
        path = self.folder / FACTS
        found = known_facts.read_facts(path)
        if list(found.index) != [entry.image for entry in self.entries]:
            raise DataError(f"{path} is about other images than {MANIFEST}. {_AGAIN}")
        return found

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of one image file, checked against the manifest.

        Raises:
            DataError: the file is missing or unreadable, or changed since it was listed.
            ImageError: it is damaged or missing in an intact zip.
        """
        data = _read_member(self.root, entry) if self.kind == "zip" else _read(self.root, entry)
        if len(data) != entry.bytes or checksum(data) != entry.crc32:
            raise DataError(
                f"{self.root / entry.file} changed since it was listed ({entry.bytes} bytes, crc32 "
                f"{entry.crc32}; now {len(data)} bytes, {checksum(data)}). {_AGAIN}"
            )
        return data

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the entries: each task carries those it needs."""
        place = {"folder": self.folder, "kind": self.kind, "root": self.root}
        return {**place, "left_out": {}, "excluded": {}}


def checksum(data: bytes) -> str:
    """Return the CRC-32 of `data` as 8 hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"


def parse_lists(train_val: str, test: str, where: str) -> dict[str, str]:
    """Parse the NIH's two lists, one name per line, into name -> "train_val" or "test".

    Args:
        train_val: the text of `train_val_list.txt`.
        test: the text of `test_list.txt`.
        where: the folder or zip that holds them, for messages.

    Raises:
        DataError: a name is on both.
    """
    names = {kind: _lines(text) for kind, text in (("train_val", train_val), ("test", test))}
    both = sorted(names["train_val"] & names["test"])
    if both:
        raise DataError(
            f"{len(both)} image(s) are on both train_val_list.txt and test_list.txt of {where}: "
            f"{some(both)}. Take each off one of the lists, or a model is tested on what it learnt."
        )
    return {name: kind for kind, listed in names.items() for name in listed}


def some(names: Sequence[str], limit: int = 3) -> str:
    """Return the first few names for a message: "a, b, c and 9 more"."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def place_of(root: Path) -> str:
    """Return how `source.json` names a place of the user's."""
    place, repository = root.resolve(), paths.project_root()
    if place.is_relative_to(repository):
        return IN_REPOSITORY + place.relative_to(repository).as_posix()
    return str(place)


def write_source(
    folder: Path,
    kind: Kind,
    root: str,
    entries: Iterable[Entry],
    left_out: Mapping[str, Any] | None = None,
    facts: pd.DataFrame | None = None,
    excluded: Mapping[str, str] | None = None,
) -> None:
    """Write `manifest.csv`, `source.json` and `facts.csv` into `folder`, which must exist.

    `left_out` is what else was there, as `formats.listing.Listing.counts` says it; `facts` is what
    `data.facts.facts_in` found in a table, also of other images, None without a table; `excluded`
    has images that cannot be used, and why.

    Raises:
        DataError: no image, two images with one name, or an image without a patient.
        OutputError: a file cannot be written.
    """
    listed = sorted(entries, key=lambda entry: entry.image)
    _check(listed, str(folder / MANIFEST))
    write_csv(folder / MANIFEST, pd.DataFrame([asdict(entry) for entry in listed], columns=COLUMNS))
    more = {"left_out": left_out} if left_out is not None else {}
    more |= {"excluded": excluded} if excluded else {}
    write_json(folder / SOURCE, {"kind": kind, "root": root, **more})
    known = pd.DataFrame(columns=known_facts.COLUMNS) if facts is None else facts
    images = pd.Index([entry.image for entry in listed], name="image")
    write_csv(folder / FACTS, known.reindex(images, fill_value="").reset_index())


def open_source(folder: Path) -> Source:
    """Open what the download stage wrote to `folder` (`data/raw/<name>`).

    Raises:
        DataError: it is missing or incomplete.
    """
    try:
        given = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        kind, root = given["kind"], given["root"]
        left_out, excluded = given.get("left_out", {}), given.get("excluded", {})
    except FileNotFoundError as error:
        raise DataError(
            f"{folder / SOURCE} is missing: no images are listed in {folder}. "
            "Run `dvc repro download`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / SOURCE} cannot be read: {error}. {_AGAIN}") from error
    if kind not in get_args(Kind) or not isinstance(root, str):
        raise DataError(f"{folder / SOURCE} holds {given}: the kind is folder or zip. {_AGAIN}")
    base = folder.absolute()
    if root.startswith(IN_REPOSITORY):
        base, root = paths.project_root(), root.removeprefix(IN_REPOSITORY)
    place = Path(os.path.normpath(base / root))
    source = Source(folder.absolute(), kind, place, left_out, excluded)
    _check(source.entries, str(folder / MANIFEST))
    return source


def _lines(text: str) -> set[str]:
    stripped = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    return {line for line in stripped if line}


def _read_entries(path: Path) -> tuple[Entry, ...]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            if rows.fieldnames != COLUMNS:
                raise DataError(f"{path} has columns {rows.fieldnames}, not {COLUMNS}. {_AGAIN}")
            return tuple(_entry(row) for row in rows)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}. {_AGAIN}") from error


def _entry(row: dict[str, str]) -> Entry:
    text = {column: row[column] for column in COLUMNS if column != "bytes"}
    return Entry(bytes=int(row["bytes"]), **text)


def _check(entries: Iterable[Entry], name: str) -> None:
    entries = tuple(entries)
    if not entries:
        raise DataError(f"{name}: no image is listed. {_AGAIN}")
    twice = sorted(i for i, n in Counter(entry.image for entry in entries).items() if n > 1)
    if twice:
        raise DataError(f"{name}: {len(twice)} image name(s) are there twice: {some(twice)}.")
    for entry in entries:
        if not entry.patient or not entry.file or entry.list not in LISTS:
            raise DataError(f"{name}: the row {astuple(entry)} is not complete. {_AGAIN}")


def _read(root: Path, entry: Entry) -> bytes:
    try:
        return (root / entry.file).read_bytes()
    except OSError as error:
        raise DataError(
            f"{root / entry.file} was listed and cannot be read now: {error.strerror}. Put it "
            f"back, or take it off the list: {_AGAIN}"
        ) from error


def _read_member(root: Path, entry: Entry) -> bytes:
    try:
        state = root.stat()
        archive = _opened(root, state.st_size, state.st_mtime_ns, os.getpid())
        return archive.read(entry.file)
    except OSError as error:
        raise DataError(
            f"{root} was listed and cannot be read now: {error.strerror or error}. Put it back, or "
            f"give its new place in `datasets.nih.archive` of params.yaml. {_AGAIN}"
        ) from error
    except (KeyError, *_UNZIP_FAULTS) as error:
        raise ImageError(
            f"{entry.file} in {root} is missing or damaged: {error}. Give an intact copy in "
            f"`datasets.nih.archive` of params.yaml. {_AGAIN}"
        ) from error


@functools.lru_cache(maxsize=2)
def _opened(path: Path, size: int, modified: int, process: int) -> zipfile.ZipFile:
    """Return the zip, opened once per process: forked processes must not share a file position."""
    return zipfile.ZipFile(path)
