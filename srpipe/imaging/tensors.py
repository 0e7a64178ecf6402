"""Converting grey images to network inputs."""

import numpy as np
import torch
from torch import Tensor

from srpipe.imaging.arrays import RecordedImage


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)` without copying."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: RecordedImage) -> Tensor:
    """Turn `uint8` or `uint16 (H, W)` into float32 `(1, 1, H, W)` in [0, 1]."""
    white = np.iinfo(image.dtype).max
    return torch.tensor(np.ascontiguousarray(image, np.float32)).div_(white)[None, None]
