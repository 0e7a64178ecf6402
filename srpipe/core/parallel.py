"""Processing many items in worker processes, in order, with progress.

They are this machine's, and end with the process that started them, however it ends; or those of a
Dask scheduler, which SRPIPE_SCHEDULER names (`core.cluster`).
"""

import functools
import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from srpipe.core import cluster, environment
from srpipe.core.console import progress
from srpipe.core.errors import NotEnoughMemoryError

T = TypeVar("T")
R = TypeVar("R")


# Items in flight per worker process: enough to keep it busy, few enough to save memory.
AHEAD = 8


def parallel(
    work: Callable[[T], R], items: Sequence[T], *, what: str, unit: str = "image"
) -> Iterator[R]:
    """Yield `work(item)` for each item in order, computed by worker processes, with progress.

    `work` must be a module-level function or a `functools.partial` of one; each worker gets it
    once, so what it holds, such as a generator's weights, may be large. Results come in the
    order of `items` whatever the number of workers, so outputs do not depend on the machine. An
    exception in a worker is raised here and stops the rest.

    Raises:
        NotEnoughMemoryError: a worker process was ended from outside, as systems do that run out of
            memory.
        SettingsError: SRPIPE_WORKERS or SRPIPE_SCHEDULER has a value that is not allowed.
        SchedulerError: the scheduler that SRPIPE_SCHEDULER names cannot be used.
        MissingPackageError: it names one, and Dask is not installed.
    """
    return parallel_as_made(work, items, total=len(items), what=what, unit=unit)


def parallel_as_made(
    work: Callable[[T], R], items: Iterable[T], *, total: int, what: str, unit: str = "image"
) -> Iterator[R]:
    """Do as `parallel` does, with `total` items that are made here, as the workers need them.

    For work whose first part belongs in this process, such as a GPU's. An exception from `items` is
    raised here too.

    Raises:
        SrpipeError: as for `parallel`.
    """
    address = environment.scheduler()
    if address is not None and total > 1:
        with cluster.opened(address, work, what) as (submit, workers):
            results = _in_order(submit, items, ahead=workers * AHEAD)
            yield from progress(results, what=what, total=total, unit=unit)
        return
    count = min(environment.workers(), total)
    if count <= 1:
        yield from progress(map(work, items), what=what, total=total, unit=unit)
        return
    # "spawn" would import everything again in each worker; "fork" copies locks held by threads. The
    # fork server forks from a clean process, and exists on every Unix.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    # Pickled once, and plainly: for a pool's tasks torch would open a file for each weight.
    begin = functools.partial(_begin, pickle.dumps(work))
    with ProcessPoolExecutor(count, mp_context=context, initializer=begin) as pool:
        try:
            results = _in_order(lambda item: pool.submit(_do, item), items, ahead=count * AHEAD)
            yield from progress(results, what=what, total=total, unit=unit)
        except BrokenProcessPool as error:
            raise NotEnoughMemoryError(
                f"{what}: one of {count} worker processes was ended from outside, mostly because "
                f"memory ran out. Set SRPIPE_WORKERS to less than {count}, or close other "
                "programs, then run the same command again."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _in_order(submit: "Callable[[T], Future[R]]", items: Iterable[T], *, ahead: int) -> Iterator[R]:
    """Yield results in order, with at most `ahead` items in flight: results do not pile up."""
    under_way: deque[Future[R]] = deque()
    for item in items:
        under_way.append(submit(item))
        if len(under_way) >= ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


# What a worker does, as it was sent.
_sent = b""


def _begin(work: bytes) -> None:
    """Prepare a worker process for `_do`, and let it end with its parent."""
    global _sent
    _sent = work
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that is killed says nothing, and a worker would wait for its next item for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in worker processes alone"
    parent.join()
    os._exit(1)


@functools.cache
def _work() -> Callable[[Any], Any]:
    # Not in `_begin`: an error there breaks the pool, one in a task is raised in the parent.
    work: Callable[[Any], Any] = pickle.loads(_sent)
    return work


def _do(item: Any) -> Any:
    return _work()(item)
