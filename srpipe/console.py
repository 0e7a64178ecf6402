"""What a person at the terminal sees: progress, notes, and one clear message for a fault."""

import functools
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

from srpipe import environment
from srpipe.errors import SrpipeError

T = TypeVar("T")
R = TypeVar("R")

# Items under way for each worker process: enough to keep it busy, few enough for any memory.
AHEAD = 8


def say(message: str) -> None:
    """Print one line about what is being done, at once, above any progress bar."""
    tqdm.write(message, file=sys.stdout)
    sys.stdout.flush()


def warn(message: str) -> None:
    """Print one line that a person should not miss; it does not stop the run."""
    tqdm.write(f"warning: {message}", file=sys.stderr)
    sys.stderr.flush()


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap the `main` of a stage: an expected fault is printed as one message, with exit code 1."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
            return
        except SrpipeError as error:
            code, message = 1, f"error: {error}"
        except KeyboardInterrupt:
            code, message = 130, "stopped; nothing half-written was left"
        # After the except blocks: the failed frames are gone, and with them an open progress bar,
        # on whose line the message would stand.
        # One of several training processes on a machine speaks for all: they read the same files.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(message + _former_outputs(), file=sys.stderr)
        sys.exit(code)

    return run


def _former_outputs() -> str:
    """Say where the stage's outputs are: DVC removes all but `persist` ones before it runs it."""
    if os.environ.get("DVC_STAGE", "download") == "download":
        return ""
    return (
        "\nDVC put this stage's former outputs aside before it ran it. `dvc repro` with the former "
        "settings brings them back without running anything."
    )


def bar(
    total: int | None, *, what: str, unit: str, done: int = 0, shown: bool = True
) -> "tqdm[Any]":
    """Return a progress bar on stderr; where stderr is no terminal it prints rarely.

    `done` items were done before; a bar that is not shown counts in silence.
    """
    quiet = not sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        disable=not shown,
        desc=what,
        unit=unit,
        dynamic_ncols=not quiet,
        ncols=100 if quiet else None,
        mininterval=10.0 if quiet else 0.2,
        maxinterval=30.0,
    )


def progress(items: Iterable[T], *, what: str, total: int | None = None, unit: str) -> Iterator[T]:
    """Yield `items` behind a progress bar."""
    with bar(total, what=what, unit=unit) as shown:
        for item in items:
            yield item
            shown.update()


def parallel(
    work: Callable[[T], R], items: Sequence[T], *, what: str, unit: str = "image"
) -> Iterator[R]:
    """Yield `work(item)` for each item in order, computed by worker processes, with progress.

    `work` must be a module-level function or a `functools.partial` of one. Results come in the
    order of `items` whatever the number of workers, so outputs do not depend on the machine. An
    exception in a worker is raised here and stops the rest.
    """
    count = min(environment.workers(), len(items))
    if count <= 1:
        yield from progress(map(work, items), what=what, total=len(items), unit=unit)
        return
    # "spawn" would import everything anew in each worker; "fork" copies locks held by threads.
    # The fork server forks from a clean process, and works wherever Unix does.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        try:
            results = _in_order(pool, work, items, ahead=count * AHEAD)
            yield from progress(results, what=what, total=len(items), unit=unit)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _in_order(
    pool: Executor, work: Callable[[T], R], items: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """Yield results in order with at most `ahead` items under way: results do not pile up."""
    under_way: deque[Future[R]] = deque()
    for item in items:
        under_way.append(pool.submit(work, item))
        if len(under_way) >= ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()
