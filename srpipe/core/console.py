"""What a person at the terminal sees: progress, notes, and one clear message for a fault."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from srpipe.core.errors import SrpipeError

T = TypeVar("T")


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
