"""Each term of the loss has its known value, and each alone teaches the generator."""

import math

import pytest
import torch
from torch import Tensor, nn

from srpipe.losses import (
    GeneratorLoss,
    adversarial_loss,
    content_loss,
    discriminator_loss,
    generator_loss,
    image_loss,
    total_variation_loss,
)
from srpipe.models.content import ContentFeatures, load_content
from srpipe.models.discriminator import Discriminator
from srpipe.models.generators import SwiftSRGAN
from srpipe.settings import Content, Loss

OFF = {"image": "mse", "adversarial": 0.0, "content": 0.0, "total_variation": 0.0}


@pytest.fixture(scope="module")
def content() -> ContentFeatures:
    """Return the packaged feature network."""
    return load_content(Content(network="efficientnet_lite0", weights=None))


@pytest.fixture
def generator() -> SwiftSRGAN:
    """Return a tiny generator in train mode."""
    torch.manual_seed(0)
    return SwiftSRGAN(channels=1, features=8, blocks=1, scale=4)


@pytest.fixture
def discriminator() -> nn.Module:
    """Return a tiny discriminator, frozen as in the generator's step."""
    torch.manual_seed(1)
    return Discriminator(channels=1, features=4).requires_grad_(False)


def crops() -> tuple[Tensor, Tensor]:
    """Return LR `(2, 1, 8, 8)` and HR `(2, 1, 32, 32)`."""
    numbers = torch.Generator().manual_seed(2)
    return torch.rand(2, 1, 8, 8, generator=numbers), torch.rand(2, 1, 32, 32, generator=numbers)


@pytest.mark.parametrize(
    ("term", "weights"),
    [
        ("image", {}),
        ("image", {"image": "l1"}),
        ("adversarial", {"adversarial": 1.0}),
        ("content", {"content": 1.0}),
        ("total_variation", {"total_variation": 1.0}),
    ],
)
def test_each_term_alone_teaches_the_generator(
    term: str,
    weights: dict[str, object],
    generator: SwiftSRGAN,
    discriminator: nn.Module,
    content: ContentFeatures,
) -> None:
    """The gradient of the term itself reaches the first and the last convolution."""
    lr, hr = crops()
    settings = Loss.model_validate({**OFF, **weights})
    losses = generator_loss(
        generator(lr), hr, settings, discriminator=discriminator, content=content
    )
    layers = (generator.initial.cnn.depthwise.weight, generator.final_conv.pointwise.weight)
    for gradient in torch.autograd.grad(getattr(losses, term), layers):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 1e-8


def test_terms_switched_off_are_none(generator: SwiftSRGAN, discriminator: nn.Module) -> None:
    """A weight of 0 leaves the term out, and total is the image term."""
    lr, hr = crops()
    losses = generator_loss(
        generator(lr), hr, Loss.model_validate(OFF), discriminator=discriminator, content=None
    )
    assert (losses.adversarial, losses.content, losses.total_variation) == (None, None, None)
    assert torch.equal(losses.total, losses.image)


def test_total_is_the_weighted_sum(
    generator: SwiftSRGAN, discriminator: nn.Module, content: ContentFeatures
) -> None:
    """Terms are told unweighted; total weighs them."""
    lr, hr = crops()
    weights = Loss(image="l1", adversarial=0.5, content=0.25, total_variation=2.0)
    losses = generator_loss(
        generator(lr), hr, weights, discriminator=discriminator, content=content
    )
    assert losses.adversarial is not None
    assert losses.content is not None
    assert losses.total_variation is not None
    parts = losses.image + losses.adversarial / 2 + losses.content / 4 + losses.total_variation * 2
    assert torch.allclose(losses.total, parts)


def test_without_discriminator_there_is_no_adversarial_stage(generator: SwiftSRGAN) -> None:
    """In the pixel stage only the image and the total-variation term are taken."""
    lr, hr = crops()
    weights = Loss(image="mse", adversarial=1.0, content=1.0, total_variation=1.0)
    losses = generator_loss(generator(lr), hr, weights, discriminator=None, content=None)
    assert isinstance(losses, GeneratorLoss)
    assert losses.adversarial is None
    assert losses.content is None
    assert losses.total_variation is not None
    assert torch.allclose(losses.total, losses.image + losses.total_variation)


def test_a_content_weight_needs_a_network(generator: SwiftSRGAN, discriminator: nn.Module) -> None:
    """A forgotten feature network is an error, not a term silently left out."""
    lr, hr = crops()
    weights = Loss(image="mse", adversarial=0.0, content=1.0, total_variation=0.0)
    with pytest.raises(ValueError, match="feature network"):
        generator_loss(generator(lr), hr, weights, discriminator=discriminator, content=None)


def test_image_loss_values() -> None:
    """A constant difference of 0.5 costs 0.25 as mse and 0.5 as l1."""
    a, b = torch.full((2, 1, 3, 3), 0.75), torch.full((2, 1, 3, 3), 0.25)
    assert image_loss("mse", a, b).item() == 0.25
    assert image_loss("l1", a, b).item() == 0.5


def test_adversarial_values() -> None:
    """At logit 0 both losses are ln 2; a fooled discriminator costs the generator nothing."""
    zero = torch.zeros(4)
    assert adversarial_loss(zero).item() == pytest.approx(math.log(2))
    assert adversarial_loss(zero + 50).item() == pytest.approx(0, abs=1e-9)
    assert adversarial_loss(zero - 50).item() == pytest.approx(50)
    judged = discriminator_loss(zero, zero)
    assert judged.total.item() == pytest.approx(math.log(2))
    assert judged.real_score.item() == judged.fake_score.item() == 0.5


def test_discriminator_loss_wants_hr_high_and_sr_low() -> None:
    """Right answers cost nothing, wrong ones cost their logit; scores are probabilities of HR."""
    high, low = torch.full((3,), 40.0), torch.full((3,), -40.0)
    right, wrong = discriminator_loss(high, low), discriminator_loss(low, high)
    assert right.total.item() == pytest.approx(0, abs=1e-9)
    assert wrong.total.item() == pytest.approx(40)
    assert (right.real_score.item(), right.fake_score.item()) == pytest.approx((1, 0))
    assert (wrong.real_score.item(), wrong.fake_score.item()) == pytest.approx((0, 1))


def test_total_variation_values() -> None:
    """A step of height 1 across the middle of a 4x4 image: 4 of 12 neighbours differ by 1."""
    image = torch.zeros(1, 1, 4, 4)
    image[..., 2:] = 1
    assert total_variation_loss(image).item() == pytest.approx(4 / 12)
    assert total_variation_loss(image.mT).item() == pytest.approx(4 / 12)
    assert total_variation_loss(image / 2).item() == pytest.approx(1 / 12)
    assert total_variation_loss(torch.ones(1, 1, 4, 4)).item() == 0


def test_content_is_zero_for_equal_images_alone(content: ContentFeatures) -> None:
    """The features of HR itself cost nothing, those of a blurred HR do; HR gets no gradient."""
    _, hr = crops()
    assert content_loss(content, hr, hr).item() == 0
    blurred = nn.functional.avg_pool2d(hr, 3, stride=1, padding=1)
    hr = hr.requires_grad_()
    blurred = blurred.detach().requires_grad_()
    loss = content_loss(content, blurred, hr)
    assert loss.item() > 1e-3
    loss.backward()
    assert hr.grad is None
    assert blurred.grad is not None


def test_the_discriminators_loss_stops_at_detached_sr(generator: SwiftSRGAN) -> None:
    """It teaches the discriminator and sends nothing to the generator."""
    lr, hr = crops()
    discriminator = Discriminator(channels=1, features=4)
    sr = generator(lr)
    judged = discriminator_loss(discriminator(hr), discriminator(sr.detach()))
    judged.total.backward()
    assert all(weight.grad is None for weight in generator.parameters())
    assert all(weight.grad.abs().max() > 0 for weight in discriminator.parameters())
    assert not judged.real_score.requires_grad
    assert not judged.fake_score.requires_grad
