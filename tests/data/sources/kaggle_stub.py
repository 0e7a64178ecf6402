"""Kaggle's API on this machine, as far as a download of one data set needs it.

The real client is made to talk to it: KAGGLE_API_ENVIRONMENT=LOCALHOST before `kaggle` is imported,
and the client's private table of addresses pointed here (`CLIENT`). Private means that it may move;
`test_nih` says so in words when it does.
"""

import json
import os
import subprocess
import sys
import threading
import zlib
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
    nih.fetch(Nih(archive=None), Path("data/raw/nih"))
except SrpipeError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class KaggleStub:
    """A server for one archive; a context manager.

    Attributes:
        archive: the bytes that are served.
        status: the HTTP status of the answer to a download request, 302 when all is well.
        busy: status and headers of the next answers to download requests, if any.
        busy_transfers: the statuses of the next answers to requests for the rest of the archive.
        cut_after: the first transfer breaks off after so many bytes, when set.
        stall_after: the first transfer stops after so many bytes and stays open, when set.
        requests: "METHOD path" of what was asked, and the Range of a transfer.
    """

    def __init__(self, archive: bytes) -> None:
        """Take the bytes to serve; the server starts with the `with` block."""
        self.archive = archive
        self.status = 302
        self.busy: list[tuple[int, dict[str, str]]] = []
        self.busy_transfers: list[int] = []
        self.cut_after: int | None = None
        self.stall_after: int | None = None
        self.requests: list[str] = []
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

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

            def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def answer_json(self, status: int, value: object) -> None:
                self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

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
                    self.answer(302, Location=stub.url + FILE)

            def do_GET(self) -> None:
                span = self.headers.get("Range", "")
                stub.requests.append(f"GET {self.path} {span}".strip())
                if span and stub.busy_transfers:
                    self.answer(stub.busy_transfers.pop(0), b"<Error>not now</Error>")
                    return
                start = int(span.removeprefix("bytes=").removesuffix("-") or 0)
                body = stub.archive[start:]
                self.send_response(206 if span else 200)
                self.send_header("Content-Type", "application/zip")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", f'"{zlib.crc32(stub.archive)}"')
                self.send_header("Last-Modified", MODIFIED)
                self.end_headers()
                cut, stub.cut_after = stub.cut_after, None
                stall, stub.stall_after = stub.stall_after, None
                if stall is not None:
                    self.wfile.write(body[:stall])
                    stub._ended.wait()
                    return
                self.wfile.write(body if cut is None else body[:cut])
                # HTTP/1.0: the connection is closed now, be the body whole or cut.

        return Handler


def run_client(url: str, home: Path, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    """Do as `start_client`, and wait for its end."""
    with start_client(url, home, token) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_client(url: str, home: Path, token: str | None = TOKEN) -> "subprocess.Popen[str]":
    """Fetch the NIH data set from `url` in a process with a clean environment.

    Args:
        url: what the Kaggle client takes for Kaggle.
        home: home, cache and working directory of that process.
        token: the Kaggle token in its environment.
    """
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
        [sys.executable, "-c", CLIENT, url],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
