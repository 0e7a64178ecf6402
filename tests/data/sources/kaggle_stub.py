"""Kaggle's API on this machine, as far as a download of one data set needs it.

The real client is made to talk to it: KAGGLE_API_ENVIRONMENT=LOCALHOST before `kaggle` is imported,
and the client's private table of addresses pointed here (`CLIENT`). Private means that it may move;
`test_nih` says so in words when it does.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import srpipe

TOKEN = "a-token-that-the-stub-accepts"
DATASETS = "/api/v1/datasets.DatasetApiService"
INTROSPECT = "/api/v1/security.OAuthService/IntrospectToken"
FILE = "/storage/archive.zip"
MODIFIED = "Wed, 01 Feb 2023 10:00:00 GMT"

CLIENT = """
import sys
from pathlib import Path
from kagglesdk import kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = sys.argv[1]
from srpipe.core.errors import SrpipeError
from srpipe.data.sources import nih
from srpipe.settings.datasets import Nih
try:
    nih.fetch(Nih(archive=None), Path("data/raw/nih"), getattr(nih, sys.argv[2]))
except SrpipeError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""

# As `CLIENT`, for several servers one after another, each with a folder of its own; in short
# chunks, and without the waits between tries.
CLIENTS = """
import functools, json, os, sys, time
from pathlib import Path
from kagglesdk import kaggle_env
urls, chunk, silent = json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = next(iter(urls.values()))
from kaggle.api.kaggle_api_extended import KaggleApi
from srpipe.core.errors import SrpipeError
from srpipe.data.sources import kaggle_client, nih
from srpipe.settings.datasets import Nih
KaggleApi.download_file = functools.partialmethod(
    KaggleApi.download_file, chunk_size=chunk, timeout=silent
)
kaggle_client.MOST_SILENT_SECONDS = silent
time.sleep = lambda seconds: None
told = {}
for name, url in urls.items():
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = url
    os.environ["XDG_CACHE_HOME"] = name
    try:
        nih.fetch(Nih(archive=None), Path(name, "raw"))
    except SrpipeError as error:
        told[name] = f"{type(error).__name__}: {error}"
Path("told.json").write_text(json.dumps(told))
"""


def etag_and_date(archive: bytes) -> dict[str, str]:
    """Return what Kaggle sends: an ETag of the bytes, and a date."""
    return {"ETag": f'"{zlib.crc32(archive)}"', "Last_Modified": MODIFIED}


class KaggleStub:
    """A server for one archive; a context manager.

    Attributes:
        archive: the bytes that are served.
        status: the HTTP status of the answer to a download request, 302 when all is well.
        busy: status and headers of the next answers to download requests, if any.
        busy_transfers: the same of the next answers to requests for the rest of the archive.
        cuts_before: as `cuts`, of the answers before the archive's: to the token, to the request
            for a download.
        cuts: the next transfers break off after so many bytes of the archive, if any; so many
            before its first one, within the headers, where negative.
        reset: whether a connection that breaks off is reset, instead of closed.
        ignores_ranges: whether a request for the rest is answered with all.
        chunked: whether the archive comes in HTTP/1.1's chunks, without a length, as proxies send.
        identity: makes the headers by which an archive is known again. By default those that Kaggle
            sends, an ETag that changes with the bytes and a date, which here does not.
        later: what the archive is from the second transfer on, when set.
        stalls: the next transfers stop after so many bytes and stay open, if any.
        requests: "METHOD path" of what was asked, and the Range of a transfer.
    """

    def __init__(self, archive: bytes) -> None:
        """Take the bytes to serve; the server starts with the `with` block."""
        self.archive = archive
        self.status = 302
        self.busy: list[tuple[int, dict[str, str]]] = []
        self.busy_transfers: list[tuple[int, dict[str, str]]] = []
        self.cuts_before: list[int] = []
        self.cuts: list[int] = []
        self.reset = False
        self.ignores_ranges = False
        self.chunked = False
        self.identity = etag_and_date
        self.later: bytes | None = None
        self.stalls: list[int] = []
        self.requests: list[str] = []
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def url(self) -> str:
        """The address that the client is pointed to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def transfers(self) -> list[str]:
        """The requests for the archive's bytes."""
        return [request for request in self.requests if FILE in request]

    def __enter__(self) -> "KaggleStub":
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and free the port."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

            def answer(
                self, status: int, body: bytes = b"", cuts: list[int] | None = None, **headers: str
            ) -> None:
                sent = {name.replace("_", "-"): value for name, value in headers.items()}
                version = "1.0"
                if stub.chunked and "ETag" in sent:  # the archive
                    version, sent["Transfer-Encoding"] = "1.1", "chunked"
                    parts = [body[at : at + 1000] for at in range(0, len(body), 1000)]
                    body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*parts, b""))
                else:
                    sent["Content-Length"] = str(len(body))
                lines = [f"{name}: {value}\r\n" for name, value in sent.items()]
                line = f"HTTP/{version} {status} {HTTPStatus(status).phrase}\r\n"
                head = "".join((line, *lines, "\r\n")).encode()
                end = len(head) + (cuts.pop(0) if cuts else len(body))
                self.wfile.write((head + body)[: max(end, 0)])
                if stub.reset and end < len(head) + len(body):
                    now = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                # HTTP/1.0: the connection is closed now, be the body whole or cut.

            def answer_json(self, status: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.answer(status, body, stub.cuts_before, Content_Type="application/json")

            def do_POST(self) -> None:
                stub.requests.append(f"POST {self.path}")
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == INTROSPECT:
                    good = asked.get("token") == TOKEN
                    self.answer_json(200, {"active": good, "username": "tester" if good else ""})
                elif self.path != f"{DATASETS}/DownloadDataset":
                    self.answer_json(404, {"code": 404, "message": "no such method"})
                elif stub.busy:
                    status, headers = stub.busy.pop(0)
                    self.answer(status, **headers)
                elif stub.status != 302:
                    self.answer_json(stub.status, {"code": stub.status, "message": "as told"})
                else:
                    named = (asked["ownerSlug"], asked["datasetSlug"])
                    stub.requests[-1] += f" {'/'.join(named)}"
                    self.answer(302, b"", stub.cuts_before, Location=stub.url + FILE)

            def do_GET(self) -> None:
                span = self.headers.get("Range", "")
                stub.requests.append(f"GET {self.path} {span}".strip())
                if self.path != FILE:
                    self.answer(404)
                    return
                if span and stub.busy_transfers:
                    status, headers = stub.busy_transfers.pop(0)
                    self.answer(status, b"<Error>not now</Error>", **headers)
                    return
                known = stub.identity(stub.archive)
                if stub.ignores_ranges or self.headers.get("If-Range", "") not in (
                    "",
                    *known.values(),
                ):
                    span = ""
                start = int(span.removeprefix("bytes=").removesuffix("-") or 0)
                body, size = stub.archive[start:], len(stub.archive)
                stub.archive, stub.later = stub.later or stub.archive, None
                headers = {"Content_Type": "application/zip", "Accept_Ranges": "bytes", **known}
                if span:
                    headers["Content_Range"] = f"bytes {start}-{size - 1}/{size}"
                stalled = bool(stub.stalls)
                ends = stub.stalls if stalled else stub.cuts
                self.answer(206 if span else 200, body, ends, **headers)
                if stalled:
                    stub._ended.wait()

        return Handler


def run_client(
    url: str, home: Path, token: str | None = TOKEN, edition: str = "ALL"
) -> subprocess.CompletedProcess[str]:
    """Do as `start_client`, and wait for its end."""
    with start_client(url, home, token, edition) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_client(
    url: str, home: Path, token: str | None = TOKEN, edition: str = "ALL"
) -> "subprocess.Popen[str]":
    """Fetch the NIH data set from `url` in a process with a clean environment.

    Args:
        url: what the Kaggle client takes for Kaggle.
        home: home, cache and working directory of that process.
        token: the Kaggle token in its environment.
        edition: the name of the edition in `nih`.
    """
    return _start([CLIENT, url, edition], home, token)


def run_clients(
    stubs: dict[str, KaggleStub], home: Path, chunk: int, silent: float = 300
) -> dict[str, str]:
    """Fetch the NIH data set from each server, in one process, in chunks of so many bytes.

    Args:
        stubs: the servers, by the name of the folder in `home` that is the cache.
        home: home and working directory of that process.
        chunk: how many bytes the client writes at once.
        silent: for how many seconds a server may be silent.

    Returns:
        The message of each that failed.
    """
    urls = {name: stub.url for name, stub in stubs.items()}
    with _start([CLIENTS, json.dumps(urls), str(chunk), str(silent)], home, TOKEN) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    told: dict[str, str] = json.loads((home / "told.json").read_text(encoding="utf-8"))
    return told


def _start(given: list[str], home: Path, token: str | None) -> "subprocess.Popen[str]":
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(srpipe.__file__).parent.parent),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "KAGGLE_CONFIG_DIR": str(home / "kaggle"),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
    }
    if token is not None:
        environment["KAGGLE_API_TOKEN"] = token
    return subprocess.Popen(
        [sys.executable, "-c", *given],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
