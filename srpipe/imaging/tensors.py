"""Converting grey images to network inputs, and running networks on one thread."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from srpipe.imaging.arrays import FloatImage, RecordedImage


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)` without copying."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: RecordedImage | FloatImage) -> Tensor:
    """Turn `uint8`, `uint16` or float32 `(H, W)` into float32 `(1, 1, H, W)` in [0, 1].

    Whole numbers are divided by their type's largest; floats are in [0, 1] already.
    """
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[image.dtype.name]
    return torch.tensor(np.ascontiguousarray(image, np.float32)).div_(white)[None, None]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU inside, and as many as before afterwards.

    With more, last digits depend on the number of CPUs, and worker processes, of which there is one
    per CPU, slow each other down.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
