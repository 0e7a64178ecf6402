"""From an LR image to an SR image by a generator."""

import torch
from torch import Tensor

from srpipe.consistency import make_consistent
from srpipe.errors import CheckpointError
from srpipe.models.base import SRGenerator
from srpipe.resample import FloatImage, GreyImage, to_grey


def to_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat grey `(N, 1, H, W)` to `(N, channels, H, W)`; no copy is made."""
    return image.expand(-1, channels, -1, -1)


def to_image_tensor(image: GreyImage) -> Tensor:
    """Turn `uint8 (H, W)` into float32 `(1, 1, H, W)` in [0, 1]."""
    return torch.tensor(image, dtype=torch.float32).div_(255)[None, None]


def super_resolve(
    model: SRGenerator,
    lr: GreyImage,
    device: str = "cpu",
    *,
    consistent: bool = False,
    bf16: bool = False,
) -> GreyImage:
    """Super-resolve one grey image; a colour generator sees grey and gives its mean.

    Arguments and errors as for `unrounded`, and `consistent`: make the result downsample to `lr`
    (`consistency.make_consistent`).

    Returns:
        `uint8 (h*scale, w*scale)`.
    """
    sr = unrounded(model, lr, device, bf16=bf16)
    return to_grey(make_consistent(sr, lr) if consistent else sr)


def unrounded(
    model: SRGenerator, lr: GreyImage, device: str = "cpu", *, bf16: bool = False
) -> FloatImage:
    """Super-resolve one grey image, before it is rounded to 8 bits.

    Args:
        model: a generator on `device`; it runs in eval mode and keeps the mode it had.
        lr: `uint8 (h, w)`.
        device: torch device name.
        bf16: autocast to bfloat16, instead of float32.

    Returns:
        float32 `(h*scale, w*scale)` in [0, 1].

    Raises:
        CheckpointError: the generator gives values that are no numbers.
    """
    was_training = model.training
    model.eval()
    kind = torch.device(device).type
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bf16):
        grey = to_image_tensor(lr).to(device, memory_format=torch.channels_last)
        sr = model(to_channels(grey, model.channels)).mean(dim=1)[0]
    model.train(was_training)
    if not bool(sr.isfinite().all()):
        raise CheckpointError(
            "the generator gives values that are no numbers: its weights are damaged, or its "
            "training diverged. Train it again with lower learning rates."
        )
    result: FloatImage = sr.float().cpu().numpy()
    return result
