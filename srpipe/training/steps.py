"""One training step of each stage: inputs are arguments, results are returned."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from srpipe.imaging.tensors import to_channels
from srpipe.training.crops.cutting import Batch
from srpipe.training.losses import GeneratorLoss, Objective, discriminator_loss, generator_loss
from srpipe.training.precision import Precision, autocast
from srpipe.training.state import Learner


class Crops(NamedTuple):
    """The crops of one step.

    `lr` is float `(N, C, h, w)` and `hr` float `(N, C, scale*h, scale*w)`, in [0, 1]; `counted` is
    bool `(N, 1, scale*h, scale*w)`, False where the loss ignores the output, or None to ignore
    nothing.
    """

    lr: Tensor
    hr: Tensor
    counted: Tensor | None = None


def on_device(
    batch: Batch, channels: int, device: str, layout: torch.memory_format = torch.channels_last
) -> Crops:
    """Send crops as stored and make them float in [0, 1] there, without waiting for the copy."""
    kind = torch.get_default_dtype()  # that of new networks, float32
    lr, hr = (
        to_channels(
            each.to(device, non_blocking=True).to(kind).div_(torch.iinfo(each.dtype).max), channels
        )
        for each in (batch.lr, batch.hr)
    )
    counted = None
    if bool(batch.hidden.any()):  # on the host: nothing waits
        scale = batch.hr.shape[-1] // batch.lr.shape[-1]
        hidden = (batch.hidden.int() * scale).to(device, non_blocking=True)
        counted = counted_pixels(hidden, batch.hr.shape[-1])
    return Crops(
        lr.contiguous(memory_format=layout),
        hr.contiguous(memory_format=layout),
        counted,
    )


def counted_pixels(hidden: Tensor, side: int) -> Tensor:
    """Return which pixels of square crops the loss counts, `bool (N, 1, side, side)`.

    Args:
        hidden: integers `(N, 4)`, the pixels to ignore at the top, bottom, left and right.
        side: of the crops.
    """
    at = torch.arange(side, device=hidden.device)
    top, bottom, left, right = hidden.to(at.dtype)[:, :, None].unbind(1)  # (N, 1) each
    rows = (at >= top) & (at < side - bottom)  # (N, side)
    columns = (at >= left) & (at < side - right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def pixel_step(
    generator: Learner,
    crops: Crops,
    objective: Objective,
    precision: Precision,
    clip: float,
) -> dict[str, Tensor]:
    """Train the generator on the image and total-variation losses only.

    Args:
        generator: in train mode.
        crops: LR and HR.
        objective: the terms of the loss.
        precision: of the forward pass.
        clip: maximum gradient norm, 0 for no limit.

    Returns:
        Scalars, detached: total, image, total_variation, gradient_norm.
    """
    sr = _super_resolved(generator, crops, precision)
    losses = generator_loss(sr, crops.hr, objective)
    norm = _learn(generator, losses.total, clip)
    return {**_named(losses), "gradient_norm": norm}


def adversarial_step(
    generator: Learner,
    discriminator: Learner,
    crops: Crops,
    objective: Objective,
    precision: Precision,
    clip: float,
) -> dict[str, Tensor]:
    """Train the discriminator on HR and detached SR, then the generator against it.

    Both use one forward pass of the generator. While the generator learns, the discriminator's
    weights are frozen, so no gradient of the generator's loss reaches them. Arguments as for
    `pixel_step`.

    Returns:
        Scalars, detached: those of `pixel_step`, adversarial, content, and of the discriminator:
        discriminator (its loss), real, fake (mean probabilities of "HR"), real_accuracy,
        fake_accuracy, discriminator_norm (of its gradient).
    """
    hr, device = crops.hr, crops.hr.device.type
    sr = _super_resolved(generator, crops, precision)

    discriminator.network.requires_grad_(True)
    with autocast(device, precision.discriminator):
        real_logits = _counted(discriminator.forward(hr), crops.counted)
        fake_logits = _counted(discriminator.forward(sr.detach()), crops.counted)
    found = discriminator_loss(objective.form, real_logits, fake_logits)
    discriminator_norm = _learn(discriminator, found.total, clip)

    discriminator.network.requires_grad_(False)
    with autocast(device, precision.discriminator):
        # Not the distributed form, which would wait for gradients that this pass does not compute.
        masked = MaskedDiscriminator(discriminator.network, crops.counted)
        losses = generator_loss(sr, hr, objective, masked)
    norm = _learn(generator, losses.total, clip)
    return {
        **_named(losses),
        "gradient_norm": norm,
        "discriminator": found.total.detach(),
        "real": found.real_score,
        "fake": found.fake_score,
        "real_accuracy": found.real_accuracy,
        "fake_accuracy": found.fake_accuracy,
        "discriminator_norm": discriminator_norm,
    }


def _super_resolved(generator: Learner, crops: Crops, precision: Precision) -> Tensor:
    """Return SR in HR's dtype; ignored pixels are HR's, so that no loss sees an error there."""
    with autocast(crops.lr.device.type, precision.generator):
        sr: Tensor = generator.forward(crops.lr)
    sr = sr.to(crops.hr.dtype)
    return sr if crops.counted is None else torch.where(crops.counted, sr, crops.hr)


class MaskedDiscriminator(nn.Module):
    """A discriminator without the logits of ignored pixels."""

    def __init__(self, network: nn.Module, counted: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.counted = counted

    def forward(self, image: Tensor) -> Tensor:
        return _counted(self.network(image), self.counted)


def _counted(logits: Tensor, counted: Tensor | None) -> Tensor:
    """Select the logits of counted pixels: where SR is HR, there is nothing to discriminate.

    The logit of a whole crop stays: pixels that are equal in HR and SR do not affect it.
    """
    return logits if counted is None or logits.ndim != 4 else logits[counted]


def _learn(learner: Learner, loss: Tensor, clip: float) -> Tensor:
    """Take one optimizer step; return the gradient norm before clipping."""
    for optimizer in learner.optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [each for each in learner.network.parameters() if each.grad is not None]
    norm = get_total_norm(_gradients(parameters))
    if clip:
        clip_grads_with_norm_(parameters, clip, norm)
    for optimizer in learner.optimizers:
        optimizer.step()
    return norm.detach()


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [each.grad for each in parameters if each.grad is not None]


def _named(losses: GeneratorLoss) -> Mapping[str, Tensor]:
    return {name: value.detach() for name, value in vars(losses).items() if value is not None}
