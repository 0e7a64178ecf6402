"""From an LR image to an SR image by a generator."""

import torch
from torch import Tensor

from srpipe.errors import CheckpointError
from srpipe.models.generators import SRResNet
from srpipe.resample import GreyImage, to_grey


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)`; no copy is made."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: GreyImage) -> Tensor:
    """Turn `uint8 (H, W)` into float32 `(1, 1, H, W)` in [0, 1]."""
    return torch.tensor(image, dtype=torch.float32).div_(255)[None, None]


def super_resolve(model: SRResNet, lr: GreyImage, device: str = "cpu") -> GreyImage:
    """Super-resolve one grey image in float32; a colour generator sees grey and gives its mean.

    Args:
        model: a generator on `device`; it runs in eval mode and keeps the mode it had.
        lr: `uint8 (h, w)`.
        device: torch device name.

    Returns:
        `uint8 (h*scale, w*scale)`.

    Raises:
        CheckpointError: the generator gives values that are no numbers.
    """
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        grey = to_image_tensor(lr).to(device, memory_format=torch.channels_last)
        sr = model(to_channels(grey, model.channels)).mean(dim=1)[0]
    model.train(was_training)
    if not bool(sr.isfinite().all()):
        raise CheckpointError(
            "the generator gives values that are no numbers: its weights are damaged, or its "
            "training diverged. Train it again with lower learning rates."
        )
    return to_grey(sr.float().cpu().numpy())
