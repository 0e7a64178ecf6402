"""Terminal output: progress, messages, and one clear message for an error."""

import functools
import gc
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from srpipe.core import memory
from srpipe.core.errors import SrpipeError

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Items of a list shown in a message.
SHOWN = 10


def say(message: str) -> None:
    """Print a one-line status message immediately, above any progress bar."""
    _print(message, sys.stdout)


def warn(message: str) -> None:
    """Print a one-line warning; the run continues."""
    _print(f"warning: {message}", sys.stderr)


def _print(message: str, stream: TextIO) -> None:
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(_harmless(message), file=stream)
    else:  # there is no bar
        print(_harmless(message), file=stream)
    stream.flush()


def _harmless(message: str) -> str:
    """Return a message without characters that a terminal obeys: names of files may hold them."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], message)


def ascii_text(text: str) -> str:
    """Return text in ASCII, all else escaped: in pictures, whose fonts lack letters."""
    plain = text.encode("ascii", "backslashreplace").decode("ascii")
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], plain).replace("\n", "\\n")


def lines(items: Sequence[str]) -> str:
    """Return the first ten items for the end of a message, a line each, and how many are left."""
    rest = f"\n  and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "".join(f"\n  {item}" for item in items[:SHOWN]) + rest


_LESS = (
    "Close other programs, set SRPIPE_WORKERS=1 (fewer processes), or give smaller images or fewer "
    "at a time."
)


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap the `main` of a stage: an expected error is printed as one message, with exit code 1.

    So is a lack of memory, which may show anywhere.
    """

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
            return
        except SrpipeError as error:
            code, message = 1, f"error: {error}"
        except (MemoryError, RuntimeError, OSError, ImportError) as error:
            if not memory.ran_out(error):
                raise
            code, message = 1, f"error: {memory.described(error, 'this', _LESS)}"
        except KeyboardInterrupt:
            code, message = 130, "stopped; nothing half-written was left"
        # After the except blocks: the failed frames are gone by then, or in cycles with the error,
        # and with them any open progress bar, whose line the message would otherwise share.
        gc.collect()
        # Of several training processes on a machine one reports for all: they read the same files.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(_harmless(message) + _former_outputs(), file=sys.stderr)
        sys.exit(code)

    return run


def _former_outputs() -> str:
    """Say where the stage's outputs went: DVC removes all but `persist` ones before running it."""
    if os.environ.get("DVC_STAGE", "download") == "download":
        return ""
    return (
        "\nDVC put this stage's former outputs aside before it ran it. `dvc repro` with the former "
        "settings brings them back without running anything."
    )


def bar(
    total: int | None, *, what: str, unit: str, done: int = 0, shown: bool = True
) -> "tqdm[Any]":
    """Return a progress bar on stderr, updated rarely if stderr is not a terminal.

    `done` items were done before; a hidden bar still counts.
    """
    from tqdm import tqdm  # it takes 0.1 s to load: a quiet command does without

    # With every item looked at, no thread has to watch; one that ends needs memory for that.
    tqdm.monitor_interval = 0
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
        miniters=1,
    )


def progress(items: Iterable[T], *, what: str, total: int | None = None, unit: str) -> Iterator[T]:
    """Yield `items`, showing a progress bar."""
    with bar(total, what=what, unit=unit) as shown:
        for item in items:
            yield item
            shown.update()
