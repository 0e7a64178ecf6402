"""A real MLflow server, to be stopped and killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A server in its own session."""

    process: "subprocess.Popen[bytes]"
    uri: str

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to all of its processes; SIGSTOP makes it accept and never answer."""
        os.killpg(self.process.pid, what)

    def kill(self) -> None:
        """End it as the kernel does."""
        self.signal(signal.SIGKILL)
        self.process.wait()


def unused() -> str:
    """Return an address where nothing listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[Server]:
    """Start a server on `mlflow.db` in a folder, made if needed; wait until it answers."""
    uri = unused()
    port = uri.rpartition(":")[2]
    command = [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", "sqlite:///mlflow.db"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(process, uri)
    try:
        _until_it_answers(server)
        yield server
    finally:
        if process.poll() is None:
            server.kill()


def _until_it_answers(server: Server) -> None:
    for _ in range(600):
        if server.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{server.uri}/health", timeout=60).close()
            return
        time.sleep(0.2)
    raise RuntimeError("the MLflow server did not start")
