"""Atomic writes: under a temporary name, then a rename, so that an error loses nothing.

What a process leaves under such a name when it is killed, the next that writes into the same folder
removes.
"""

import contextlib
import csv
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srpipe.core.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

if sys.platform != "win32":
    import fcntl

# Of temporary names. git ignores it; `_remove_abandoned` takes no other program's files.
_SUFFIX = ".srpipe.tmp"

# What spreadsheets take for the beginning of a formula.
_FORMULAS = ("=", "+", "-", "@", "\t", "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    If the block fails, the temporary file is removed and `path` is unchanged.

    Raises:
        OutputError: the file cannot be written (disk full, no permission, no such device).
    """
    with _write_faults_translated(path), _temporary(path, folder=False) as temporary:
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like `replacing`, for a folder: `path` keeps its old content until the new is complete."""
    with _write_faults_translated(path), _temporary(path, folder=True) as temporary:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        _swap(temporary, path)


@contextlib.contextmanager
def finishing_folder(path: Path, unfinished: Path) -> Iterator[None]:
    """Like `replacing_folder`, in a folder that stays if the block fails: work can go on in it."""
    with _write_faults_translated(path):
        unfinished.mkdir(parents=True, exist_ok=True)
        yield
        _swap(unfinished, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as JSON in its key order; refuse NaN and infinity, which JSON lacks.

    Raises:
        OutputError: the file cannot be written.
        ValueError: a number is not finite.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write `table` as CSV without its index, numbers with 8 significant digits.

    Text comes back as it was, whatever is in it.

    Raises:
        OutputError: the file cannot be written.
    """
    # Python quotes a text for the line ends that it writes, not for others that readers know.
    odd = any("\r" in str(value) for column in table for value in (column, *table[column]))
    with replacing(path) as temporary:
        table.to_csv(
            temporary,
            index=False,
            lineterminator="\n",
            float_format="%.8g",
            quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL,
        )


def for_spreadsheets(text: str) -> str:
    """Return text that spreadsheets show and do not compute, for tables that people open.

    What begins like a formula, as names of files may, gets an apostrophe before it, and carriage
    returns are escaped. Tables that are read again keep their texts as they are.
    """
    text = text.replace("\r", "\\r")
    return f"'{text}" if text.startswith(_FORMULAS) else text


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rounded(value: float, digits: int = 4) -> float:
    """Return `value` rounded for a metrics file; NaN and infinity raise ValueError."""
    if not math.isfinite(value):
        raise ValueError(f"a metric must be finite, got {value}")
    return round(float(value), digits)


@contextlib.contextmanager
def _write_faults_translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Only write errors are translated here; a missing *input* has its own message.
        if error.filename is not None and not _concerns(Path(os.fsdecode(error.filename)), path):
            raise
        raise _cannot_write(path, error.strerror or str(error)) from error
    except OutputError as error:
        # A file in this folder: the temporary name in its message no longer exists.
        raise _cannot_write(path, error.reason) from error


def _cannot_write(path: Path, reason: str) -> OutputError:
    return OutputError(
        f"cannot write {path}: {reason}. Free space or choose another place, then run the same "
        "command again; nothing half-written was left.",
        reason,
    )


def _concerns(named: Path, output: Path) -> bool:
    """Say whether the file of an error is beside or below the output, or a folder above it."""
    named, folder = named.absolute(), output.absolute().parent
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def _swap(new: Path, path: Path) -> None:
    """Rename `new` to `path`, moving the old folder away: a rename cannot replace a full one."""
    if not path.exists():
        os.replace(new, path)
        return
    with _temporary(path, folder=True) as aside:
        os.replace(path, aside / path.name)
        try:
            os.replace(new, path)
        except OSError:
            os.replace(aside / path.name, path)
            raise


@contextlib.contextmanager
def _temporary(path: Path, *, folder: bool) -> Iterator[Path]:
    """Yield a new file or folder beside `path`; remove it at the end, if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writing_into(path.parent.absolute()):
        names = _SUFFIX, f".{path.name}.", path.parent
        if folder:
            temporary = Path(tempfile.mkdtemp(*names))
        else:
            handle, name = tempfile.mkstemp(*names)
            os.close(handle)
            temporary = Path(name)
        try:
            yield temporary
        finally:
            _remove(temporary)


# Folders that this process has looked through: to list a large one at each write would take long.
_looked_through: set[Path] = set()


@contextlib.contextmanager
def _writing_into(folder: Path) -> Iterator[None]:
    """Share a lock on a folder; remove what killed processes left there if no other has the lock.

    The system releases a lock when its process ends, however it ends. Where there are no locks, as
    on Windows and some network file systems, nothing is removed.
    """
    with contextlib.ExitStack() as held:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                held.callback(os.close, handle)
                if folder not in _looked_through:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        for left in folder.glob(f".*{_SUFFIX}"):
                            _remove(left)
                        _looked_through.add(folder)
                fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def _remove(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush the file to disk, so that a crash after the rename cannot leave an empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
