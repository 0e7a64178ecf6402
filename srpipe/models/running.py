"""What running a generator has in common, whatever runs it."""

import contextlib
from collections.abc import Iterator

from srpipe.core import memory
from srpipe.core.errors import CheckpointError

# What helps where memory does not suffice.
LESS = (
    "Take smaller tiles (srpipe upscale --tile), a smaller image or a generator that needs less "
    "(plain_sr_small_x4 the least), or close other programs"
)


@contextlib.contextmanager
def guarded(shape: tuple[int, ...], scale: int, device: str) -> Iterator[None]:
    """Turn a lack of memory into one message.

    Args:
        shape: of the LR image, `(h, w)`.
        scale: of the generator.
        device: that it runs on, for the message.

    Raises:
        NotEnoughMemoryError: memory does not suffice.
    """
    advice = LESS + ("." if device == "cpu" else ", or set SRPIPE_DEVICE=cpu.")
    with memory.guarded(f"super-resolving {size(shape, scale)} on {device}", advice):
        yield


def size(shape: tuple[int, ...], scale: int) -> str:
    """Describe the sizes of LR and SR for a message."""
    height, width = shape
    return f"{width}x{height} pixels to {width * scale}x{height * scale}"


def require_finite(finite: bool) -> None:
    """Refuse an SR image with values that are no numbers.

    Raises:
        CheckpointError: `finite` is false.
    """
    if not finite:
        raise CheckpointError(
            "the generator gives values that are no numbers: its weights are damaged, or its "
            "training diverged. Train it again with lower learning rates."
        )
