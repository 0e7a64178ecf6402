"""The state of interrupted trainings, kept outside DVC's outputs.

Not with DVC's `persist`: `dvc exp run` restores the last committed outputs first, and training
would continue from a persisted file even after a change of the learning rate. Here every run has a
folder named by the fingerprint of everything that determines its result - settings, data, code - so
that the same command resumes and any other starts afresh, under `dvc repro`, `dvc exp run` and
`dvc exp run --temp` alike.
"""

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import torch

from srpipe.core import console
from srpipe.core.errors import CheckpointError, TrainingError
from srpipe.core.files import write_json
from srpipe.core.torch_file import load, save
from srpipe.data.fingerprint import code_digest as digest_of
from srpipe.data.fingerprint import fingerprint

FORMAT = "srpipe-training-1"
STATE = "state.pt"
IDENTITY = "identity.json"
NAME = "name.json"
LOCK = "lock"
FINISHED = "finished.json"
# The parts of srpipe whose code determines what training computes. tests/training/test_resume.py
# checks this against the loop's imports.
CODE = (
    "acquisition",
    "data/fingerprint.py",
    "data/packed.py",
    "imaging",
    "metrics",
    "models",
    "settings/acquisition.py",
    "settings/base.py",
    "settings/train.py",
    "training",
)


@dataclass(frozen=True)
class Store:
    """The folder of one run, locked while it is open."""

    folder: Path
    fingerprint: str

    @property
    def name(self) -> str:
        """Return a name that no other run has, not even the same one on another machine."""
        path = self.folder / NAME
        if not path.exists():
            write_json(path, {"name": f"{self.fingerprint}-{uuid.uuid4().hex[:8]}"})
        return str(json.loads(path.read_text(encoding="utf-8"))["name"])

    def exists(self) -> bool:
        """Say whether there is a state to resume from."""
        return (self.folder / STATE).exists()

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state, or None if there is none.

        Raises:
            CheckpointError: the file is damaged, or of another version of this project.
        """
        if not self.exists():
            return None
        path = self.folder / STATE
        try:
            state = load(path)
            if state.get("format") != FORMAT or state.get("fingerprint") != self.fingerprint:
                raise CheckpointError(f"{path} is the state of another run")
        except CheckpointError as error:
            raise CheckpointError(
                f"the interrupted training cannot go on: {error}. Remove {self.folder} to start "
                "anew."
            ) from error
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state; a kill at any moment leaves the old or the new one intact.

        Raises:
            OutputError: it cannot be written.
        """
        save(self.folder / STATE, {**state, "format": FORMAT, "fingerprint": self.fingerprint})

    def finish(self) -> None:
        """Mark the run as finished: its outputs are written.

        Its last state stays until another run starts: if this process is killed before DVC has
        recorded the outputs, the same command finds the training done.
        """
        write_json(self.folder / FINISHED, {})


def code_digest() -> str:
    """Return a digest of torch's version and of the code that determines what training computes."""
    return digest_of(CODE, torch.__version__)


@contextlib.contextmanager
def opened(root: Path, identity: Mapping[str, Any]) -> Iterator[Store]:
    """Open and lock the folder of the run with this identity.

    Args:
        root: the folder that holds all runs' folders.
        identity: what determines the run's result, JSON-serialisable.

    Raises:
        TrainingError: another process is training the same run.
        OutputError: the folder cannot be written.
    """
    store = Store(root / fingerprint(identity), fingerprint(identity))
    # Through write_json, so that a folder that cannot be created is reported like any output.
    if not (store.folder / IDENTITY).exists():
        write_json(store.folder / IDENTITY, identity)
    lock = filelock.FileLock(store.folder / LOCK, timeout=0)
    try:
        # The kernel releases it when the process ends, however it ends.
        lock.acquire()
    except filelock.Timeout as error:
        raise TrainingError(
            f"the same training runs already (it holds {store.folder / LOCK}): wait for it, or "
            "stop it and run this again, which goes on where it was"
        ) from error
    try:
        for torn in store.folder.glob(".*.tmp"):  # of a process killed while it wrote
            torn.unlink()
        _tidy(root, store)
        yield store
    finally:
        lock.release()


def _tidy(root: Path, store: Store) -> None:
    """Remove what finished runs left, and report what interrupted ones did."""
    others = [
        path
        for path in root.iterdir()
        if path.is_dir() and path != store.folder and not _running(path)
    ]
    for path in [path for path in others if (path / FINISHED).exists()]:
        others.remove(path)
        shutil.rmtree(path, ignore_errors=True)  # another process may do the same now
    if others:
        size = sum(_size(file) for path in others for file in path.rglob("*"))
        console.say(
            f"{len(others)} other interrupted training(s), with other settings, data or code, are "
            f"kept in {root} ({size / 1e6:.0f} MB); remove what will not be gone on with"
        )


def _running(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return False
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return False
    except filelock.Timeout:
        return True


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # of a training that began or ended just now
        return 0
