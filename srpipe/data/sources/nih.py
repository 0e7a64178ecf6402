"""NIH ChestX-ray14 (Wang et al., CVPR 2017) as one zip of Kaggle's, never unpacked.

Two editions: all of it, about 42 GB, and Kaggle's sample of 5,606 images, about 4 GB. The zip is
the user's (`datasets.nih.archive`) or is downloaded once by the `kaggle` client into the user's
cache, shared by all clones. Image sizes and checksums come from the zip's directory, so listing
112,120 images takes seconds and reads no image.

In the zip of all: `images_001/images/*.png` .. `images_012/images/`, `Data_Entry_2017.csv` (the
patients), `train_val_list.txt` and `test_list.txt`. In the sample's: `sample/images/*.png` and the
same again in `sample/sample/images/`, `sample_labels.csv`, and no lists. Table, images and lists,
if there are any, must name the same files.
"""

import csv
import io
import os
import re
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from srpipe.core import console, paths
from srpipe.core.console import progress
from srpipe.core.errors import DataError, DownloadError
from srpipe.core.files import replacing_folder
from srpipe.data.facts import facts_in
from srpipe.data.sources.kaggle_client import KaggleZip, download, explained
from srpipe.data.sources.manifest import Entry, parse_lists, place_of, some, write_source
from srpipe.settings.datasets import Nih

# Bytes of a member, unpacked: images of a megapixel, and texts of 112,120 rows, have far less.
MOST_IMAGE_BYTES, MOST_BYTES = 64 * 2**20, 256 * 2**20
IMAGE_COLUMN = "Image Index"
PATIENT_COLUMN = "Patient ID"


@dataclass(frozen=True)
class Edition:
    """One of the zips.

    Attributes:
        zip: where it comes from.
        table: the member that names the patients.
        lists: the members that are the train_val list and the test list, or none.
        images: where in it the images are, for messages.
        image: the name of a member that is an image; its one group is the image's own name.
        unpacked: a folder that holds each image once, if the zip is unpacked.
    """

    zip: KaggleZip
    table: str
    lists: tuple[str, ...]
    images: str
    image: re.Pattern[str]
    unpacked: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The members that are not images and are read."""
        return (self.table, *self.lists)


ALL = Edition(
    KaggleZip("nih-chest-xrays/data", 42, "datasets.nih.archive"),
    "Data_Entry_2017.csv",
    ("train_val_list.txt", "test_list.txt"),
    "images_*/images/*.png",
    re.compile(r"images_\d+/images/([^/]+\.png)"),
    "",
)
SAMPLE = Edition(
    KaggleZip("nih-chest-xrays/sample", 4, "datasets.nih_sample.archive"),
    "sample_labels.csv",
    (),
    "sample/images/*.png",
    re.compile(r"(?:sample/)*images/([^/]+\.png)"),
    "sample/images",
)


def fetch(nih: Nih, raw_dir: Path, edition: Edition = ALL) -> None:
    """List the images of the NIH's zip in `raw_dir`, after downloading the zip if needed.

    Args:
        nih: `archive` is the path of the zip, or null to download it into the user's cache.
        raw_dir: receives `manifest.csv` and `source.json`; unchanged on an error.
        edition: all of the images, or the sample.

    Raises:
        CredentialsError: Kaggle credentials are missing or refused.
        DownloadError: the zip is missing, could not be fetched, is damaged or is a different one.
        OutputError: the manifest cannot be written.
    """
    archive = _cached(edition) if nih.archive is None else paths.from_user(nih.archive)
    if archive.is_dir():
        raise DownloadError(_unpacked(archive, edition))
    entries, facts = _list(archive, edition)
    with replacing_folder(raw_dir) as temporary:
        write_source(temporary, "zip", place_of(archive), entries, facts=facts)


def _cached(edition: Edition) -> Path:
    """Return the zip in the user's cache, after downloading and checking it if it is missing.

    It gets its final name only then: a partial download is in a separate folder.
    """
    archive = paths.user_cache() / edition.zip.file
    if archive.exists():
        console.say(f"the archive is already there: {archive}")
        return archive
    arrived = download(edition.zip, archive.with_name(f"{archive.name}.arriving"))
    console.say(f"checking {arrived}")
    _list(arrived, edition, whole=True)
    with explained(edition.zip):
        os.replace(arrived, archive)
    return archive


def _unpacked(archive: Path, edition: Edition) -> str:
    """Return what to do with a folder that the zip was unpacked into."""
    images = archive / edition.unpacked
    return (
        f"{edition.zip.setting} is a folder: {archive}. It takes the zip; an unpacked one is a "
        f'data set of its own: `dvc exp run -S data.name=folder -S "datasets.folder.path='
        f"'{images if images.is_dir() else archive}'\" -S datasets.folder.patient_pattern=nih`"
        f"{', which follows its lists, too' if edition.lists else ''}."
    )


def _list(
    archive: Path, edition: Edition, *, whole: bool = False
) -> tuple[list[Entry], pd.DataFrame]:
    """Return the manifest's rows and what the table says, after checking the zip.

    Args:
        archive: the zip.
        edition: which it should be.
        whole: read every member, which compares it with its checksum.
    """
    ours = archive.is_relative_to(paths.user_cache())
    instead = f"move {archive} away to download it again" if ours else "null to download one"
    mend = f"Give an intact copy in {edition.zip.setting} of params.yaml, or {instead}."
    try:
        with zipfile.ZipFile(archive) as opened:
            images, texts = _members(opened, archive, edition)
            table, *lists = (opened.read(text).decode("utf-8-sig") for text in texts)
            members = opened.infolist() if whole else []
            for member in progress(members, what="check", total=len(members), unit="file"):
                with opened.open(member) as stream:
                    while stream.read(2**20):
                        pass
    except FileNotFoundError as error:
        raise DownloadError(
            f"there is no {archive}: give the path of the NIH's zip in {edition.zip.setting} of "
            "params.yaml, or null to download it."
        ) from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DownloadError(f"{archive} cannot be read as a zip: {error}. {mend}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive} is packed in a way not read: {error}. {mend}") from error
    where = f"{edition.table} in {archive}"
    rows = _rows(table, where)
    patients = _patients(rows, where)
    try:
        listed = parse_lists(lists[0], lists[1], where=str(archive)) if lists else {}
    except DataError as error:
        raise DownloadError(str(error)) from error
    named = {"images": set(images), edition.table: set(patients)}
    if lists:
        named["the two lists"] = set(listed)
    _refuse_disagreement(archive, named, mend)
    entries = [
        Entry(
            image=name,
            patient=patients[name],
            list=listed.get(name, ""),
            file=member.filename,
            bytes=member.file_size,
            crc32=f"{member.CRC:08x}",
        )
        for name, member in images.items()
    ]
    return entries, facts_in(rows, rows[IMAGE_COLUMN].tolist())


def _members(
    opened: zipfile.ZipFile, archive: Path, edition: Edition
) -> tuple[dict[str, zipfile.ZipInfo], list[zipfile.ZipInfo]]:
    """Return the image members by file name, and the texts; the zip must contain everything needed.

    An image that is there several times, with the same bytes, is one.
    """
    members = sorted(opened.infolist(), key=lambda member: len(member.filename))
    other = f"it is not the zip of Kaggle's {edition.zip.dataset}. Give that one in "
    other += f"{edition.zip.setting} of params.yaml, or null to download it."
    found: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    for member in members:
        if match := edition.image.fullmatch(member.filename):
            found[match[1]].append(member)
    images = {name: same[0] for name, same in found.items()}
    names = {member.filename for member in members}
    missing = [name for name in edition.texts if name not in names]
    if not images:
        missing.append(edition.images)
    if missing:
        raise DownloadError(
            f"{archive} has no {', no '.join(missing)} among its {len(members)} members: {other}"
        )
    twice = [
        name for name, same in found.items() if len({(one.CRC, one.file_size) for one in same}) > 1
    ]
    if twice:
        raise DownloadError(
            f"{archive} has {len(twice)} image(s) twice, which differ: {some(sorted(twice))}."
        )
    texts = [opened.getinfo(name) for name in edition.texts]
    large = [member for member in images.values() if member.file_size > MOST_IMAGE_BYTES]
    large += [text for text in texts if text.file_size > MOST_BYTES]
    if large:
        raise DownloadError(
            f"{archive} has {len(large)} member(s) that are too large unpacked, such as "
            f"{large[0].filename} with {large[0].file_size:,} bytes: {other}"
        )
    return images, texts


def _rows(table: str, where: str) -> pd.DataFrame:
    """Return the table as text; a row may end in a comma that the header lacks."""
    rows = csv.DictReader(io.StringIO(table, newline=""))
    columns = list(dict.fromkeys(rows.fieldnames or []))
    absent = [column for column in (IMAGE_COLUMN, PATIENT_COLUMN) if column not in columns]
    if absent:
        raise DownloadError(
            f"{where} has no column {absent[0]!r}; it has {columns}. It is another "
            "edition of the data set, which is not read."
        )
    return pd.DataFrame(list(rows), columns=columns)


def _patients(rows: pd.DataFrame, where: str) -> dict[str, str]:
    """Return file name -> patient ID, as in the table."""
    pairs = set(zip(rows[IMAGE_COLUMN], rows[PATIENT_COLUMN], strict=True))
    patients = dict(pairs)
    if len(patients) != len(pairs) or not all(patients.values()):
        raise DownloadError(f"{where} has images of no patient, or of more than one.")
    return patients


def _refuse_disagreement(archive: Path, named: dict[str, set[str]], mend: str) -> None:
    every = set().union(*named.values())
    missing = {where: sorted(every - names) for where, names in named.items()}
    if any(missing.values()):
        told = "; ".join(
            f"{where}: {len(named[where])}"
            + (f", missing {len(names)} ({some(names)})" if names else "")
            for where, names in missing.items()
        )
        raise DownloadError(f"the parts of {archive} do not agree. {told}. {mend}")
