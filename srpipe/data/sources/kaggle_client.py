"""A data set of Kaggle's as one zip, by Kaggle's own client: what has arrived is not lost.

The client stores whole MiB, asks for the rest where a connection breaks off, and does so in a later
process if ETag or date, and size, are those of before. It also takes answers for the archive that
are none: headers that were cut are headers to Python's http.client, and then it empties the file.
So the answers are looked at here before it gets them, and a transfer goes on for as long as more
arrives. A first answer that stalls the client would wait for without end; here it breaks off, too.
"""

import contextlib
import functools
import io
import itertools
import shutil
import sys
import time
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srpipe.core import console, paths
from srpipe.core.errors import CredentialsError, DownloadError

# How long Kaggle's Retry-After is followed, and how often.
MOST_SECONDS, MOST_WAITS = 600, 10
# How often in a row a transfer that broke off is begun again, though nothing more has arrived. The
# client itself tries five times more each time, and waits up to 32 s in between.
MOST_BREAKS = 3
# How long a server may be silent, as the client has it of requests for the rest.
MOST_SILENT_SECONDS = 300
# Every zip begins so.
ZIP = b"PK"

_WITHOUT = (
    "Without an account: `dvc exp run -S data.name=phantom` downloads nothing and needs none."
)
_GO_ON = "What has arrived is kept: run the same command again, and it goes on from there."


@dataclass(frozen=True)
class KaggleZip:
    """What is downloaded.

    Attributes:
        dataset: the data set, "owner/name".
        gigabytes: how large its zip is, about.
        setting: where params.yaml takes the path of a zip that the user has.
    """

    dataset: str
    gigabytes: int
    setting: str

    @property
    def file(self) -> str:
        """The zip's name in the user's cache."""
        return f"{self.dataset.replace('/', '-')}.zip"


def download(wanted: KaggleZip, folder: Path) -> Path:
    """Let the Kaggle client download a zip into `folder`, resuming a partial download.

    Returns:
        The zip, which is as long as Kaggle said; nothing else of it was checked.

    Raises:
        CredentialsError: Kaggle credentials are missing or refused.
        DownloadError: it could not be fetched or stored.
    """
    with explained(wanted), _impatient():
        folder.mkdir(parents=True, exist_ok=True)
        api = _signed_in(wanted)
        console.say(
            f"downloading {wanted.dataset} from Kaggle (about {wanted.gigabytes} GB) to {folder}"
        )
        # Named by the client: the data set's name, without its owner.
        arriving = folder / f"{wanted.dataset.rpartition('/')[2]}.zip"
        # It takes a part for the whole, if the archive has become smaller than this part since.
        needed = api.download_needed
        change = functools.partial(unittest.mock.patch.object, api)
        with (
            change("download_file", functools.partial(_transfer, api.download_file)),
            change(
                "download_needed",
                lambda response, outfile, *rest: (
                    Path(f"{outfile}.kaggle-partial").exists() or needed(response, outfile, *rest)
                ),
            ),
        ):
            _patiently(
                lambda: api.dataset_download_files(
                    # Its own progress bar would be thousands of lines in a log.
                    wanted.dataset,
                    path=str(folder),
                    quiet=not sys.stderr.isatty(),
                    unzip=False,
                ),
                arriving,
            )
    return arriving


def _patiently(request: Callable[[], None], arriving: Path) -> None:
    """Make a request until it is answered.

    Again after as many seconds as Kaggle asks to wait, and again where the connection broke off or
    the archive changed, as long as more has arrived.
    """
    import requests

    waits = breaks = 0
    most = _size(arriving)
    while True:
        try:
            return request()
        except (requests.HTTPError, _BusyError) as error:
            answer = error.response
            given = "" if answer is None else answer.headers.get("Retry-After", "")
            waits += 1
            wanted = int(given) if given.isdecimal() else MOST_SECONDS + 1
            if answer is None or wanted > MOST_SECONDS or waits > MOST_WAITS:
                raise requests.HTTPError(response=answer) from error
            console.say(f"Kaggle asks to wait {given} seconds (HTTP {answer.status_code})")
            time.sleep(wanted)
        except (requests.RequestException, _ChangedError) as error:
            arrived = _size(arriving)
            if arrived > most:
                breaks, most = 0, arrived
            elif breaks == MOST_BREAKS or not _broke_off(error):
                raise
            else:
                breaks += 1
            console.say(f"the transfer broke off after {arrived:,} bytes: going on")
            time.sleep(1)


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """End requests to silent servers, also those for which no time was given."""
    import requests

    send = requests.Session.send

    def timed(session: Any, request: Any, **given: Any) -> requests.Response:
        given["timeout"] = given.get("timeout") or MOST_SILENT_SECONDS
        return send(session, request, **given)

    with unittest.mock.patch.object(requests.Session, "send", timed):
        yield


class _BusyError(Exception):
    """A server asks to wait in the midst of a transfer. The client would, however long, unsaid."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.response = response


class _ChangedError(ValueError):
    """The archive is another one than at the transfer's beginning."""


def _broke_off(error: Exception) -> bool:
    """Return whether there was a connection, unlike where there is no network."""
    import requests
    import urllib3.exceptions

    cut = urllib3.exceptions.ProtocolError
    if isinstance(error, requests.ConnectionError):
        return any(isinstance(cause, cut) for cause in error.args)
    return isinstance(error, _ChangedError | requests.exceptions.ChunkedEncodingError)


def _transfer(
    download_file: Callable[..., None], response: Any, outfile: str, *rest: Any, **named: Any
) -> None:
    """Let the client transfer the file, if it comes and there is room for it.

    The client writes whatever answers a request for the rest over what has arrived, also what a
    server says that is busy or takes a link for expired. Here that is an error, which it repeats
    the request after.
    """
    import requests

    _look_at(response)
    size, there = int(response.headers.get("Content-Length", 0)), Path(outfile)
    free = shutil.disk_usage(there.parent).free
    missing = size - _size(there)
    if missing > free:
        raise DownloadError(
            f"there is no room for the download: {missing / 1e9:.3f} GB are missing, "
            f"{there.parent} has {free / 1e9:.3f} GB free. Free some, or set XDG_CACHE_HOME to "
            "another place. What has arrived is kept."
        )
    real = requests.request

    def checked(*given: Any, **more: Any) -> requests.Response:
        answer = real(*given, **more)
        if answer.headers.get("Retry-After"):
            raise _BusyError(answer)
        if answer.status_code != 416:  # the file changed, and is shorter now
            answer.raise_for_status()
            _look_at(answer)
            _refuse_another(answer, response)
        return answer

    with unittest.mock.patch.object(requests, "request", checked):
        download_file(response, outfile, *rest, **named)


def _look_at(answer: Any) -> None:
    """Refuse an answer without a body, or with one that should be a zip and is not.

    A body that has begun followed whole headers: length, ETag and date are those that were sent.
    """
    import requests

    rest = answer.iter_content
    looked = rest(len(ZIP))
    begun = next(looked, b"")
    if not begun or (answer.status_code != 206 and begun != ZIP):
        raise requests.exceptions.ChunkedEncodingError("the answer is not the archive")
    # `looked` is kept: where it ends, so does the connection, if the body comes in chunks.
    answer.iter_content = lambda size, _looked=looked: itertools.chain([begun], rest(size))


def _refuse_another(answer: Any, first: Any) -> None:
    """Refuse a later answer that is of another archive than the first."""
    size = answer.headers.get("Content-Length")
    if answer.status_code == 206:  # the length of the rest; "*" where the whole is not told
        size = answer.headers.get("Content-Range", "").rpartition("/")[2].strip("*")
    for now, name in ((size, "Content-Length"), (answer.headers.get("ETag"), "ETag")):
        before = first.headers.get(name)
        if before and now and before != now:
            raise _ChangedError("the archive changed in the transfer")


def _signed_in(wanted: KaggleZip) -> Any:
    """Return the Kaggle client, with credentials that Kaggle accepts.

    Imported here because the import alone signs in, creates a folder in the user's home and prints.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import kaggle

            kaggle.api.authenticate()
    except SystemExit as error:
        raise CredentialsError(
            f"Kaggle has no credentials, or refuses those that it found. {_how_to_sign_in(wanted)}"
        ) from error
    return kaggle.api


def _how_to_sign_in(wanted: KaggleZip) -> str:
    return (
        "Make a token at kaggle.com (Settings, API, Generate New Token), then either set it in the "
        "environment variable KAGGLE_API_TOKEN or save it as ~/.kaggle/access_token (an older "
        "kaggle.json in ~/.kaggle works too), and run the same command again. If you have the zip, "
        f"give its path in {wanted.setting} of params.yaml. {_WITHOUT}"
    )


@contextlib.contextmanager
def explained(wanted: KaggleZip) -> Iterator[None]:
    """Translate the client's exceptions into ours.

    The client's messages are left out: they contain signed, hence secret, URLs.

    Raises:
        CredentialsError: Kaggle refuses the credentials.
        DownloadError: anything else.
    """
    import requests
    import urllib3.exceptions

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise CredentialsError(
                f"Kaggle refuses the credentials (HTTP {status}). {_how_to_sign_in(wanted)}"
            ) from error
        raise DownloadError(
            f"Kaggle answered HTTP {status} for {wanted.dataset}. Try again later: {_GO_ON} If it "
            f"stays, download the zip in a browser and give its path in {wanted.setting} of "
            f"params.yaml. {_WITHOUT}"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(
            f"Kaggle cannot be reached, or the connection broke ({type(error).__name__}). Check "
            f"the network. {_GO_ON} {_WITHOUT}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"the download cannot be stored in {paths.user_cache()}: {error}. About "
            f"{wanted.gigabytes} GB are needed; XDG_CACHE_HOME names another place. {_GO_ON}"
        ) from error
    except ValueError as error:  # raised by the client if the size is not as announced
        raise DownloadError(f"the Kaggle client gave up: {error}. {_GO_ON}") from error
