"""A Dask scheduler's workers in the place of local worker processes.

They need the same packages and code, the same files under the same paths (a shared file system),
and one thread each. A worker that ends is replaced by the others, which do its items again.
"""

import contextlib
import functools
import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import srpipe
from srpipe.core import extras
from srpipe.core.errors import NotEnoughMemoryError, SchedulerError

# Seconds to wait for the scheduler, and for its first worker.
WAIT = 30
_START = (
    "Start one with `dask scheduler`, and workers with `dask worker tcp://HOST:8786 --nthreads 1 "
    "--nworkers CPUS`; or unset SRPIPE_SCHEDULER to use this machine's processes."
)

Submit = Callable[[Any], "Future[Any]"]


@contextlib.contextmanager
def opened(address: str, work: Callable[[Any], Any], what: str) -> Iterator[tuple[Submit, int]]:
    """Yield a function that gives an item to the workers, and how many workers there are.

    Args:
        address: of the scheduler, such as tcp://node0:8786.
        work: done with each item; sent to a worker once.
        what: named in messages.

    Raises:
        MissingPackageError: Dask is not installed.
        SchedulerError: no scheduler or worker answers, one is not fit for the work, or the
            scheduler ended.
        NotEnoughMemoryError: workers that did one item were ended from outside, again and again.
    """
    extras.require("dask", "SRPIPE_SCHEDULER")
    from distributed import Client, KilledWorker

    try:
        client = Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SchedulerError(
            f"SRPIPE_SCHEDULER is {address!r}: no scheduler answers there within {WAIT} seconds. "
            f"{_START}"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise SchedulerError(
                f"the scheduler {address} has no worker after {WAIT} seconds. {_START}"
            ) from error
        threads = client.nthreads()
        several = [name for name, count in threads.items() if count > 1]
        if several:
            raise SchedulerError(
                f"{len(several)} of {len(threads)} workers of {address} have several threads, such "
                f"as {several[0]}: start them with --nthreads 1, and more of them (--nworkers)"
            )
        pool = client.get_executor(pure=False)
        # A task, and not scattered data: what only a killed worker held is made again.
        sent = client.submit(_same, work, pure=False)
        do = functools.partial(_do, Path.cwd(), _code())
        try:
            yield lambda item: pool.submit(do, sent, item), len(threads)
        except KilledWorker as error:
            raise NotEnoughMemoryError(
                f"{what}: workers of {address} were ended from outside at one item, mostly because "
                "memory ran out. Start fewer workers on a machine (--nworkers) or give them more "
                "(--memory-limit), then run the same command again."
            ) from error
        except CancelledError as error:
            raise SchedulerError(
                f"{what}: the scheduler {address} ended. {_START} Then run the same command again."
            ) from error
        finally:
            pool.shutdown(wait=False)


def _do(folder: Path, code: str, work: Callable[[Any], Any], item: Any) -> Any:
    """Do the work with an item, in a worker."""
    host = socket.gethostname()
    if code != _code():
        raise SchedulerError(
            f"a worker on {host} has another version of srpipe ({srpipe.__version__} in "
            f"{Path(srpipe.__file__).parent}): give it the same, and start it again"
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise SchedulerError(
            f"a worker on {host} cannot enter {folder}: {error.strerror}. Workers need the same "
            "files under the same paths, as on a shared file system."
        ) from error
    return work(item)


def _same(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return work


@functools.cache
def _code() -> str:
    """Return a digest of srpipe's code, as it was when this process first asked."""
    root = Path(srpipe.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
