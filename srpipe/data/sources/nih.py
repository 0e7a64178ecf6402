"""NIH ChestX-ray14 (Wang et al., CVPR 2017) as Kaggle's one zip, about 42 GB, never unpacked.

The zip is the user's (`datasets.nih.archive`) or is downloaded once by the `kaggle` client into the
user's cache, shared by all clones. Image sizes and checksums come from the zip's directory, so
listing 112,120 images takes seconds and reads no image.

In the zip: `images_001/images/*.png` .. `images_012/images/`, `Data_Entry_2017.csv` (the patients),
`train_val_list.txt` and `test_list.txt`; the table, the lists and the images must name the same
files.
"""

import contextlib
import csv
import functools
import io
import os
import re
import shutil
import sys
import time
import unittest.mock
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe.core import console, paths
from srpipe.core.console import progress
from srpipe.core.errors import CredentialsError, DataError, DownloadError
from srpipe.core.files import replacing_folder
from srpipe.data.facts import facts_in
from srpipe.data.sources.manifest import Entry, parse_lists, place_of, some, write_source
from srpipe.settings.datasets import Nih

DATASET = "nih-chest-xrays/data"
ARCHIVE = "nih-chest-xrays-data.zip"
TABLE = "Data_Entry_2017.csv"
TRAIN_VAL_LIST = "train_val_list.txt"
TEST_LIST = "test_list.txt"
TEXTS = (TABLE, TRAIN_VAL_LIST, TEST_LIST)
# Bytes of a member, unpacked: images of a megapixel, and texts of 112,120 rows, have far less.
MOST_IMAGE_BYTES, MOST_BYTES = 64 * 2**20, 256 * 2**20
# How long Kaggle's Retry-After is followed, and how often.
MOST_SECONDS, MOST_WAITS = 600, 10
IMAGE_COLUMN = "Image Index"
PATIENT_COLUMN = "Patient ID"
_IMAGE = re.compile(r"images_\d+/images/([^/]+\.png)")

_WITHOUT = (
    "Without an account: `dvc exp run -S data.name=phantom` downloads nothing and needs none."
)
_HOW_TO_SIGN_IN = (
    "Make a token at kaggle.com (Settings, API, Generate New Token), then either set it in the "
    "environment variable KAGGLE_API_TOKEN or save it as ~/.kaggle/access_token (an older "
    "kaggle.json in ~/.kaggle works too), and run the same command again. If you have the zip, "
    f"give its path in datasets.nih.archive of params.yaml. {_WITHOUT}"
)
_GO_ON = "What has arrived is kept: run the same command again, and it goes on from there."


def fetch(nih: Nih, raw_dir: Path) -> None:
    """List the images of the NIH's zip in `raw_dir`, after downloading the zip if needed.

    Args:
        nih: `archive` is the path of the zip, or null to download it into the user's cache.
        raw_dir: receives `manifest.csv` and `source.json`; unchanged on an error.

    Raises:
        CredentialsError: Kaggle credentials are missing or refused.
        DownloadError: the zip is missing, could not be fetched, is damaged or is a different one.
        OutputError: the manifest cannot be written.
    """
    archive = _cached() if nih.archive is None else paths.from_user(nih.archive)
    if archive.is_dir():
        raise DownloadError(
            f"datasets.nih.archive is a folder: {archive}. It takes the zip; an unpacked one is a "
            f'data set of its own: `dvc exp run -S data.name=folder -S "datasets.folder.path='
            f"'{archive}'\" -S datasets.folder.patient_pattern=nih`, which follows its lists, too."
        )
    entries, facts = _list(archive)
    with replacing_folder(raw_dir) as temporary:
        write_source(temporary, "zip", place_of(archive), entries, facts=facts)


def _cached() -> Path:
    """Return the zip in the user's cache, after downloading and checking it if it is missing.

    It gets its final name only then: a partial download is in a separate folder.
    """
    archive = paths.user_cache() / ARCHIVE
    if archive.exists():
        console.say(f"the archive is already there: {archive}")
        return archive
    arriving = paths.user_cache() / f"{ARCHIVE}.arriving"
    arrived = _download(arriving)
    console.say(f"checking {arrived}")
    _list(arrived, whole=True)
    with _explained():
        os.replace(arrived, archive)
    return archive


def _download(folder: Path) -> Path:
    """Let the Kaggle client download the zip into `folder`, resuming a partial download."""
    with _explained():
        folder.mkdir(parents=True, exist_ok=True)
        api = _signed_in()
        console.say(f"downloading {DATASET} from Kaggle (about 42 GB) to {folder}")
        api.download_file = functools.partial(_transfer, api.download_file)
        # It takes a part for the whole, if the archive has become smaller than this part since.
        needed = api.download_needed
        api.download_needed = lambda response, outfile, *rest: (
            Path(f"{outfile}.kaggle-partial").exists() or needed(response, outfile, *rest)
        )
        _patiently(
            lambda: api.dataset_download_files(
                # The client draws its own progress bar; in a log it would be thousands of lines.
                DATASET,
                path=str(folder),
                quiet=not sys.stderr.isatty(),
                unzip=False,
            )
        )
    return folder / "data.zip"  # named by the client: the data set's name, without its owner


def _patiently(request: Callable[[], None]) -> None:
    """Make a request, and again after as many seconds as Kaggle asks to wait."""
    import requests

    for _ in range(MOST_WAITS):
        try:
            return request()
        except requests.HTTPError as error:
            answer = error.response
            given = "" if answer is None else answer.headers.get("Retry-After", "")
            if answer is None or not given.isdecimal() or int(given) > MOST_SECONDS:
                raise
            console.say(f"Kaggle asks to wait {given} seconds (HTTP {answer.status_code})")
            time.sleep(int(given))
    return request()


def _transfer(
    download: Callable[..., None], response: Any, outfile: str, *rest: Any, **named: Any
) -> None:
    """Let the client transfer the file, if there is room for it.

    The client writes whatever answers a request for the rest over what has arrived, also what a
    server says that is busy or takes a link for expired. Here that is an error, which it repeats
    the request after.
    """
    import requests

    size, there = int(response.headers.get("Content-Length", 0)), Path(outfile)
    free = shutil.disk_usage(there.parent).free
    missing = size - (there.stat().st_size if there.exists() else 0)
    if missing > free:
        raise DownloadError(
            f"there is no room for the download: {missing / 1e9:.3f} GB are missing, "
            f"{there.parent} has {free / 1e9:.3f} GB free. Free some, or set XDG_CACHE_HOME to "
            "another place. What has arrived is kept."
        )
    real = requests.request

    def checked(*given: Any, **more: Any) -> requests.Response:
        answer = real(*given, **more)
        if answer.status_code != 416:  # the file changed, and is shorter now
            answer.raise_for_status()
        return answer

    with unittest.mock.patch.object(requests, "request", checked):
        download(response, outfile, *rest, **named)


def _signed_in() -> Any:
    """Return the Kaggle client, with credentials that Kaggle accepts.

    Imported here because the import alone signs in, creates a folder in the user's home and prints.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import kaggle

            kaggle.api.authenticate()
    except SystemExit as error:
        raise CredentialsError(
            f"Kaggle has no credentials, or refuses those that it found. {_HOW_TO_SIGN_IN}"
        ) from error
    return kaggle.api


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Translate the client's exceptions into ours.

    The client's messages are left out: they contain signed, hence secret, URLs.
    """
    import requests
    import urllib3.exceptions

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise CredentialsError(
                f"Kaggle refuses the credentials (HTTP {status}). {_HOW_TO_SIGN_IN}"
            ) from error
        raise DownloadError(
            f"Kaggle answered HTTP {status} for {DATASET}. Try again later: {_GO_ON} If it stays, "
            "download the zip in a browser and give its path in datasets.nih.archive of "
            f"params.yaml. {_WITHOUT}"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(
            f"Kaggle cannot be reached, or the connection broke ({type(error).__name__}). Check "
            f"the network. {_GO_ON} {_WITHOUT}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"the download cannot be stored in {paths.user_cache()}: {error}. "
            f"About 42 GB are needed; XDG_CACHE_HOME names another place. {_GO_ON}"
        ) from error
    except ValueError as error:  # raised by the client if the size is not as announced
        raise DownloadError(f"the Kaggle client gave up: {error}. {_GO_ON}") from error


def _list(archive: Path, *, whole: bool = False) -> tuple[list[Entry], pd.DataFrame]:
    """Return the manifest's rows and what the table says, after checking the zip.

    Args:
        archive: the zip.
        whole: read every member, which compares it with its checksum.
    """
    ours = archive.is_relative_to(paths.user_cache())
    download = f"move {archive} away to download it again" if ours else "null to download one"
    mend = f"Give an intact copy in datasets.nih.archive of params.yaml, or {download}."
    try:
        with zipfile.ZipFile(archive) as opened:
            images = _images(opened, archive)
            table, train_val, test = (opened.read(name).decode("utf-8-sig") for name in TEXTS)
            members = opened.infolist() if whole else []
            for member in progress(members, what="check", total=len(members), unit="file"):
                with opened.open(member) as stream:
                    while stream.read(2**20):
                        pass
    except FileNotFoundError as error:
        raise DownloadError(
            f"there is no {archive}: give the path of the NIH's zip in datasets.nih.archive of "
            "params.yaml, or null to download it."
        ) from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise DownloadError(f"{archive} cannot be read as a zip: {error}. {mend}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive} is packed in a way not read: {error}. {mend}") from error
    rows = _rows(table, archive)
    patients = _patients(rows, archive)
    try:
        lists = parse_lists(train_val, test, where=str(archive))
    except DataError as error:
        raise DownloadError(str(error)) from error
    _refuse_disagreement(archive, set(images), set(patients), set(lists), mend)
    entries = [
        Entry(
            image=name,
            patient=patients[name],
            list=lists[name],
            file=member.filename,
            bytes=member.file_size,
            crc32=f"{member.CRC:08x}",
        )
        for name, member in images.items()
    ]
    return entries, facts_in(rows, rows[IMAGE_COLUMN].tolist())


def _images(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the image members by file name; the zip must contain everything needed."""
    members = opened.infolist()
    images = [
        (match[1], member) for member in members if (match := _IMAGE.fullmatch(member.filename))
    ]
    names = {member.filename for member in members}
    missing = [name for name in TEXTS if name not in names]
    if not images:
        missing.append("images_*/images/*.png")
    if missing:
        raise DownloadError(
            f"{archive} has no {', no '.join(missing)} among its {len(members)} members: it is not "
            f"the zip of Kaggle's {DATASET}. Give that one in datasets.nih.archive of params.yaml, "
            "or null to download it."
        )
    twice = sorted(i for i, count in Counter(name for name, _ in images).items() if count > 1)
    if twice:
        raise DownloadError(f"{archive} has {len(twice)} image(s) twice: {some(twice)}.")
    large = [member for _, member in images if member.file_size > MOST_IMAGE_BYTES]
    large += [opened.getinfo(name) for name in TEXTS if opened.getinfo(name).file_size > MOST_BYTES]
    if large:
        raise DownloadError(
            f"{archive} has {len(large)} member(s) that are too large unpacked, such as "
            f"{large[0].filename} with {large[0].file_size:,} bytes: it is not the zip of Kaggle's "
            f"{DATASET}. Give that one in datasets.nih.archive of params.yaml, or null to download "
            "it."
        )
    return dict(images)


def _rows(table: str, archive: Path) -> pd.DataFrame:
    """Return the table as text; a row may end in a comma that the header lacks."""
    rows = csv.DictReader(io.StringIO(table, newline=""))
    columns = list(dict.fromkeys(rows.fieldnames or []))
    absent = [column for column in (IMAGE_COLUMN, PATIENT_COLUMN) if column not in columns]
    if absent:
        raise DownloadError(
            f"{TABLE} in {archive} has no column {absent[0]!r}; it has {columns}. It is another "
            "edition of the data set, which is not read."
        )
    return pd.DataFrame(list(rows), columns=columns)


def _patients(rows: pd.DataFrame, archive: Path) -> dict[str, str]:
    """Return file name -> patient ID, as in the table."""
    pairs = set(zip(rows[IMAGE_COLUMN], rows[PATIENT_COLUMN], strict=True))
    patients = dict(pairs)
    if len(patients) != len(pairs) or not all(patients.values()):
        raise DownloadError(f"{TABLE} in {archive} has images of no patient, or of more than one.")
    return patients


def _refuse_disagreement(
    archive: Path, images: set[str], table: set[str], lists: set[str], mend: str
) -> None:
    counts = {"images": images, TABLE: table, "the two lists": lists}
    every = images | table | lists
    missing = {where: sorted(every - names) for where, names in counts.items()}
    if any(missing.values()):
        told = "; ".join(
            f"{where}: {len(counts[where])}"
            + (f", missing {len(names)} ({some(names)})" if names else "")
            for where, names in missing.items()
        )
        raise DownloadError(f"the parts of {archive} do not agree. {told}. {mend}")
