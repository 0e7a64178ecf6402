"""The user's own images, listed in place, not copied.

Every image is decoded once before anything is written, so that a damaged file is reported now and
not in the middle of a later stage. A name in the patient table or on a list is matched to an
image's path below the folder, or else to the one image with that file name.

Patient IDs come from the table in `patient_table` or, if that is null, from the file name by
`patient_pattern`; no other file is read. `train_val_list.txt` and `test_list.txt` in the folder
fill the manifest's `list`; an image on neither gets "".
"""

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.core.errors import DataError, ImageError
from srpipe.core.files import replacing_folder
from srpipe.core.parallel import parallel
from srpipe.core.paths import from_user
from srpipe.data.sources.manifest import (
    Entry,
    checksum,
    open_source,
    parse_lists,
    some,
    write_source,
)
from srpipe.formats.listing import image_names, list_files
from srpipe.formats.raster import SUFFIXES, SixteenBit, read_grey, read_size
from srpipe.imaging.resample import MIN_LR_SIDE
from srpipe.settings.datasets import Folder

TRAIN_VAL_LIST = "train_val_list.txt"
TEST_LIST = "test_list.txt"
_TOLD = 10


def fetch(folder: Folder, raw_dir: Path, *, scale: int, sixteen_bit: SixteenBit) -> None:
    """Check the images of the user's folder and list them in `raw_dir`.

    Args:
        folder: where the images are and where their patient IDs come from.
        raw_dir: receives `manifest.csv` and `source.json`; unchanged on an error.
        scale: HR side over LR side; an image needs sides of at least 16 * scale pixels.
        sixteen_bit: how 16-bit images become 8-bit; see `formats.raster`.

    Raises:
        DataError: the folder is missing or holds no image, or an image is unusable or has no known
            patient; one message reports all such files.
        OutputError: the manifest cannot be written.
    """
    root = from_user(folder.path)
    images = _images(root)
    patients = _patients(root, images, folder)
    lists = _lists(root, images)
    known = _known(raw_dir, root)
    checked = _check_all(root, images, known, MIN_LR_SIDE * scale, sixteen_bit)
    entries = [
        Entry(image, patients[image], lists.get(image, ""), image, size, crc32)
        for image, (size, crc32) in zip(images, checked, strict=True)
    ]
    with replacing_folder(raw_dir) as temporary:
        write_source(temporary, "folder", str(root.resolve()), entries)


def _images(root: Path) -> list[str]:
    """Return the images below the folder as sorted paths with "/", without hidden ones."""
    if not root.is_dir():
        found = "is a file" if root.exists() else "is not there"
        raise DataError(
            f"the folder of your images {found}: {root}. Give the folder in datasets.folder.path "
            "of params.yaml (relative to the repository, or absolute)."
        )
    files = list_files(root)
    images = image_names(files)
    dicom = sum(name.lower().endswith((".dcm", ".dicom")) for name in files)
    note = f" {dicom} DICOM file(s) are there, which are not read yet." if dicom else ""
    if not images:
        raise DataError(
            f"no image in {root}: {len(files)} file(s) there or below, none ending in "
            f"{', '.join(SUFFIXES)}.{note} Put images there, or change datasets.folder.path."
        )
    if note:
        console.warn(f"{root}:{note}")
    odd = [ascii(name) for name in images if not _is_text(name)]
    if odd:
        raise DataError(f"{_many(odd, 'file name(s) are not UTF-8', root)}\nRename them.")
    return images


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _patients(root: Path, images: Sequence[str], folder: Folder) -> dict[str, str]:
    if folder.patient_table is not None:
        return _patients_by_table(root, images, folder, root / folder.patient_table)
    pattern = re.compile(folder.patient_pattern)
    matches = {image: pattern.search(image.rpartition("/")[2]) for image in images}
    patients = {image: match["patient"] if match else None for image, match in matches.items()}
    known = {image: patient for image, patient in patients.items() if patient}
    missing = [image for image in images if image not in known]
    if missing:
        raise DataError(
            f"{_many(missing, 'file name(s) name no patient', root)}\n"
            f"datasets.folder.patient_pattern is {folder.patient_pattern!r}: change it, rename the "
            "files, or give a table in datasets.folder.patient_table."
        )
    return known


def _patients_by_table(
    root: Path, images: Sequence[str], folder: Folder, path: Path
) -> dict[str, str]:
    table = _read_table(path, [folder.image_column, folder.patient_column])
    pairs = table.drop_duplicates()
    two = sorted(name for name, count in Counter(pairs[folder.image_column]).items() if count > 1)
    if two:
        raise DataError(f"{_many(two, 'image(s) have two patients', path)}\nCorrect the table.")
    by_name = dict(zip(pairs[folder.image_column], pairs[folder.patient_column], strict=True))
    patients = _by_image(images, by_name, path)
    missing = [image for image in images if not patients.get(image)]
    if missing:
        raise DataError(
            f"{_many(missing, 'image(s) have no patient', path)}\n"
            f"Looked up are the columns {folder.image_column!r} and {folder.patient_column!r}. Add "
            "the rows, or take the images out of the folder."
        )
    return patients


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return the two columns as text, stripped of spaces (which would make new patients)."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(
            f"datasets.folder.patient_table cannot be read: {path}: {error}. Give a CSV file by "
            "its path below the folder, or null."
        ) from error
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise DataError(
            f"{path} has no column {' and no column '.join(map(repr, absent))}; it has "
            f"{', '.join(map(repr, table.columns))}. Set datasets.folder.image_column and "
            "patient_column."
        )
    return pd.DataFrame({column: table[column].str.strip() for column in columns})


def _lists(root: Path, images: Sequence[str]) -> dict[str, str]:
    there = [name for name in (TRAIN_VAL_LIST, TEST_LIST) if (root / name).is_file()]
    if not there:
        return {}
    if len(there) == 1:
        absent = TEST_LIST if there == [TRAIN_VAL_LIST] else TRAIN_VAL_LIST
        raise DataError(
            f"{root} has {there[0]} but no {absent}: give both (one may be empty) or neither."
        )
    train_val, test = (_read_text(root / name) for name in (TRAIN_VAL_LIST, TEST_LIST))
    by_name = parse_lists(train_val, test, where=str(root))
    lists = _by_image(images, by_name, root)
    named = set(images) | {image.rpartition("/")[2] for image in images}
    absent_images = sorted(set(by_name) - named)
    if absent_images:
        console.warn(
            f"{len(absent_images)} name(s) on the lists of {root} are no image there: "
            f"{some(absent_images)}"
        )
    return lists


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. It is text, a file name a line."
        ) from error


def _by_image(images: Sequence[str], by_name: Mapping[str, str], where: Path) -> dict[str, str]:
    """Return image -> value for the images named by path or by file name."""
    repeated = Counter(image.rpartition("/")[2] for image in images)
    found: dict[str, str] = {}
    unclear: list[str] = []
    for image in images:
        name = image.rpartition("/")[2]
        if image in by_name:
            found[image] = by_name[image]
        elif name in by_name:
            found[image] = by_name[name]
            if repeated[name] > 1:
                unclear.append(image)
    if unclear:
        raise DataError(
            f"{_many(unclear, 'image(s) share a file name with another', where)}\n"
            "There, write their paths below the folder, such as sub/name.png."
        )
    return found


def _check_all(
    root: Path,
    images: Sequence[str],
    known: Mapping[str, tuple[int, str]],
    min_side: int,
    sixteen_bit: SixteenBit,
) -> list[tuple[int, str]]:
    """Return size and CRC-32 of every image, after decoding those not yet known."""
    work = functools.partial(_check, root, min_side, sixteen_bit)
    items = [(image, known.get(image)) for image in images]
    results = list(parallel(work, items, what="checking the images"))
    problems = [result for result in results if isinstance(result, str)]
    if problems:
        raise DataError(
            f"{_many(problems, f'of {len(images)} image(s) cannot be used', root)}\n"
            "Nothing was changed. Mend them or take them away, then run the same command again."
        )
    return [result for result in results if not isinstance(result, str)]


def _known(raw_dir: Path, root: Path) -> dict[str, tuple[int, str]]:
    """Return size and CRC-32 of the images of this folder that an earlier run decoded."""
    try:
        source = open_source(raw_dir)
        entries = source.entries if source.root == root.resolve() else ()
    except DataError:  # nothing there yet, or damaged: every image is decoded
        return {}
    return {entry.image: (entry.bytes, entry.crc32) for entry in entries}


def _check(
    root: Path,
    min_side: int,
    sixteen_bit: SixteenBit,
    item: tuple[str, tuple[int, str] | None],
) -> tuple[int, str] | str:
    """Return size and CRC-32, or what is wrong with the file."""
    image, known = item
    try:
        data = (root / image).read_bytes()
        found = len(data), checksum(data)
        height, width = (
            read_size(data) if found == known else read_grey(data, image, sixteen_bit).shape
        )
    except OSError as error:
        return f"{image} cannot be read: {error.strerror}"
    except ImageError as error:
        return str(error)
    if min(height, width) < min_side:
        return (
            f"{image} is {width} x {height} pixels: allowed are sides of at least {min_side} "
            f"({MIN_LR_SIDE} times downsample.scale)"
        )
    return found


def _many(items: Sequence[str], what: str, where: Path) -> str:
    """Return a message with the count and the first ten."""
    shown = "".join(f"\n  {item}" for item in items[:_TOLD])
    rest = f"\n  and {len(items) - _TOLD} more" if len(items) > _TOLD else ""
    return f"{len(items)} {what} ({where}):{shown}{rest}"
