"""Patient IDs from a pattern or a table, and checks that they are plausible.

A split keeps patients apart only if their IDs are right. A pattern made for one data set silently
finds something else in the file names of another: implausible IDs are refused, and the message
suggests a pattern that works.
"""

import gzip
import io
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.data.facts import facts_in
from srpipe.data.sources.names import Names, decoded, normalised
from srpipe.settings.datasets import PATTERNS, Folder

# How a gzip file begins.
GZIP = b"\x1f\x8b"
# Bytes that a packed table may hold.
MOST_BYTES = 2**30
# With more images per folder than this on average, folders are not patients.
MOST_OF_A_PATIENT = 50
_MEANT = "If the IDs are right as they are, set datasets.folder.accept_patients: true."


def patients_of(root: Path, images: Sequence[str], folder: Folder) -> dict[str, str]:
    """Return the patient of every image.

    Args:
        root: the folder, for messages and for the table.
        images: paths below it.
        folder: the settings.

    Raises:
        DataError: an image has no patient or two, the table cannot be used, or the IDs look wrong.
    """
    if folder.patient_table is not None:
        path = _table_path(root, folder.patient_table)
        patients, inside = _by_table(root, images, folder, path), None
    else:
        patients, inside = _by_pattern(root, images, folder)
    # Without a table, the pattern `image` means that every image is a patient of its own.
    meant = folder.patient_table is None and folder.patient_pattern == "image"
    if not (folder.accept_patients or meant):
        _refuse_odd(images, patients, inside)
    return patients


def table_facts(root: Path, images: Sequence[str], folder: Folder) -> pd.DataFrame | None:
    """Return what the table of `patients_of` says of the images besides; None without a table.

    Raises:
        DataError: the table cannot be read.
    """
    if folder.patient_table is None:
        return None
    path = _table_path(root, folder.patient_table)
    table = _read_table(path, [folder.image_column, folder.patient_column])
    names = Names(images)
    meant = [names.find(given) for given in table[folder.image_column]]
    known = [len(found) == 1 for found in meant]
    return facts_in(table[known], [found[0] for found in meant if len(found) == 1])


def _table_path(root: Path, patient_table: str) -> Path:
    return root / Path(patient_table).expanduser()


def _by_pattern(root: Path, images: Sequence[str], folder: Folder) -> tuple[dict[str, str], bool]:
    """Return the patients, and whether all of them were found in file names, without folders."""
    pattern = re.compile(PATTERNS.get(folder.patient_pattern, folder.patient_pattern))
    # As lists name them: one patient in two Unicode forms, or with another system's slashes in file
    # names, would be several.
    matches = {image: pattern.search(normalised(image)) for image in images}
    missing = [
        image
        for image, match in matches.items()
        if match is None or not (match["patient"] or "").strip()
    ]
    if missing:
        raise DataError(
            f"{many(missing, 'path(s) name no patient', root)}\n"
            f"datasets.folder.patient_pattern is {folder.patient_pattern!r}: change it"
            f"{_suggestion(images)}, rename the files, or give a table in "
            "datasets.folder.patient_table."
        )
    found = {image: match for image, match in matches.items() if match is not None}
    inside = all(match.start("patient") > match.string.rfind("/") for match in found.values())
    return {image: match["patient"].strip() for image, match in found.items()}, inside


def _by_table(root: Path, images: Sequence[str], folder: Folder, path: Path) -> dict[str, str]:
    columns = [folder.image_column, folder.patient_column]
    table = _read_table(path, columns)[columns]
    names = Names(images)
    found: dict[str, set[str]] = defaultdict(set)
    unknown = []
    for given, patient in table.drop_duplicates().itertuples(index=False):
        meant = names.find(given)
        if len(meant) > 1:
            raise DataError(
                f"{given!r} in {path} could be {' or '.join(meant[:3])}: write paths below {root} "
                "in the table"
            )
        if meant:
            found[meant[0]].add(patient)
        else:
            unknown.append(given)
    two = sorted(image for image, patients in found.items() if len(patients) > 1)
    if two:
        raise DataError(f"{many(two, 'image(s) have two patients', path)}\nCorrect the table.")
    patients = {image: next(iter(ids)) for image, ids in found.items()}
    missing = [image for image in images if not patients.get(image)]
    if missing:
        near = f" (nearest names in the table: {Names(unknown).described(missing)})" * bool(unknown)
        raise DataError(
            f"{many(missing, 'image(s) have no patient', path)}\n"
            f"Looked up are the columns {folder.image_column!r} and {folder.patient_column!r}"
            f"{near}. Add the rows, or move the images away."
        )
    return patients


def _unpacked(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it holds more than {MOST_BYTES:,} bytes")
    return text


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return the table as text, in one form (NFC, no spaces): others make new patients.

    It must have the columns that are named.
    """
    try:
        data = path.read_bytes()
        # As MIMIC's and PadChest's tables are published.
        text = decoded(_unpacked(data) if data.startswith(GZIP) else data)
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except (OSError, EOFError, zlib.error, ValueError) as error:  # pandas' are ValueErrors
        raise DataError(
            f"datasets.folder.patient_table cannot be read: {path}: {error}. Give a CSV file (or "
            ".csv.gz) by its path below the folder, absolute or with ~, or null."
        ) from error
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise DataError(
            f"{path} has no column {' and no column '.join(map(repr, absent))}; it has "
            f"{', '.join(map(repr, table.columns))}. Set datasets.folder.image_column and "
            "patient_column."
        )
    return pd.DataFrame(
        {name: column.str.normalize("NFC").str.strip() for name, column in table.items()}
    )


def _refuse_odd(
    images: Sequence[str], patients: Mapping[str, str], in_file_name: bool | None
) -> None:
    """Refuse IDs that do not distinguish patients, or that split one patient into several.

    `in_file_name`: whether a pattern found all IDs in file names; None if a table gave them.
    """
    count = len(set(patients.values()))
    patients = {normalised(image): patient for image, patient in patients.items()}
    images = list(patients)
    if in_file_name and (name := _repeated(images, patients)):
        raise DataError(
            f"{count} patient ID(s) in {len(images)} images come from file names that repeat in "
            f"several folders, such as {name}: the folders look like the patients'. Set "
            f"datasets.folder.patient_pattern{_suggestion(images)}. {_MEANT}"
        )
    if count == 1 and len(images) > 1:
        raise DataError(
            f"all {len(images)} images are of one patient, {next(iter(patients.values()))!r}. Set "
            f"datasets.folder.patient_pattern{_suggestion(images)}. {_MEANT}"
        )
    if (
        in_file_name is not False
        and count == len(images) > 1
        and _folders_look_like_patients(images)
    ):
        raise DataError(
            f"every one of {len(images)} images is a patient of its own, in folders that look like "
            f"the patients'. Set datasets.folder.patient_pattern{_suggestion(images)}. {_MEANT}"
        )


def _repeated(images: Sequence[str], patients: Mapping[str, str]) -> str | None:
    """Return a file name that one patient has in several folders."""
    seen: dict[tuple[str, str], str] = {}
    for image in images:
        key = patients[image], image.rpartition("/")[2]
        if key in seen:
            return f"{seen[key]} and {image}"
        seen[key] = image
    return None


def _folders_look_like_patients(images: Sequence[str]) -> bool:
    """Say whether there are several folders with a few images each, like patients' or studies'."""
    folders = Counter(image.rpartition("/")[0] for image in images)
    return len(folders) >= 3 and len(images) / len(folders) <= MOST_OF_A_PATIENT


def _suggestion(images: Sequence[str]) -> str:
    """Return, in words, a named pattern that finds several patients in all images."""
    for name, pattern in PATTERNS.items():
        matches = [re.search(pattern, normalised(image)) for image in images]
        found = {match["patient"] for match in matches if match}
        if name not in ("file_name", "image") and all(matches) and len(found) >= 3:
            return f" (to {name}, for instance, which finds {len(found)} patients)"
    return r" (to '(?P<patient>[^/]+)/', for instance, where each patient has a folder)"


def many(items: Sequence[str], what: str, where: Path) -> str:
    """Return a message with the count and the first ten."""
    return f"{len(items)} {what} ({where}):{console.lines(items)}"
