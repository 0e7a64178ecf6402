"""Super-resolving an LR image with a generator."""

import torch

from srpipe.core import memory
from srpipe.imaging.arrays import FloatImage, GreyImage, RecordedImage
from srpipe.imaging.consistency import make_consistent
from srpipe.imaging.resample import to_grey
from srpipe.imaging.tensors import to_channels, to_image_tensor
from srpipe.models.base import SRGenerator
from srpipe.models.running import guarded, require_finite, size


def super_resolve(
    model: SRGenerator,
    lr: RecordedImage,
    device: str = "cpu",
    *,
    consistent: bool = False,
    bf16: bool = False,
) -> GreyImage:
    """Super-resolve one grey image into `uint8 (h*scale, w*scale)`; the rest as for `unrounded`."""
    return to_grey(unrounded(model, lr, device, consistent=consistent, bf16=bf16))


def unrounded(
    model: SRGenerator,
    lr: RecordedImage | FloatImage,
    device: str = "cpu",
    *,
    consistent: bool = False,
    bf16: bool = False,
) -> FloatImage:
    """Super-resolve one grey image without rounding; colour generators get repeated grey.

    Args:
        model: a generator on `device`; it runs in eval mode, and its mode is restored. In eval mode
            already, several threads may call this at once.
        lr: `uint8` or `uint16 (h, w)`, 0 black to 255 or 65535 white, or float32 in [0, 1].
        device: torch device name.
        consistent: make the result downsample to `lr` (`consistency.make_consistent`), within the
            rounding of 8 bits.
        bf16: autocast to bfloat16, instead of float32.

    Returns:
        float32 `(h*scale, w*scale)` in [0, 1].

    Raises:
        CheckpointError: the output is not finite.
        NotEnoughMemoryError: memory does not suffice for an image of this size.
    """
    with guarded(lr.shape, model.scale, device):
        sr = _unrounded(model, lr, device, bf16)
    if consistent:
        what = f"making {size(lr.shape, model.scale)} consistent"
        with memory.guarded(what, "Take a smaller image."):
            sr = make_consistent(sr, to_grey(to_image_tensor(lr)[0, 0].numpy()))
    return sr


def _unrounded(
    model: SRGenerator, lr: RecordedImage | FloatImage, device: str, bf16: bool
) -> FloatImage:
    was_training = model.training
    if was_training:  # and else it stays untouched: several threads may share it
        model.eval()
    kind = torch.device(device).type
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bf16):
        own = next((each.dtype for each in model.parameters()), torch.float32)
        grey = to_image_tensor(lr).to(device, own, memory_format=torch.channels_last)
        sr = model(to_channels(grey, model.channels)).mean(dim=1)[0]
    if was_training:
        model.train()
    require_finite(bool(sr.isfinite().all()))
    result: FloatImage = sr.float().cpu().numpy()
    return result
