"""Each term of the loss has its known value, and each alone teaches the generator."""

import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from srpipe.metrics.features import ContentFeatures
from srpipe.models.srresnet import SwiftSRGAN
from srpipe.settings.train import Adversarial, Content, Loss
from srpipe.training.content import load_content
from srpipe.training.discriminators.swift import Discriminator
from srpipe.training.discriminators.unet import UNetDiscriminator
from srpipe.training.losses import (
    GeneratorLoss,
    Objective,
    adversarial_loss,
    content_loss,
    discriminator_loss,
    generator_loss,
    image_loss,
    total_variation_loss,
)

OFF = {
    "image": "mse",
    "fine_image": "mse",
    "adversarial": 0.0,
    "content": 0.0,
    "total_variation": 0.0,
}
FORMS = get_args(Adversarial.model_fields["form"].annotation)
Numbers = npt.NDArray[np.float64]


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


def weighted(form: str = "bce", features: nn.Module | None = None, **changed: object) -> Objective:
    """Return an objective with every term off but those given."""
    return Objective(Loss.model_validate({**OFF, **changed}), form, features)


def logits(*shape: int) -> tuple[Tensor, Tensor]:
    """Return made logits of HR and of SR, of mixed signs and sizes, with gradient; in float64, so
    that no sum of them depends on its order by more than 1e-12.
    """
    real, fake = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3)).double()
    return (real * 3 + 0.5).requires_grad_(), (fake * 2).requires_grad_()


def crops() -> tuple[Tensor, Tensor]:
    """Return LR `(2, 1, 8, 8)` and HR `(2, 1, 32, 32)`."""
    numbers = torch.Generator().manual_seed(2)
    return torch.rand(2, 1, 8, 8, generator=numbers), torch.rand(2, 1, 32, 32, generator=numbers)


@pytest.mark.parametrize(
    ("term", "weights"),
    [
        ("image", {}),
        ("image", {"image": "l1"}),
        ("image", {"image": "psnr"}),
        ("adversarial", {"adversarial": 1.0}),
        ("adversarial", {"adversarial": 1.0, "form": "hinge"}),
        ("adversarial", {"adversarial": 1.0, "form": "relativistic"}),
        ("content", {"content": 1.0}),
        ("total_variation", {"total_variation": 1.0}),
    ],
)
def test_each_term_alone_teaches_the_generator(
    term: str,
    weights: dict[str, Any],
    generator: SwiftSRGAN,
    discriminator: nn.Module,
    content: ContentFeatures,
) -> None:
    """The gradient of the term itself reaches the first and the last convolution."""
    lr, hr = crops()
    objective = weighted(features=content, **weights)
    losses = generator_loss(generator(lr), hr, objective, discriminator)
    layers = (generator.initial.cnn.depthwise.weight, generator.final_conv.pointwise.weight)
    for gradient in torch.autograd.grad(getattr(losses, term), layers):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 1e-8


def test_terms_switched_off_are_none(generator: SwiftSRGAN, discriminator: nn.Module) -> None:
    """A weight of 0 leaves the term out, and total is the image term."""
    lr, hr = crops()
    losses = generator_loss(generator(lr), hr, weighted(), discriminator)
    assert (losses.adversarial, losses.content, losses.total_variation) == (None, None, None)
    assert torch.equal(losses.total, losses.image)


def test_total_is_the_weighted_sum(
    generator: SwiftSRGAN, discriminator: nn.Module, content: ContentFeatures
) -> None:
    """Terms are told unweighted; total weighs them."""
    lr, hr = crops()
    objective = weighted(
        features=content, image="l1", adversarial=0.5, content=0.25, total_variation=2.0
    )
    losses = generator_loss(generator(lr), hr, objective, discriminator)
    assert losses.adversarial is not None
    assert losses.content is not None
    assert losses.total_variation is not None
    parts = losses.image + losses.adversarial / 2 + losses.content / 4 + losses.total_variation * 2
    assert torch.allclose(losses.total, parts)


def test_without_discriminator_there_is_no_adversarial_stage(generator: SwiftSRGAN) -> None:
    """In the pixel stage only the image and the total-variation term are taken."""
    lr, hr = crops()
    objective = weighted(adversarial=1.0, content=1.0, total_variation=1.0)
    losses = generator_loss(generator(lr), hr, objective)
    assert isinstance(losses, GeneratorLoss)
    assert losses.adversarial is None
    assert losses.content is None
    assert losses.total_variation is not None
    assert torch.allclose(losses.total, losses.image + losses.total_variation)


def test_a_content_weight_needs_a_network(generator: SwiftSRGAN, discriminator: nn.Module) -> None:
    """A forgotten feature network is an error, not a term silently left out."""
    lr, hr = crops()
    with pytest.raises(ValueError, match="feature network"):
        generator_loss(generator(lr), hr, weighted(content=1.0), discriminator)


def test_image_loss_values() -> None:
    """A constant difference of 0.5 costs 0.25 as mse and 0.5 as l1."""
    a, b = torch.full((2, 1, 3, 3), 0.75), torch.full((2, 1, 3, 3), 0.25)
    assert image_loss("mse", a, b).item() == 0.25
    assert image_loss("l1", a, b).item() == 0.5


def test_the_psnr_loss_is_the_crops_mean_psnr() -> None:
    """But for a factor and a sign: a crop at 20 dB and one at 40 dB cost as two at 30 dB."""
    hr = torch.full((2, 1, 8, 8), 0.5)
    uneven = hr + torch.tensor([0.1, 0.01])[:, None, None, None]
    even = hr + 10**-1.5
    found = image_loss("psnr", uneven, hr).item()
    # A tenth of a grey level is added to an error, which is little beside these.
    assert found == pytest.approx(-30 * math.log(10) / 10, abs=1e-2)
    assert found == pytest.approx(image_loss("psnr", even, hr).item(), abs=1e-2)


def test_the_psnr_loss_weighs_crops_alike() -> None:
    """The gradient of a crop with small errors is as large, relative to them, as of one with large
    ones; equal images cost a finite number and pull nowhere.
    """
    hr = torch.full((3, 1, 8, 8), 0.5)
    errors = torch.tensor([0.2, 0.02, 0.0])[:, None, None, None]
    sr = (hr + errors).requires_grad_()
    loss = image_loss("psnr", sr, hr)
    assert torch.isfinite(loss)
    (gradient,) = torch.autograd.grad(loss, sr)
    large, small, none = (gradient * errors).sum((1, 2, 3)).tolist()
    assert small == pytest.approx(large, rel=1e-3)
    assert none == 0
    assert torch.equal(gradient[2], torch.zeros(1, 8, 8))


def test_an_image_loss_that_is_not_there_is_refused() -> None:
    """The message says which there are."""
    zero = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="'ssim': must be l1, mse or psnr"):
        image_loss("ssim", zero, zero)


def cost(probability_of: Numbers) -> float:
    """Return the mean of -log sigmoid, in float64."""
    return float(np.log1p(np.exp(-probability_of)).mean())


def expected_bce(real: Numbers, fake: Numbers) -> tuple[float, float]:
    """Return the losses of the discriminator and of the generator, as published."""
    return (cost(real) + cost(-fake)) / 2, cost(fake)


def expected_hinge(real: Numbers, fake: Numbers) -> tuple[float, float]:
    """Return the same of the hinge form, the discriminator's halved."""
    outside = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    return float(outside / 2), float(-fake.mean())


def expected_relativistic(real: Numbers, fake: Numbers) -> tuple[float, float]:
    """Return the same of the relativistic average form."""
    real, fake = real - fake.mean(), fake - real.mean()
    return (cost(real) + cost(-fake)) / 2, (cost(fake) + cost(-real)) / 2


@pytest.mark.parametrize("shape", [(7,), (3, 1, 4, 5)])
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("bce", expected_bce),
        ("hinge", expected_hinge),
        ("relativistic", expected_relativistic),
    ],
)
def test_adversarial_losses_follow_their_formulas(
    form: str,
    expected: Callable[[Numbers, Numbers], tuple[float, float]],
    shape: tuple[int, ...],
) -> None:
    """For one logit a crop and for maps, both sides have the value of the formula in NumPy."""
    real, fake = logits(*shape)
    wanted = expected(real.detach().numpy(), fake.detach().numpy())
    found = discriminator_loss(form, real, fake)
    learned = adversarial_loss(form, fake, real.detach())
    assert (found.total.item(), learned.item()) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_each_side_is_pulled_its_own_way(form: str) -> None:
    """The discriminator raises HR and lowers SR; the generator, at every logit, raises SR."""
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    up, down = torch.autograd.grad(discriminator_loss(form, real, fake).total, (real, fake))
    assert (up < 0).all()
    assert (down > 0).all()
    (pull,) = torch.autograd.grad(adversarial_loss(form, fake, real.detach()), fake)
    assert (pull < 0).all()


@pytest.mark.parametrize(
    ("form", "right", "wrong"), [("bce", 0, 40), ("hinge", 0, 41), ("relativistic", 0, 80)]
)
def test_right_predictions_cost_nothing_and_wrong_ones_their_logit(
    form: str, right: float, wrong: float
) -> None:
    """HR at 40 and SR at -40 is right; the other way round every prediction is wrong."""
    high, low = torch.full((3,), 40.0), torch.full((3,), -40.0)
    perfect, fooled = discriminator_loss(form, high, low), discriminator_loss(form, low, high)
    assert perfect.total.item() == pytest.approx(right, abs=1e-9)
    assert fooled.total.item() == pytest.approx(wrong)
    for found, real, fake in ((perfect, 1, 0), (fooled, 0, 1)):
        assert (found.real_score.item(), found.fake_score.item()) == pytest.approx((real, fake))
    for found, share in ((perfect, 1), (fooled, 0)):
        assert (found.real_accuracy.item(), found.fake_accuracy.item()) == (share, share)


def test_accuracies_are_the_fractions_of_right_predictions() -> None:
    """0 predicts nothing; relative logits are compared to the mean of the other side's."""
    real = torch.tensor([1.0, -1.0, 2.0, 0.0])  # mean 0.5
    fake = torch.tensor([-1.0, 0.25, -3.0, -0.25])  # mean -1
    for form in ("bce", "hinge"):
        found = discriminator_loss(form, real, fake)
        assert (found.real_accuracy.item(), found.fake_accuracy.item()) == (0.5, 0.75)
    found = discriminator_loss("relativistic", real, fake)
    # Less -1 the HR logits are 2, 0, 3, 1; less 0.5 the SR logits are -1.5, -0.25, -3.5, -0.75.
    assert (found.real_accuracy.item(), found.fake_accuracy.item()) == (0.75, 1.0)
    scores = (found.real_score.item(), found.fake_score.item())
    relative = np.array([2.0, 0.0, 3.0, 1.0]), np.array([-1.5, -0.25, -3.5, -0.75])
    assert scores == pytest.approx([(1 / (1 + np.exp(-side))).mean() for side in relative])


def test_the_relativistic_form_does_not_care_where_zero_is() -> None:
    """The same added to all logits changes nothing, predictions included."""
    real, fake = logits(6)
    near, far = (discriminator_loss("relativistic", real + by, fake + by) for by in (0, 16))
    for name, value in vars(near).items():
        assert getattr(far, name).item() == pytest.approx(value.item(), rel=1e-12), name
    learned = [adversarial_loss("relativistic", fake + by, real + by).item() for by in (0, 16)]
    assert learned[1] == pytest.approx(learned[0], rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1e-30, 1e4])
def test_adversarial_losses_are_finite_for_any_logits(form: str, size: float) -> None:
    """Neither logs of 0 nor overflow, in value or gradient."""
    real, fake = (each.detach().float().mul(size).requires_grad_() for each in logits(50))
    loss = discriminator_loss(form, real, fake)
    learned = adversarial_loss(form, fake, real.detach())
    found = [*vars(loss).values(), learned]
    found += torch.autograd.grad(loss.total, (real, fake))
    found += torch.autograd.grad(learned, fake)
    assert all(torch.isfinite(value).all() for value in found)


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_logits_are_taken_in_float32(form: str) -> None:
    """As autocast gives them: the means and the differences lose nothing."""
    real, fake = (each.detach().bfloat16() for each in logits(4, 1, 32, 32))
    found, exact = (
        discriminator_loss(form, *pair) for pair in ((real, fake), (real.float(), fake.float()))
    )
    for name, value in vars(exact).items():
        assert torch.equal(getattr(found, name), value), name
    assert torch.equal(
        adversarial_loss(form, fake, real), adversarial_loss(form, fake.float(), real.float())
    )


def test_a_form_that_is_not_there_is_refused() -> None:
    """On both sides, and the relativistic one without HR's logits."""
    zero = torch.zeros(2)
    with pytest.raises(ValueError, match="'wgan': must be one of"):
        discriminator_loss("wgan", zero, zero)
    with pytest.raises(ValueError, match="'wgan': must be one of"):
        adversarial_loss("wgan", zero, zero)
    with pytest.raises(ValueError, match="logits of HR must be given"):
        adversarial_loss("relativistic", zero, None)


@pytest.mark.parametrize("network", [Discriminator, UNetDiscriminator])
@pytest.mark.parametrize("form", FORMS)
def test_the_generators_term_is_what_the_discriminator_says(
    form: str, network: type[nn.Module]
) -> None:
    """Of SR, and of HR only where it is compared; its gradient reaches SR alone."""
    lr, hr = crops()
    discriminator = network(channels=1, features=4).eval()
    sr, hr = nn.functional.interpolate(lr, scale_factor=4).requires_grad_(), hr.requires_grad_()
    asked: list[Tensor] = []
    discriminator.register_forward_pre_hook(lambda _, images: asked.append(images[0]))
    discriminator.requires_grad_(False)
    losses = generator_loss(sr, hr, weighted(form, adversarial=1.0), discriminator)
    assert any(each is sr for each in asked)
    assert any(each is hr for each in asked) == (form == "relativistic")
    assert losses.adversarial is not None
    assert torch.allclose(
        losses.adversarial, adversarial_loss(form, discriminator(sr), discriminator(hr))
    )
    to_sr, to_hr = torch.autograd.grad(losses.adversarial, (sr, hr), allow_unused=True)
    assert to_sr.abs().max() > 0
    assert to_hr is None


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


@pytest.mark.parametrize("network", [Discriminator, UNetDiscriminator])
@pytest.mark.parametrize("form", FORMS)
def test_the_discriminators_loss_stops_at_detached_sr(
    form: str, network: type[nn.Module], generator: SwiftSRGAN
) -> None:
    """It teaches the discriminator and sends nothing to the generator."""
    lr, hr = crops()
    torch.manual_seed(1)
    discriminator = network(channels=1, features=4)
    sr = generator(lr)
    found = discriminator_loss(form, discriminator(hr), discriminator(sr.detach()))
    found.total.backward()
    assert all(weight.grad is None for weight in generator.parameters())
    for name, weight in discriminator.named_parameters():
        # What is added to all logits HR pulls up as hard as SR pulls it down, but for bce.
        if form == "bce" or name not in ("classifier.4.bias", "conv9.bias"):
            assert weight.grad.abs().max() > 0, name
    found = {name: value.requires_grad for name, value in vars(found).items()}
    assert found.pop("total")
    assert not any(found.values())
