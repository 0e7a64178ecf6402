"""Converting 8-bit grey images to network inputs."""

import numpy as np
import torch
from torch import Tensor

from srpipe.imaging.arrays import GreyImage


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)` without copying."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: GreyImage) -> Tensor:
    """Turn `uint8 (H, W)` into float32 `(1, 1, H, W)` in [0, 1]."""
    return torch.tensor(np.ascontiguousarray(image), dtype=torch.float32).div_(255)[None, None]
