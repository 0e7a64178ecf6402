"""Each step changes the network that it is for, and both networks learn."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from srpipe.losses import DiscriminatorLoss, GeneratorLoss
from srpipe.models.discriminator import Discriminator
from srpipe.models.generators import SwiftSRGAN
from srpipe.settings import Loss
from srpipe.training.steps import adversarial_step, pixel_step

FP32 = torch.autocast("cpu", torch.bfloat16, enabled=False)
WEIGHTS = Loss(image="mse", adversarial=0.1, content=0.0, total_variation=0.0)


def generator() -> SwiftSRGAN:
    """Return a tiny generator in train mode."""
    torch.manual_seed(0)
    return SwiftSRGAN(channels=1, features=8, blocks=1, scale=2)


def discriminator() -> Discriminator:
    """Return a tiny discriminator."""
    torch.manual_seed(1)
    return Discriminator(channels=1, features=4)


def learnable(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights that train."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def crops(count: int = 4) -> tuple[Tensor, Tensor]:
    """Return LR and HR of 2x: HR has fine texture that the LR image only hints at."""
    numbers = torch.Generator().manual_seed(2)
    lr = torch.rand(count, 1, 16, 16, generator=numbers) * 0.6 + 0.2
    hr = nn.functional.interpolate(lr, scale_factor=2, mode="nearest")
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) * 0.2
    return lr, hr + checks


def weights_of(model: nn.Module) -> list[Tensor]:
    """Return a copy of all weights."""
    return [weight.detach().clone() for weight in model.parameters()]


def gradients_of(model: nn.Module) -> list[Tensor | None]:
    """Return a copy of all gradients."""
    return [None if w.grad is None else w.grad.clone() for w in model.parameters()]


def same(a: list[Any], b: list[Any]) -> bool:
    """Say whether two lists hold equal tensors (or None)."""
    return all(
        (x is None and y is None) or (x is not None and y is not None and torch.equal(x, y))
        for x, y in zip(a, b, strict=True)
    )


class Pair:
    """A generator, a discriminator and their optimizers."""

    def __init__(self, generator_rate: float = 1e-3, discriminator_rate: float = 1e-3) -> None:
        self.generator, self.discriminator = generator(), discriminator()
        self.of_generator = Adam(learnable(self.generator), lr=generator_rate)
        self.of_discriminator = Adam(self.discriminator.parameters(), lr=discriminator_rate)

    def step(
        self, lr: Tensor, hr: Tensor, weights: Loss = WEIGHTS
    ) -> tuple[GeneratorLoss, DiscriminatorLoss]:
        """Take one adversarial step."""
        return adversarial_step(
            self.generator,
            self.discriminator,
            self.of_generator,
            self.of_discriminator,
            lr,
            hr,
            weights,
            None,
            FP32,
        )


def test_each_half_step_changes_its_own_network_alone() -> None:
    """The discriminator's half leaves the generator as it was; the generator's half leaves the
    discriminator's weights and gradients as they were.
    """
    pair = Pair()
    pair.step(*crops())  # so that gradients of an earlier step are there
    before = weights_of(pair.generator), weights_of(pair.discriminator)
    generator_gradients = gradients_of(pair.generator)
    between: list[Any] = []

    def look(*_: Any) -> None:
        between.append(
            (
                weights_of(pair.generator),
                gradients_of(pair.generator),
                weights_of(pair.discriminator),
                gradients_of(pair.discriminator),
            )
        )

    pair.of_discriminator.register_step_post_hook(look)
    pair.step(*crops())
    ((generator_weights, gradients, discriminator_weights, discriminator_gradients),) = between
    assert same(generator_weights, before[0])
    assert same(gradients, generator_gradients)
    assert not same(discriminator_weights, before[1])
    assert same(weights_of(pair.discriminator), discriminator_weights)
    assert same(gradients_of(pair.discriminator), discriminator_gradients)
    assert not same(weights_of(pair.generator), generator_weights)


def test_a_step_starts_from_no_gradient() -> None:
    """What an earlier batch left behind does not add up."""
    clean, soiled = Pair(), Pair()
    for weight in [*soiled.generator.parameters(), *soiled.discriminator.parameters()]:
        weight.grad = torch.full_like(weight, 1e3)
    clean.step(*crops())
    soiled.step(*crops())
    assert same(weights_of(clean.discriminator), weights_of(soiled.discriminator))
    trained = [learnable(each.generator) for each in (clean, soiled)]
    assert same(*trained)


def test_the_discriminator_learns_to_tell_sr_from_hr() -> None:
    """Against a generator that stands still, it soon gets every crop right."""
    pair = Pair(generator_rate=0.0, discriminator_rate=3e-3)
    lr, hr = crops(8)
    scores = [pair.step(lr, hr)[1] for _ in range(15)]
    assert abs(scores[0].real_score - scores[0].fake_score) < 0.2
    assert scores[-1].real_score > 0.9
    assert scores[-1].fake_score < 0.1
    assert scores[-1].total < scores[0].total / 3


def test_the_generator_learns_to_fool_the_discriminator() -> None:
    """Against a discriminator that stands still, its adversarial loss falls."""
    pair = Pair(generator_rate=3e-3, discriminator_rate=3e-3)
    lr, hr = crops()
    for _ in range(5):
        pair.step(lr, hr)
    pair.of_discriminator.param_groups[0]["lr"] = 0.0
    fooling = Loss(image="mse", adversarial=100.0, content=0.0, total_variation=0.0)
    losses = [pair.step(lr, hr, fooling)[0].adversarial for _ in range(25)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("image", ["mse", "l1"])
def test_pixel_steps_fit_one_batch(image: Any) -> None:
    """On a batch seen again and again the loss falls to less than half."""
    model = generator()
    optimizer = Adam(learnable(model), lr=5e-3)
    weights = Loss(image=image, adversarial=1.0, content=1.0, total_variation=0.0)
    lr, hr = crops()
    losses = [pixel_step(model, optimizer, lr, hr, weights, FP32) for _ in range(40)]
    assert losses[-1].total < losses[0].total / 2
    assert losses[0].adversarial is None
    assert losses[0].content is None


def test_a_pixel_step_reports_the_loss_before_it() -> None:
    """The loss told is that of the weights that made the image, and the step then changes them."""
    model = generator()
    lr, hr = crops()
    with torch.no_grad():
        wanted = (model(lr) - hr).square().mean()
    before = weights_of(model)
    losses = pixel_step(model, Adam(learnable(model), lr=1e-3), lr, hr, WEIGHTS, FP32)
    assert torch.allclose(losses.total, wanted)
    assert not same(weights_of(model), before)


def test_bf16_steps_keep_weights_and_losses_in_fp32() -> None:
    """Autocast is for the forward pass; what is summed and stored has full precision."""
    autocast = torch.autocast("cpu", torch.bfloat16)
    pair = Pair()
    lr, hr = crops()
    losses, judged = adversarial_step(
        pair.generator,
        pair.discriminator,
        pair.of_generator,
        pair.of_discriminator,
        lr,
        hr,
        WEIGHTS,
        None,
        autocast,
    )
    assert losses.total.dtype == judged.total.dtype == torch.float32
    assert torch.isfinite(losses.total)
    assert all(weight.dtype == torch.float32 for weight in pair.generator.parameters())
