"""8-bit grey images as the tensors that networks take."""

import torch
from torch import Tensor

from srpipe.imaging.resample import GreyImage


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)`; no copy is made."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: GreyImage) -> Tensor:
    """Turn `uint8 (H, W)` into float32 `(1, 1, H, W)` in [0, 1]."""
    return torch.tensor(image, dtype=torch.float32).div_(255)[None, None]
