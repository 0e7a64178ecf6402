"""The terms of the generator's loss and the discriminator's, as plain functions.

Image tensors are float `(N, C, H, W)` in [0, 1]; every term is a mean, so weights do not depend on
batch or crop size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.settings import Loss


@dataclass(frozen=True)
class GeneratorLoss:
    """The generator's loss, `total`, and its unweighted terms; a term switched off is None."""

    total: Tensor
    image: Tensor
    adversarial: Tensor | None
    content: Tensor | None
    total_variation: Tensor | None


@dataclass(frozen=True)
class DiscriminatorLoss:
    """The discriminator's loss and its mean probability of "HR" for HR and for SR crops."""

    total: Tensor
    real_score: Tensor
    fake_score: Tensor


def image_loss(kind: str, sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean squared ("mse") or mean absolute ("l1") difference.

    Raises:
        ValueError: `kind` is another.
    """
    if kind not in ("mse", "l1"):
        raise ValueError(f"image loss {kind!r}: must be mse or l1")
    return F.mse_loss(sr, hr) if kind == "mse" else F.l1_loss(sr, hr)


def adversarial_loss(fake_logits: Tensor) -> Tensor:
    """Return the non-saturating loss -log D(SR) (I. Goodfellow et al., NeurIPS 2014)."""
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def content_loss(features: nn.Module, sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean squared Euclidean distance of ImageNet features (Ledig et al., eq. 5)."""
    with torch.no_grad():
        wanted = features(hr)
    return F.mse_loss(features(sr), wanted)


def total_variation_loss(sr: Tensor) -> Tensor:
    """Return the mean squared difference of neighbours, down and across (Rudin et al., 1992)."""
    down = (sr[..., 1:, :] - sr[..., :-1, :]).square().mean()
    across = (sr[..., :, 1:] - sr[..., :, :-1]).square().mean()
    return down + across


def generator_loss(
    sr: Tensor,
    hr: Tensor,
    weights: Loss,
    *,
    discriminator: nn.Module | None,
    content: nn.Module | None,
) -> GeneratorLoss:
    """Return the generator's loss.

    The adversarial and the content term belong to the adversarial stage: without a discriminator
    only the image and the total-variation term are taken.

    Args:
        sr: the generator's output, with gradient.
        hr: the ground truth, of the same shape.
        weights: the weight of each term; 0 switches a term off.
        discriminator: frozen for this step by the caller, or None in the pixel stage.
        content: the feature network; needed when its weight is not 0 in the adversarial stage.
    """
    image = image_loss(weights.image, sr, hr)
    total = image
    adversarial = perceived = variation = None
    if weights.total_variation:
        variation = total_variation_loss(sr)
        total = total + weights.total_variation * variation
    if discriminator is not None and weights.adversarial:
        adversarial = adversarial_loss(discriminator(sr))
        total = total + weights.adversarial * adversarial
    if discriminator is not None and weights.content:
        if content is None:
            raise ValueError("the content weight is not 0, so a feature network must be given")
        perceived = content_loss(content, sr, hr)
        total = total + weights.content * perceived
    return GeneratorLoss(total, image, adversarial, perceived, variation)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> DiscriminatorLoss:
    """Return the binary cross-entropy of both sides; `fake_logits` are those of *detached* SR."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return DiscriminatorLoss(
        (real + fake) / 2,
        real_logits.detach().sigmoid().mean(),
        fake_logits.detach().sigmoid().mean(),
    )
