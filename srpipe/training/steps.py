"""One training step of each stage: all that it uses is an argument, all it finds is returned."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from srpipe.losses import GeneratorLoss, discriminator_loss, generator_loss
from srpipe.settings import Loss
from srpipe.training.precision import Precision, autocast
from srpipe.training.state import Learner


def pixel_step(
    generator: Learner,
    lr: Tensor,
    hr: Tensor,
    weights: Loss,
    precision: Precision,
    clip: float,
) -> dict[str, Tensor]:
    """Train the generator on image and total-variation loss alone.

    Args:
        generator: in train mode.
        lr: float `(N, C, h, w)` in [0, 1].
        hr: float `(N, C, scale*h, scale*w)` in [0, 1].
        weights: the loss settings.
        precision: of the forward pass.
        clip: largest norm of the gradient, 0 for any.

    Returns:
        Scalars, detached: total, image, total_variation, gradient_norm.
    """
    with autocast(lr.device.type, precision.generator):
        sr = generator.forward(lr)
    losses = generator_loss(sr.float(), hr, weights, discriminator=None, content=None)
    norm = _learn(generator, losses.total, clip)
    return {**_named(losses), "gradient_norm": norm}


def adversarial_step(
    generator: Learner,
    discriminator: Learner,
    lr: Tensor,
    hr: Tensor,
    weights: Loss,
    content: nn.Module | None,
    precision: Precision,
    clip: float,
) -> dict[str, Tensor]:
    """Train the discriminator on HR and detached SR, then the generator against it.

    One generator pass serves both. While the generator learns, the discriminator's weights are
    frozen, so no gradient of the generator's loss reaches them. Arguments as for `pixel_step`.

    Returns:
        Scalars, detached: those of `pixel_step`, adversarial, content, and of the discriminator:
        discriminator (its loss), real, fake (mean probabilities of "HR"), real_accuracy,
        fake_accuracy, discriminator_norm (of its gradient).
    """
    device = lr.device.type
    with autocast(device, precision.generator):
        sr = generator.forward(lr)
    sr = sr.float()

    discriminator.network.requires_grad_(True)
    with autocast(device, precision.discriminator):
        real_logits = discriminator.forward(hr)
        fake_logits = discriminator.forward(sr.detach())
    judged = discriminator_loss(weights.adversarial_form, real_logits.float(), fake_logits.float())
    judge_norm = _learn(discriminator, judged.total, clip)

    discriminator.network.requires_grad_(False)
    with autocast(device, precision.discriminator):
        # Not the distributed form: it would wait for gradients that this pass does not make.
        losses = generator_loss(
            sr, hr, weights, discriminator=discriminator.network, content=content
        )
    norm = _learn(generator, losses.total, clip)
    return {
        **_named(losses),
        "gradient_norm": norm,
        "discriminator": judged.total.detach(),
        "real": judged.real_score,
        "fake": judged.fake_score,
        "real_accuracy": judged.real_accuracy,
        "fake_accuracy": judged.fake_accuracy,
        "discriminator_norm": judge_norm,
    }


def _learn(learner: Learner, loss: Tensor, clip: float) -> Tensor:
    """Take one step down the loss; return the norm that the gradient had before clipping."""
    learner.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [each for each in learner.network.parameters() if each.grad is not None]
    norm = get_total_norm(_gradients(parameters))
    if clip:
        clip_grads_with_norm_(parameters, clip, norm)
    learner.optimizer.step()
    return norm.detach()


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [each.grad for each in parameters if each.grad is not None]


def _named(losses: GeneratorLoss) -> Mapping[str, Tensor]:
    return {name: value.detach() for name, value in vars(losses).items() if value is not None}
