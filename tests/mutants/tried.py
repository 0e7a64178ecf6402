"""One file sent through all that reads files, in a process that may crash, hang or run out.

A file goes through `enhance.upscale.upscale_bytes`, as `srpipe upscale` does it, and through what
the page does with an upload of either kind, with a small network. An image of more than `MOST`
pixels, as real radiographs are, is only read.
"""

import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from app import work
from srpipe.core.errors import ImageError, NotEnoughMemoryError
from srpipe.enhance.upscale import Method, method, upscale_bytes
from srpipe.formats import dicom
from srpipe.formats.raster import Values, is_dicom, read_values

MOST = 2**16
IMAGE, ERROR, WRONG, TRACEBACK = "image", "clear error", "wrong image", "traceback"
CRASH, HANG, MEMORY = "crash", "hang", "memory"
BAD = (WRONG, TRACEBACK, CRASH, HANG, MEMORY)

# Of bytes, a name and a method: what came of them, and what was said.
Send = Callable[[bytes, str, Method], tuple[str, str]]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Attributes:
        what: one of the constants above.
        said: the message, or what went wrong.
        seconds: that it took of a processor; of all clocks, where it was ended.
        memory: bytes of memory that it took at most, more than before.
    """

    what: str
    said: str
    seconds: float
    memory: int = 0


class Process:
    """A worker; a file that ends it, or holds it for too long, is told, and it is started anew."""

    def __init__(self, weights: Path, seconds: float, spare: int, send: Send | None = None) -> None:
        self._given = weights, spare, send or sent
        self._seconds = seconds
        self._start()

    def _start(self) -> None:
        self._here, there = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(there, *self._given), daemon=True)
        self._process.start()
        there.close()
        self._here.recv()

    def tried(self, data: bytes, name: str) -> Outcome:
        """Send a file through all; see the module docstring."""
        self._here.send((data, name))
        began = time.monotonic()
        if not self._here.poll(self._seconds):
            self._process.kill()
            return self._again(HANG, f"more than {self._seconds} s", began)
        try:
            found: Outcome = self._here.recv()
        except EOFError:
            self._process.join()
            return self._again(CRASH, f"exit code {self._process.exitcode}", began)
        return found

    def _again(self, what: str, said: str, began: float) -> Outcome:
        took = time.monotonic() - began
        self.close()
        self._start()
        return Outcome(what, said, took)

    def close(self) -> None:
        """End it."""
        self._here.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, weights: Path, spare: int, send: Send) -> None:
    # Decoders write about damage to the terminal.
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    used = method(weights, device="cpu")
    with _limited(spare):
        connection.send(None)
        while True:
            try:
                data, name = connection.recv()
            except EOFError:
                return
            connection.send(_tried(data, name, used, send))


@contextmanager
def _limited(spare: int) -> Iterator[None]:
    """Let this process have so many bytes more of memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    former = resource.getrlimit(resource.RLIMIT_AS)
    room = pages * resource.getpagesize() + spare
    resource.setrlimit(resource.RLIMIT_AS, (room, former[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, former)


def _tried(data: bytes, name: str, used: Method, send: Send) -> Outcome:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far: forget it
    before, began = _memory("VmRSS"), time.process_time()
    try:
        what, said = send(data, name, used)
    except (MemoryError, NotEnoughMemoryError) as error:
        what, said = MEMORY, str(error)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        places = " > ".join(f"{Path(each.filename).name}:{each.lineno}" for each in frames)
        what, said = TRACEBACK, f"{error!r} in {places}"
    return Outcome(what, said, time.process_time() - began, _memory("VmHWM") - before)


def _memory(which: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"this system does not tell {which}")


def sent(data: bytes, name: str, used: Method) -> tuple[str, str]:
    """Send a file through all; return which of the constants it is, and what was said."""
    try:
        values = _read(data, name)
    except ImageError as error:
        return _error(data, name, used, str(error))
    if values.array.size > MOST:
        return IMAGE, ""
    try:
        made = upscale_bytes(data, name, used)
    except ImageError as error:
        # Too small, or a DICOM file whose attributes cannot be written again.
        return _clear(str(error), name)
    scale = used.network.scale
    shape = tuple(side * scale for side in values.array.shape)
    if made.sr.shape != shape or not np.array_equal(made.values.array, values.array):
        return WRONG, f"{values.array.shape} became {made.sr.shape}"
    if values.array.min() < values.low or values.array.max() > values.high:
        return WRONG, f"values beyond {values.low} to {values.high}"
    work.enhance(data, name, used).encode()
    try:
        work.compare(data, name, used)
    except ImageError as error:
        # Of fewer pixels than can be made smaller.
        if min(values.array.shape) >= 16 * scale:
            return WRONG, str(error)
    return IMAGE, ""


def _read(data: bytes, name: str) -> Values:
    if not is_dicom(data, name):
        return read_values(data, name)
    dicom.other_kind(data[: dicom.START])  # as of a file in a folder
    return dicom.read(data, name).values


def _error(data: bytes, name: str, used: Method, said: str) -> tuple[str, str]:
    """Say whether the message is clear, and the page says the same or that there are too many."""
    for shown in (work.enhance, work.compare):
        try:
            shown(data, name, used)
        except ImageError as error:
            if str(error) != said and "too many pixels" not in str(error):
                return WRONG, f"{said} But the page: {error}"
        else:
            return WRONG, f"the page shows what is refused: {said}"
    return _clear(said, name)


def _clear(said: str, name: str) -> tuple[str, str]:
    """Say whether a message is a sentence or two about the file."""
    clear = (
        said.startswith(name) and "\n" not in said and len(said) < 1000 and "object at" not in said
    )
    return (ERROR if clear else WRONG), said
