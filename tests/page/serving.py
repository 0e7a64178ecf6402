"""A server of the page and a browser, for tests."""

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Bytes: whoever writes a file of more, such as an upload or a result, fails.
LARGEST_FILE = 65536
_SECONDS = 120


def _write_little() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Yield the address of the page, whose server cannot write files of any size."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://localhost:{port}"
    command = ["-m", "streamlit", "run", "app/page.py", f"--server.port={port}"]
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home), "SRPIPE_DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_write_little,
    )
    try:
        _wait(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=_SECONDS)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS):
                return
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise RuntimeError(f"no page: {process.communicate()[0].decode()}") from None
            time.sleep(0.2)
