"""Memory that does not suffice: one message instead of a traceback, whatever ran out of it."""

import contextlib
import errno
import re
from collections.abc import Iterator

from srpipe.core.errors import NotEnoughMemoryError

# What torch, ONNX Runtime and the loader of libraries say, which have no exception of their own for
# it on the CPU; torch's for GPUs is a RuntimeError too.
_SIGNS = re.compile(
    "can't allocate memory|not enough memory|out of memory|std::bad_alloc|ALLOC_FAILED"
    "|failed to map segment|Failed to allocate memory"
)
_BYTES = re.compile(r"allocate (\d+) bytes|buffer of size (\d+)")
_UNITS = re.compile(r"allocate ([\d.]+ [KMGTP]i?B)")


def ran_out(error: BaseException) -> bool:
    """Say whether memory did not suffice."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError | ImportError) and bool(_SIGNS.search(str(error)))


def described(error: BaseException, what: str, advice: str) -> str:
    """Return the message: what was done, how much was wanted if that is known, what helps."""
    text = str(error)
    if found := _BYTES.search(text):
        megabytes = int(found[1] or found[2]) / 1e6
        wanted = f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
    elif found := _UNITS.search(text):
        wanted = found[1]
    else:
        wanted = ""
    more = f": another {wanted} were not to be had" if wanted else ""
    return f"memory does not suffice for {what}{more}. {advice}"


@contextlib.contextmanager
def guarded(what: str, advice: str) -> Iterator[None]:
    """Turn a lack of memory in the block into one message.

    Args:
        what: what the block does, on what size: "training on 16 crops of 96x96 pixels".
        advice: what helps, in sentences.

    Raises:
        NotEnoughMemoryError: memory does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not ran_out(error):
            raise
        raise NotEnoughMemoryError(described(error, what, advice)) from error
