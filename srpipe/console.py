"""What a person at the terminal sees: progress, notes, and one clear message for a fault."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

from srpipe import environment
from srpipe.errors import SrpipeError

T = TypeVar("T")
R = TypeVar("R")


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
        except SrpipeError as error:
            # Not print: a progress bar may be open, and the message needs a line of its own.
            tqdm.write(f"error: {error}{_former_outputs()}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            tqdm.write(
                f"stopped; nothing half-written was left{_former_outputs()}", file=sys.stderr
            )
            sys.exit(130)

    return run


def _former_outputs() -> str:
    """Say where the stage's outputs are: DVC removes all but `persist` ones before it runs it."""
    if os.environ.get("DVC_STAGE", "download") == "download":
        return ""
    return (
        "\nDVC put this stage's former outputs aside before it ran it: `dvc checkout` and "
        "`git checkout metrics` bring them back."
    )


def bar(total: int | None, *, what: str, unit: str) -> "tqdm[Any]":
    """Return a progress bar on stderr; where stderr is no terminal it prints rarely."""
    quiet = not sys.stderr.isatty()
    return tqdm(
        total=total,
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
        chunk = max(1, min(16, len(items) // (count * 4)))
        try:
            results = pool.map(work, items, chunksize=chunk)
            yield from progress(results, what=what, total=len(items), unit=unit)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
