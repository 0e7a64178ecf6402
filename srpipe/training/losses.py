"""Generator and discriminator losses, as plain functions.

Image tensors are float `(N, C, H, W)` in [0, 1]; every term is a mean over whole crops, so weights
do not depend on batch or crop size. In ignored margins (`training.steps`) SR is set to HR, which
makes the image term smaller.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.settings.train import Loss

# Added to a crop's MSE before its logarithm: a tenth of a grey level, squared.
SMALLEST_MSE = 1.5e-7
ADVERSARIAL_FORMS = ("bce", "hinge", "relativistic")


@dataclass(frozen=True)
class Objective:
    """The generator's objective.

    Attributes:
        weights: the weight of each term, 0 switches it off; and the image loss.
        form: the adversarial loss: "bce", "hinge" or "relativistic".
        content: the feature network; needed in adversarial epochs if its weight is not 0.
    """

    weights: Loss
    form: str = "bce"
    content: nn.Module | None = None


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
    """The discriminator's loss, `total`, and statistics of its predictions: scalars, detached.

    A score is the mean probability of "HR", an accuracy the fraction of correct predictions, both
    in [0, 1], over HR (`real`) and over SR crops (`fake`). A discriminator with one logit per pixel
    predicts per pixel. In the relativistic form, predictions use relative logits: the zero of
    absolute ones has no meaning there.
    """

    total: Tensor
    real_score: Tensor
    fake_score: Tensor
    real_accuracy: Tensor
    fake_accuracy: Tensor


def image_loss(kind: str, sr: Tensor, hr: Tensor) -> Tensor:
    """Return the image loss of SR.

    mse: the mean squared difference.
    l1: the mean absolute difference.
    psnr: the mean over the crops of ln(mse), the negative mean PSNR up to a factor (L. Chen et al.,
    "NAFNet", ECCV 2022). Smooth crops and crops full of letters count the same.

    Raises:
        ValueError: `kind` is unknown.
    """
    if kind == "mse":
        return F.mse_loss(sr, hr)
    if kind == "l1":
        return F.l1_loss(sr, hr)
    if kind == "psnr":
        return (F.mse_loss(sr, hr, reduction="none").mean((1, 2, 3)) + SMALLEST_MSE).log().mean()
    raise ValueError(f"image loss {kind!r}: must be l1, mse or psnr")


def adversarial_loss(form: str, fake_logits: Tensor, real_logits: Tensor | None) -> Tensor:
    """Return the generator's adversarial loss.

    bce: -log D(SR), which does not saturate (I. Goodfellow et al., NeurIPS 2014).
    hinge: -D(SR), the logit itself (J. Lim and J. Ye, 2017; T. Miyato et al., ICLR 2018).
    relativistic: the mean of -log D(SR - mean HR) and -log(1 - D(HR - mean SR)) (relativistic
    average: A. Jolicoeur-Martineau, ICLR 2019; as in ESRGAN). Means are taken over batch and
    pixels; with several processes, over this process's part of the batch.

    Args:
        form: "bce", "hinge" or "relativistic".
        fake_logits: of SR, any shape, with gradient.
        real_logits: of HR, of the same shape, without gradient; only for the relativistic form.

    Raises:
        ValueError: the form is unknown, or the relativistic form has no logits of HR.
    """
    _require_form(form)
    fake = _wide(fake_logits)
    if form == "bce":
        return _cross_entropy(fake, 1)
    if form == "hinge":
        return -fake.mean()
    if real_logits is None:
        raise ValueError("the relativistic form compares: the logits of HR must be given")
    real, fake = _relative(_wide(real_logits), fake)
    return (_cross_entropy(fake, 1) + _cross_entropy(real, 0)) / 2


def content_loss(features: nn.Module, sr: Tensor, hr: Tensor) -> Tensor:
    """Return the mean squared Euclidean distance of ImageNet features (Ledig et al., eq. 5)."""
    with torch.no_grad():
        wanted = features(hr)
    return F.mse_loss(features(sr), wanted)


def total_variation_loss(sr: Tensor) -> Tensor:
    """Return the mean squared vertical and horizontal differences (Rudin et al., 1992)."""
    down = (sr[..., 1:, :] - sr[..., :-1, :]).square().mean()
    across = (sr[..., :, 1:] - sr[..., :, :-1]).square().mean()
    return down + across


def generator_loss(
    sr: Tensor, hr: Tensor, objective: Objective, discriminator: nn.Module | None = None
) -> GeneratorLoss:
    """Return the generator's loss.

    The adversarial and content terms belong to the adversarial stage: without a discriminator only
    the image and total-variation terms are used.

    Args:
        sr: the generator's output, with gradient.
        hr: the ground truth, of the same shape.
        objective: the terms and their weights.
        discriminator: frozen for this step by the caller, or None in the pixel stage. The
            relativistic form applies it to `hr` too, without gradient.

    Raises:
        ValueError: the feature network is needed and was not given.
    """
    weights = objective.weights
    image = image_loss(weights.image, sr, hr)
    total = image
    adversarial = perceived = variation = None
    if weights.total_variation:
        variation = total_variation_loss(sr)
        total = total + weights.total_variation * variation
    if discriminator is not None and weights.adversarial:
        adversarial = _adversarial(objective.form, discriminator, sr, hr)
        total = total + weights.adversarial * adversarial
    if discriminator is not None and weights.content:
        if objective.content is None:
            raise ValueError("the content weight is not 0, so a feature network must be given")
        perceived = content_loss(objective.content, sr, hr)
        total = total + weights.content * perceived
    return GeneratorLoss(total, image, adversarial, perceived, variation)


def discriminator_loss(form: str, real_logits: Tensor, fake_logits: Tensor) -> DiscriminatorLoss:
    """Return the discriminator's loss: the mean of its loss on HR and on SR.

    bce: the cross-entropy. hinge: max(0, 1 - logit) for HR, max(0, 1 + logit) for SR; published as
    their sum, here their mean, as in the other forms.
    relativistic: the cross-entropy of each logit minus the mean of the other side's. See
    `adversarial_loss` for sources and the scope of the means.

    Args:
        form: "bce", "hinge" or "relativistic".
        real_logits: of HR, any shape, with gradient.
        fake_logits: of *detached* SR, of the same shape, with gradient.

    Raises:
        ValueError: the form is unknown.
    """
    _require_form(form)
    real, fake = _wide(real_logits), _wide(fake_logits)
    if form == "relativistic":
        real, fake = _relative(real, fake)
    if form == "hinge":
        total = (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
    else:
        total = (_cross_entropy(real, 1) + _cross_entropy(fake, 0)) / 2
    real, fake = real.detach(), fake.detach()
    return DiscriminatorLoss(
        total,
        real.sigmoid().mean(),
        fake.sigmoid().mean(),
        (real > 0).to(real.dtype).mean(),
        (fake < 0).to(fake.dtype).mean(),
    )


def _adversarial(form: str, discriminator: nn.Module, sr: Tensor, hr: Tensor) -> Tensor:
    real_logits = None
    if form == "relativistic":
        with torch.no_grad():
            real_logits = discriminator(hr)
    return adversarial_loss(form, discriminator(sr), real_logits)


def _wide(logits: Tensor) -> Tensor:
    """Return logits in float32, or wider."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _relative(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return each side's logits minus the mean of the other's."""
    return real - fake.mean(), fake - real.mean()


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _require_form(form: str) -> None:
    if form not in ADVERSARIAL_FORMS:
        raise ValueError(f"adversarial form {form!r}: must be one of {ADVERSARIAL_FORMS}")
