"""One training step of each stage: all that it uses is an argument, all it finds is returned."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from srpipe.losses import DiscriminatorLoss, GeneratorLoss, discriminator_loss, generator_loss
from srpipe.settings import Loss


def pixel_step(
    generator: nn.Module,
    optimizer: Optimizer,
    lr: Tensor,
    hr: Tensor,
    weights: Loss,
    autocast: torch.autocast,
) -> GeneratorLoss:
    """Train the generator on image and total-variation loss alone.

    Args:
        generator: in train mode.
        optimizer: the generator's.
        lr: float `(N, C, h, w)` in [0, 1].
        hr: float `(N, C, scale*h, scale*w)` in [0, 1].
        weights: the loss settings.
        autocast: the precision of the forward pass.
    """
    with autocast:
        sr = generator(lr)
    losses = generator_loss(sr.float(), hr, weights, discriminator=None, content=None)
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    optimizer.step()
    return losses


def adversarial_step(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_optimizer: Optimizer,
    discriminator_optimizer: Optimizer,
    lr: Tensor,
    hr: Tensor,
    weights: Loss,
    content: nn.Module | None,
    autocast: torch.autocast,
) -> tuple[GeneratorLoss, DiscriminatorLoss]:
    """Train the discriminator on HR and detached SR, then the generator against it.

    One generator pass serves both. While the generator learns, the discriminator's weights are
    frozen, so no gradient of the generator's loss reaches them.
    """
    with autocast:
        sr = generator(lr)

    discriminator.requires_grad_(True)
    with autocast:
        real_logits = discriminator(hr)
        fake_logits = discriminator(sr.detach())
    judged = discriminator_loss(real_logits.float(), fake_logits.float())
    discriminator_optimizer.zero_grad(set_to_none=True)
    judged.total.backward()
    discriminator_optimizer.step()

    discriminator.requires_grad_(False)
    with autocast:
        losses = generator_loss(
            sr.float(), hr, weights, discriminator=discriminator, content=content
        )
    generator_optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    generator_optimizer.step()
    return losses, judged
