"""A lack of memory is told as one message, with how much was wanted and what helps."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from srpipe.core.errors import NotEnoughMemoryError
from srpipe.core.memory import guarded, ran_out
from tests.memory import limited

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate {} bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (RuntimeError(TORCH.format(9663676416)), ": another 9.7 GB were not to be had"),
        (RuntimeError(TORCH.format(67108864)), ": another 67 MB were not to be had"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a"),
            ": another 2.00 GiB were not to be had",
        ),
        (
            RuntimeError("MPS backend out of memory. Tried to allocate 1.50 GB on private pool."),
            ": another 1.50 GB were not to be had",
        ),
        (
            MemoryError("Unable to allocate 9.00 GiB for an array with shape (1,)"),
            ": another 9.00 GiB were not to be had",
        ),
        (MemoryError(), ""),
        (RuntimeError("std::bad_alloc"), ""),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ""),
        (ImportError("x.so: failed to map segment from shared object"), ""),
    ],
)
def test_a_lack_of_memory_is_one_message(error: Exception, wanted: str) -> None:
    """Whoever noticed it: torch on any device, NumPy, Python or the system."""
    with (
        pytest.raises(NotEnoughMemoryError) as caught,
        guarded("training on 16 crops", "Lower train.batch_size."),
    ):
        raise error
    assert str(caught.value) == (
        f"memory does not suffice for training on 16 crops{wanted}. Lower train.batch_size."
    )
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("cannot allocate memory"),
        ImportError("No module named 'x'"),
        NotEnoughMemoryError("told already"),
    ],
)
def test_other_errors_pass_through(error: Exception) -> None:
    """A bug keeps its traceback, and what was told is not told again."""
    with pytest.raises(type(error)) as caught, guarded("training", "Lower it."):
        raise error
    assert caught.value is error
    assert not ran_out(error)


def test_numpy_and_torch_say_it_so() -> None:
    """Their real errors, of more memory than any machine has, are recognised."""
    for allocate in (
        lambda: np.empty(2**47, np.uint8),
        lambda: torch.empty(2**47, dtype=torch.uint8),
    ):
        with (
            pytest.raises(NotEnoughMemoryError, match=r"another (128\. TiB|140737\.5 GB) were not"),
            guarded("this", ""),
        ):
            allocate()


def test_an_entry_point_tells_what_nobody_expected(tmp_path: Path) -> None:
    """Wherever memory runs out, a stage ends with a message and exit code 1, not a traceback."""
    done = limited(
        "import numpy as np\nfrom srpipe.core.console import entry_point\n",
        100_000_000,
        "entry_point(lambda: np.ones(2 * 10**8, np.uint8))()\n",
        tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: memory does not suffice for this: another 191. MiB were")
    assert "Close other programs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
