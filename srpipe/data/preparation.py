"""Packing that goes on where it was interrupted.

The arrays grow in a hidden folder beside the output, which DVC does not know and so does not remove
before it runs the stage again. A line a finished image says what was found, with the checksums of
its bytes: what does not agree, torn by a kill or by a full disk, is made anew. The folder is of one
identity (settings, images, code); another one starts afresh. When all is packed it gets the
output's name.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import PIL
import scipy

from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import finishing_folder, write_json
from srpipe.data import likeness
from srpipe.data.fingerprint import code_digest, fingerprint
from srpipe.data.packed import Pair, Writer
from srpipe.data.pairs import Notes
from srpipe.data.sources.manifest import Entry, checksum

# Parts of srpipe whose code decides what an image becomes, and a few more.
CODE = ("acquisition", "data", "formats", "imaging")
IDENTITY = "identity.json"
DONE = "done.jsonl"
LOCK = "lock"

# What became of an image: what there is to report of its pair, or why there is none.
Found = Notes | str


@dataclass(frozen=True)
class Preparation:
    """Packing that is under way.

    Attributes:
        writer: of the growing arrays.
        done: what became of the first images, which are finished.
    """

    writer: Writer
    done: Sequence[Found]
    log: BufferedRandom

    def results(
        self,
        entries: Sequence[Entry],
        make: Callable[[Sequence[Entry]], Iterator[tuple[Pair, Notes] | str]],
    ) -> Iterator[Found]:
        """Yield what becomes of each image in order, and pack it, if it was not finished before.

        Args:
            entries: all images.
            make: makes the pairs of those that are left, as `pairs.tried_pair` does.
        """
        yield from self.done
        for made in make(entries[len(self.done) :]):
            if isinstance(made, str):
                self._tell({"excluded": made})
                yield made
                continue
            pair, notes = made
            sizes, checks = self.writer.add(pair, likeness.describe(pair.hr))
            row = self.writer.rows[-1]
            self._tell({"row": row, "sizes": sizes, "checks": checks, "notes": asdict(notes)})
            yield notes

    def _tell(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line).encode()
        self.log.write(checksum(text).encode() + b" " + text + b"\n")
        self.log.flush()


@contextlib.contextmanager
def opened(folder: Path, identity: Mapping[str, Any], total: int) -> Iterator[Preparation]:
    """Go on with the packing of this identity; if the block succeeds, `folder` is what it packed.

    The writer's `finish` belongs into the block. If the block fails, what is finished stays for the
    next time.

    Args:
        folder: of the packed images.
        identity: what determines them besides code, JSON-serialisable.
        total: number of images, for a message.

    Raises:
        OutputError: the folder cannot be written.
        DataError: another process does the same now.
    """
    place = folder.with_name(f".{folder.name}.unfinished.tmp")
    versions = (np.__version__, PIL.__version__, scipy.__version__)
    ours = {"fingerprint": fingerprint({**identity, "code": code_digest(CODE, *versions)})}
    with finishing_folder(folder, place / folder.name), _locked(place / LOCK):
        try:
            if _read(place / IDENTITY) != ours:
                (place / DONE).unlink(missing_ok=True)
                write_json(place / IDENTITY, ours)
            for torn in (place / folder.name).glob(".*.tmp"):
                torn.unlink()
            (place / DONE).touch()
            with Writer(place / folder.name) as writer, (place / DONE).open("r+b") as log:
                done = _kept(writer, log)
                if done:
                    console.say(f"going on with an interrupted run: {len(done)} of {total} done")
                yield Preparation(writer, done, log)
        except BaseException:
            if not (place / DONE).exists() or not (place / DONE).stat().st_size:
                shutil.rmtree(place)  # there is nothing to go on with
            raise
    shutil.rmtree(place)


def _kept(writer: Writer, log: BufferedRandom) -> list[Found]:
    """Return what became of the images that are finished, and cut off what is not."""
    done: list[Found] = []
    end = 0
    for line in log:
        check, _, text = line.partition(b" ")
        if not line.endswith(b"\n") or checksum(text[:-1]).encode() != check:
            break
        told = json.loads(text)
        if "excluded" in told:
            done.append(str(told["excluded"]))
        elif writer.keep(told["row"], told["sizes"], told["checks"]):
            done.append(Notes(**told["notes"]))
        else:
            break
        end += len(line)
    log.seek(end)
    log.truncate()
    writer.cut()
    return done


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, which the kernel releases when this process ends, however it ends."""
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise DataError(
            f"the same images are packed already (by a process that holds {path}): wait for it, or "
            "stop it and run this again, which goes on where it was"
        ) from error
    try:
        yield
    finally:
        lock.release()
