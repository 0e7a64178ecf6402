"""Each step changes the network that it is for, within the norm it is given, and both learn."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from srpipe.models.srresnet import SwiftSRGAN
from srpipe.settings.train import Loss
from srpipe.training.crops.cutting import Batch
from srpipe.training.discriminators.swift import Discriminator
from srpipe.training.losses import Objective
from srpipe.training.precision import FP32, Precision
from srpipe.training.state import Learner
from srpipe.training.steps import Crops, adversarial_step, counted_pixels, on_device, pixel_step

FORMS = ("bce", "hinge", "relativistic")


def objective(form: str = "bce", **changes: Any) -> Objective:
    """Return an objective: image and adversarial term alone, unless changed."""
    terms = {"image": "mse", "adversarial": 0.1, "content": 0.0, "total_variation": 0.0}
    return Objective(Loss.model_validate({**terms, "fine_image": "mse", **changes}), form)


def learner(network: nn.Module, rate: float) -> Learner:
    """Return a network that learns, as the training state makes it."""
    learnable = [weight for weight in network.parameters() if weight.requires_grad]
    return Learner(network, network, (AdamW(learnable, lr=rate, weight_decay=0.0, fused=True),))


def generator(rate: float = 1e-3) -> Learner:
    """Return a tiny generator in train mode."""
    torch.manual_seed(0)
    return learner(SwiftSRGAN(channels=1, features=8, blocks=1, scale=2), rate)


def discriminator(rate: float = 1e-3) -> Learner:
    """Return a tiny discriminator."""
    torch.manual_seed(1)
    return learner(Discriminator(channels=1, features=4), rate)


def crops(count: int = 4) -> Crops:
    """Return LR and HR of 2x: HR has fine texture that the LR image only hints at."""
    numbers = torch.Generator().manual_seed(2)
    lr = torch.rand(count, 1, 16, 16, generator=numbers) * 0.6 + 0.2
    hr = nn.functional.interpolate(lr, scale_factor=2, mode="nearest")
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) * 0.2
    return Crops(lr, hr + checks)


def weights_of(each: Learner) -> list[Tensor]:
    """Return a copy of all weights."""
    return [weight.detach().clone() for weight in each.network.parameters()]


def gradients_of(each: Learner) -> list[Tensor | None]:
    """Return a copy of all gradients."""
    return [None if w.grad is None else w.grad.clone() for w in each.network.parameters()]


def norm_of(gradients: list[Tensor | None]) -> float:
    """Return the Euclidean norm of all gradients together."""
    squares = [float(each.double().square().sum()) for each in gradients if each is not None]
    return sum(squares) ** 0.5


def same(a: list[Any], b: list[Any]) -> bool:
    """Say whether two lists hold equal tensors (or None)."""
    return all(
        (x is None and y is None) or (x is not None and y is not None and torch.equal(x, y))
        for x, y in zip(a, b, strict=True)
    )


class Applied:
    """Notes the norm of the gradient that a learner's optimizer is given."""

    def __init__(self, each: Learner) -> None:
        self.norms: list[float] = []
        each.optimizers[0].register_step_pre_hook(
            lambda *_: self.norms.append(norm_of(gradients_of(each)))
        )


class Pair:
    """A generator and a discriminator that learn from each other."""

    def __init__(self, generator_rate: float = 1e-3, discriminator_rate: float = 1e-3) -> None:
        self.generator = generator(generator_rate)
        self.discriminator = discriminator(discriminator_rate)

    def step(
        self,
        given: Crops,
        given_objective: Objective | None = None,
        precision: Precision = FP32,
        clip: float = 0.0,
    ) -> Mapping[str, Tensor]:
        """Take one adversarial step."""
        return adversarial_step(
            self.generator,
            self.discriminator,
            given,
            given_objective or objective(),
            precision,
            clip,
        )


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in float64, where the order of a sum makes no difference that is worth a bound."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("form", FORMS)
def test_each_half_step_changes_its_own_network_alone(form: str) -> None:
    """The discriminator's half leaves the generator as it was; the generator's half leaves the
    discriminator's weights and gradients as they were.
    """
    pair = Pair()
    pair.step(crops(), objective(form=form))  # gradients of an earlier step are there
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

    pair.discriminator.optimizers[0].register_step_post_hook(look)
    pair.step(crops(), objective(form=form))
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
    for each in (soiled.generator, soiled.discriminator):
        for weight in each.network.parameters():
            if weight.requires_grad:
                weight.grad = torch.full_like(weight, 1e3)
    clean.step(crops())
    soiled.step(crops())
    assert same(weights_of(clean.discriminator), weights_of(soiled.discriminator))
    assert same(weights_of(clean.generator), weights_of(soiled.generator))


def test_the_discriminator_learns_to_tell_sr_from_hr() -> None:
    """Against a generator that stands still, it soon gets every crop right, and says so."""
    pair = Pair(generator_rate=0.0, discriminator_rate=3e-3)
    given = crops(8)
    found = [pair.step(given) for _ in range(15)]
    assert abs(found[0]["real"] - found[0]["fake"]) < 0.2
    assert found[-1]["real"] > 0.9
    assert found[-1]["fake"] < 0.1
    assert found[-1]["real_accuracy"] == found[-1]["fake_accuracy"] == 1
    assert found[-1]["discriminator"] < found[0]["discriminator"] / 3


@pytest.mark.parametrize("form", FORMS)
def test_the_generator_learns_to_fool_the_discriminator(form: str) -> None:
    """Against a discriminator that stands still, its adversarial loss falls, in each form."""
    pair = Pair(generator_rate=3e-3, discriminator_rate=3e-3)
    given = crops()
    for _ in range(5):
        pair.step(given, objective(form=form))
    pair.discriminator.set_rate(0.0)
    fooling = objective(adversarial=100.0, form=form)
    found = [pair.step(given, fooling) for _ in range(25)]
    start, end = (float(found[index]["adversarial"]) for index in (0, -1))
    assert end < start - abs(start) / 2
    assert found[-1]["fake"] > found[0]["fake"]


@pytest.mark.parametrize("image", ["mse", "l1"])
def test_pixel_steps_fit_one_batch(image: str) -> None:
    """On a batch seen again and again the loss falls to less than half."""
    model = generator(5e-3)
    given = crops()
    wanted_objective = objective(image=image, adversarial=1.0, content=1.0)
    found = [pixel_step(model, given, wanted_objective, FP32, 0.0) for _ in range(40)]
    assert found[-1]["total"] < found[0]["total"] / 2
    assert set(found[0]) == {"total", "image", "gradient_norm"}


def test_a_pixel_step_reports_the_loss_before_it() -> None:
    """The loss told is that of the weights that made the image, and the step then changes them."""
    model = generator()
    given = crops()
    with torch.no_grad():
        wanted = (model.network(given.lr) - given.hr).square().mean()
    before = weights_of(model)
    found = pixel_step(model, given, objective(), FP32, 0.0)
    assert torch.allclose(found["total"], wanted)
    assert not same(weights_of(model), before)


def test_what_a_step_finds_is_named_and_detached() -> None:
    """Scalars without a graph behind them: summing them over an epoch holds no memory."""
    found = Pair().step(crops(), objective(total_variation=0.1))
    assert set(found) == {
        "total",
        "image",
        "adversarial",
        "total_variation",
        "gradient_norm",
        "discriminator",
        "real",
        "fake",
        "real_accuracy",
        "fake_accuracy",
        "discriminator_norm",
    }
    for name, value in found.items():
        assert value.shape == (), name
        assert value.dtype == torch.float32, name
        assert not value.requires_grad, name
    terms = found["image"] + 0.1 * found["adversarial"] + 0.1 * found["total_variation"]
    assert torch.allclose(found["total"], terms)


@pytest.mark.usefixtures("float64")
def test_the_reported_norm_is_the_gradients() -> None:
    """Of all weights of a network together; without clipping the optimizer gets it as it is."""
    pair = Pair()
    applied = Applied(pair.generator), Applied(pair.discriminator)
    found = pair.step(crops())
    assert applied[0].norms == [pytest.approx(float(found["gradient_norm"]), rel=1e-12)]
    assert applied[1].norms == [pytest.approx(float(found["discriminator_norm"]), rel=1e-12)]
    model = generator()
    of_pixels = Applied(model)
    found = pixel_step(model, crops(), objective(), FP32, 0.0)
    assert of_pixels.norms == [pytest.approx(float(found["gradient_norm"]), rel=1e-12)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("fraction", [0.5, 0.01])
def test_clipping_bounds_the_norm_that_is_applied(fraction: float) -> None:
    """Both networks' gradients are cut to the norm, direction kept; what is told is the norm
    before. (It is torch that adds 1e-6 to the norm, of 0.1 at least here, before dividing by it.)
    """
    free, bound = Pair(), Pair()
    told = free.step(crops())
    clip = fraction * min(float(told["gradient_norm"]), float(told["discriminator_norm"]))
    applied = Applied(bound.discriminator)
    found = bound.step(crops(), clip=clip)
    assert applied.norms == [pytest.approx(clip, rel=1e-5)]
    assert norm_of(gradients_of(bound.generator)) == pytest.approx(clip, rel=1e-5)
    assert torch.equal(found["discriminator_norm"], told["discriminator_norm"])

    whole, cut = generator(), generator()
    told = pixel_step(whole, crops(), objective(), FP32, 0.0)
    clip = fraction * float(told["gradient_norm"])
    found = pixel_step(cut, crops(), objective(), FP32, clip)
    assert torch.equal(found["gradient_norm"], told["gradient_norm"])
    assert norm_of(gradients_of(cut)) == pytest.approx(clip, rel=1e-5)
    for ours, theirs in zip(gradients_of(cut), gradients_of(whole), strict=True):
        if theirs is not None:
            assert torch.allclose(ours, theirs * fraction, rtol=1e-5, atol=0)


def test_a_norm_below_the_bound_is_left_alone() -> None:
    """To the bit: a generous bound gives the weights that none gives."""
    free, bound = Pair(), Pair()
    free.step(crops())
    bound.step(crops(), clip=1e6)
    assert same(weights_of(free.generator), weights_of(bound.generator))
    assert same(weights_of(free.discriminator), weights_of(bound.discriminator))


@pytest.mark.parametrize("form", FORMS)
def test_bf16_steps_keep_weights_and_losses_in_fp32(form: str) -> None:
    """Autocast is for the forward pass; what is summed and stored has full precision."""
    pair, plain = Pair(), Pair()
    wanted_objective = objective(form=form)
    found = pair.step(crops(), wanted_objective, Precision(generator=True, discriminator=True))
    wanted = plain.step(crops(), wanted_objective)
    for name, value in found.items():
        assert value.dtype == torch.float32, name
        assert torch.isfinite(value), name
    assert found["image"] == pytest.approx(float(wanted["image"]), rel=0.02)
    assert not torch.equal(found["image"], wanted["image"])
    assert all(weight.dtype == torch.float32 for weight in pair.generator.network.parameters())


def test_each_network_has_its_own_precision() -> None:
    """The generator alone in bf16 makes the images of bf16, the discriminator alone its logits."""
    seen: dict[str, set[torch.dtype]] = {"generator": set(), "discriminator": set()}

    def note(network: nn.Module, name: str) -> None:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda *given: seen[name].add(given[2].dtype))

    for precision in (Precision(True, False), Precision(False, True)):
        pair = Pair()
        note(pair.generator.network, "generator")
        note(pair.discriminator.network, "discriminator")
        pair.step(crops(), precision=precision)
        for name, used in vars(precision).items():
            assert seen[name] == {torch.bfloat16 if used else torch.float32}
            seen[name].clear()


# ------------------------------------------------------------------ what counts


def margin(*hidden: int) -> Tensor:
    """Return what counts of one HR crop of `crops`, with so many pixels hidden at its edges."""
    return counted_pixels(torch.tensor([hidden]), 32)


@pytest.mark.parametrize(
    "hidden", [(0, 0, 0, 0), (3, 0, 0, 0), (0, 3, 0, 0), (0, 0, 3, 0), (0, 0, 0, 3), (1, 2, 3, 4)]
)
def test_hidden_pixels_are_at_top_bottom_left_and_right(hidden: tuple[int, ...]) -> None:
    """In this order; what counts is the rectangle between, of each crop by itself."""
    both = torch.tensor([hidden, (0, 0, 0, 0)], dtype=torch.uint8)
    counted = counted_pixels(both, 10)
    assert counted.shape == (2, 1, 10, 10)
    assert counted.dtype == torch.bool
    top, bottom, left, right = hidden
    wanted = torch.zeros(10, 10, dtype=torch.bool)
    wanted[top : 10 - bottom, left : 10 - right] = True
    assert torch.equal(counted[0, 0], wanted)
    assert counted[1].all()


def test_bytes_become_crops_in_unit_range() -> None:
    """Grey is repeated for a colour generator; a margin of LR pixels is as much wider in HR."""
    numbers = torch.Generator().manual_seed(0)
    lr, hr = (
        torch.randint(0, 256, (2, 1, side, side), generator=numbers, dtype=torch.uint8)
        for side in (8, 32)
    )
    nothing, some = torch.zeros(2, 4, dtype=torch.uint8), torch.tensor([[2, 0, 1, 0], [0, 0, 0, 0]])
    whole = on_device(Batch(lr, hr, nothing), 3, "cpu")
    assert whole.counted is None
    for image, given in ((whole.lr, lr), (whole.hr, hr)):
        assert image.dtype == torch.float32
        assert torch.equal(image, (given.float() / 255).expand(-1, 3, -1, -1))
    found = on_device(Batch(lr, hr, some.to(torch.uint8)), 1, "cpu")
    assert torch.equal(found.counted, counted_pixels(some * 4, 32))


def test_a_wide_margin_at_8x_is_not_cut_to_a_byte() -> None:
    """40 LR pixels are 320 HR pixels, which a byte cannot hold."""
    lr, hr = (torch.zeros(1, 1, side, side, dtype=torch.uint8) for side in (128, 1024))
    hidden = torch.tensor([[40, 0, 0, 0]], dtype=torch.uint8)
    counted = on_device(Batch(lr, hr, hidden), 1, "cpu").counted
    assert not counted[0, 0, :320].any()
    assert counted[0, 0, 320:].all()


@pytest.mark.parametrize("image", ["mse", "l1", "psnr"])
def test_hr_that_does_not_count_teaches_nothing(image: str) -> None:
    """Whatever it is, the weights after a step are the same, and so is the loss; HR that counts
    does make a difference.
    """
    given, counted = crops(), margin(4, 0, 2, 8).expand(4, -1, -1, -1)
    noise = torch.rand(given.hr.shape, generator=torch.Generator().manual_seed(5))
    outside, inside = torch.where(counted, given.hr, noise), torch.where(counted, noise, given.hr)
    found, learned = [], []
    for hr in (given.hr, outside, inside):
        model = generator()
        found.append(
            pixel_step(model, Crops(given.lr, hr, counted), objective(image=image), FP32, 0.0)
        )
        learned.append(weights_of(model))
    assert torch.equal(found[0]["total"], found[1]["total"])
    assert same(learned[0], learned[1])
    assert not same(learned[0], learned[2])


@pytest.mark.parametrize("stage", ["pixel", *FORMS])
def test_no_gradient_comes_from_what_does_not_count(stage: str) -> None:
    """Of any term: the gradient of the output is 0 at every pixel that is hidden, and at no row or
    column that is not; the discriminator sees HR in the place of hidden SR.
    """
    lr, hr, _ = crops()
    counted = margin(4, 0, 2, 8).expand(4, -1, -1, -1)
    pair = Pair()
    gradients: list[Tensor] = []
    seen: list[Tensor] = []
    pair.generator.network.register_forward_hook(
        lambda *given: given[2].register_hook(gradients.append) and None
    )
    pair.discriminator.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    everything = Crops(lr, hr, counted)
    if stage == "pixel":
        pixel_step(pair.generator, everything, objective(total_variation=0.1), FP32, 0.0)
    else:
        pair.step(everything, objective(total_variation=0.1, form=stage))
    (gradient,) = gradients
    assert not gradient[~counted].any()
    used = gradient[0, 0].abs() > 0
    assert torch.equal(used.any(1), counted[0, 0].any(1))
    assert torch.equal(used.any(0), counted[0, 0].any(0))
    for images in seen:
        assert torch.equal(images[~counted], hr[~counted])
    assert (seen != []) == (stage != "pixel")


def test_a_mask_of_everything_is_no_mask() -> None:
    """To the bit."""
    lr, hr, _ = crops()
    free, masked = Pair(), Pair()
    free.step(Crops(lr, hr))
    masked.step(Crops(lr, hr, torch.ones(4, 1, 32, 32, dtype=torch.bool)))
    assert same(weights_of(free.generator), weights_of(masked.generator))
    assert same(weights_of(free.discriminator), weights_of(masked.discriminator))


def test_the_same_grey_level_in_eight_and_sixteen_bits_is_the_same_number() -> None:
    """What is acquired in eight bits is, to the network, what a stored crop is."""
    lr = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    nothing = torch.zeros((1, 4), dtype=torch.uint8)
    deep = (lr.to(torch.int32) * 257).to(torch.uint16)
    one, other = (on_device(Batch(each, lr, nothing), 1, "cpu").lr for each in (lr, deep))
    assert torch.equal(one, other)
    assert float(one.max()) == 1.0
