"""A stage starts from its seed alone, and goes on from what a checkpoint holds, bit for bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srpipe.core.torch_file import load, save
from srpipe.models.srresnet import SRGAN, SwiftSRGAN
from srpipe.settings.train import Train
from srpipe.training.discriminators.swift import Discriminator
from srpipe.training.discriminators.unet import UNetDiscriminator
from srpipe.training.losses import Objective
from srpipe.training.optimizers import ConvolutionMuon
from srpipe.training.precision import FP32
from srpipe.training.state import Hardware, StageState, adversarial_stage, pixel_stage
from srpipe.training.steps import Crops, adversarial_step, pixel_step
from tests.training.small import SETTINGS, settings

# Muon is for kernels of 16 channels and more.
WIDE = {**SETTINGS["generator"], "name": "plain_sr", "features": 16}
HERE = Hardware()


def crops(step: int) -> Crops:
    """Return LR and HR of a step, at 2x."""
    numbers = torch.Generator().manual_seed(step)
    lr, hr = (torch.rand(4, 1, side, side, generator=numbers) for side in (16, 32))
    return Crops(lr, hr)


def adversarial(given: Train, changed: int = 0) -> StageState:
    """Return a new adversarial stage, from the pixel stage's start trained for some steps."""
    pixel = pixel_stage(given, 2, HERE)
    train(pixel, given, range(changed))
    return adversarial_stage(given, 2, pixel.ema.network, HERE)


def train(state: StageState, given: Train, steps: range) -> None:
    """Train for some steps."""
    for step in steps:
        found = crops(step)
        if state.discriminator is None:
            pixel_step(state.generator, found, Objective(given.loss), FP32, given.gradient_clip)
        else:
            adversarial_step(
                state.generator,
                state.discriminator,
                found,
                Objective(given.loss),
                FP32,
                given.gradient_clip,
            )
        state.ema.update(state.generator.network)


def tensors(value: Any, name: str = "") -> dict[str, Any]:
    """Return all that a nested state holds, under flat names."""
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: each for k, v in inner for key, each in tensors(v, f"{name}.{k}").items()}
    return {name: value}


def same(a: Any, b: Any) -> bool:
    """Say whether two states hold the same, to the bit."""
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(
        torch.equal(a[name], b[name]) if isinstance(a[name], Tensor) else a[name] == b[name]
        for name in a
    )


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Say whether two networks hold the same, to the bit."""
    return same(a.state_dict(), b.state_dict())


# ------------------------------------------------------------------ how a stage starts


def test_the_seed_alone_decides_the_start() -> None:
    """Whatever torch drew before; another seed is another start."""
    given = settings()
    first = adversarial(given)
    torch.rand(7)
    assert same(first.state(finished=False), adversarial(given).state(finished=False))
    other = adversarial(settings(seed=1))
    assert first.discriminator is not None
    assert other.discriminator is not None
    assert not equal(first.generator.network, other.generator.network)
    assert not equal(first.discriminator.network, other.discriminator.network)


def test_the_discriminator_depends_on_nothing_else() -> None:
    """A resumed training, which did not run the pixel stage, gets the same one; and so does one
    with another generator, so that the two can be compared.
    """
    given = settings()
    fresh = adversarial(given).discriminator
    larger = settings(generator={**given.generator.model_dump(), "features": 12})
    for other in (adversarial(given, changed=2), adversarial(larger)):
        assert fresh is not None
        assert other.discriminator is not None
        assert equal(fresh.network, other.discriminator.network)


def test_the_networks_are_those_of_the_settings() -> None:
    """Architecture, sizes and discriminator by name; the generator and its EMA alike."""
    generator = {**settings().generator.model_dump(), "name": "srgan", "features": 12}
    given = settings(
        generator=generator,
        adversarial__discriminator={"name": "unet", "features": 4, "learning_rate": 1e-3},
    )
    state = adversarial(given)
    for network in (state.generator.network, state.ema.network, state.pixel):
        assert isinstance(network, SRGAN)
        assert network.convblock.cnn.out_channels == 12
        assert network.scale == 2
    assert state.discriminator is not None
    assert isinstance(state.discriminator.network, UNetDiscriminator)
    swift = adversarial(settings())
    assert isinstance(swift.generator.network, SwiftSRGAN)
    assert swift.discriminator is not None
    assert isinstance(swift.discriminator.network, Discriminator)


def test_the_adversarial_stage_starts_from_the_pixel_ema() -> None:
    """Generator, EMA and the one that is kept hold its weights; none of them is it."""
    given = settings(ema=0.9)
    pixel = pixel_stage(given, 2, HERE)
    train(pixel, given, range(3))
    assert not equal(pixel.generator.network, pixel.ema.network)
    state = adversarial_stage(given, 2, pixel.ema.network, HERE)
    assert state.pixel is not None
    for network in (state.generator.network, state.ema.network, state.pixel):
        assert equal(network, pixel.ema.network)
    train(state, given, range(3))
    assert equal(state.pixel, pixel.ema.network)
    assert not equal(state.generator.network, state.pixel)
    assert not equal(state.ema.network, state.pixel)
    assert not state.pixel.training
    assert not any(each.requires_grad for each in state.pixel.parameters())


def test_optimizers_are_those_of_the_settings() -> None:
    """AdamW with the decay and the rates that are set, on every weight that learns."""
    given = settings(weight_decay=0.125)
    state = adversarial(given)
    pixel = pixel_stage(given, 2, HERE)
    assert state.discriminator is not None
    for learner, rate, betas in (
        (pixel.generator, given.learning_rate, (0.9, 0.999)),
        (state.generator, given.adversarial.learning_rate, (0.9, 0.99)),
        (state.discriminator, given.adversarial.discriminator.learning_rate, (0.9, 0.99)),
    ):
        (optimizer,) = learner.optimizers
        (group,) = optimizer.param_groups
        assert isinstance(optimizer, torch.optim.AdamW)
        assert (group["lr"], group["weight_decay"], group["betas"]) == (rate, 0.125, betas)
        wanted = {id(each) for each in learner.network.parameters() if each.requires_grad}
        assert {id(each) for each in group["params"]} == wanted
        learner.set_rate(0.5)
        assert group["lr"] == 0.5


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "muon", "generator": WIDE}], ids=["adamw", "muon"]
)
def test_a_stage_starts_from_the_weights_it_is_given(changes: dict[str, Any]) -> None:
    """The EMA, too; and what learns is those weights."""
    given = settings(ema=0.9, **changes)
    former = pixel_stage(given, 2, HERE)
    train(former, given, range(3))
    start = copy.deepcopy(former.generator.network.state_dict())
    state = pixel_stage(given, 2, HERE, start)
    for network in (state.generator.network, state.ema.network):
        assert equal(network, former.generator.network)
    train(state, given, range(1))
    assert not equal(state.generator.network, former.generator.network)


def test_muon_is_of_the_pixel_stage_alone() -> None:
    """Both its optimizers take the rate; the adversarial stage is AdamW's."""
    given = settings(optimizer="muon", generator=WIDE, weight_decay=0.125)
    pixel, later = pixel_stage(given, 2, HERE), adversarial(given)
    assert [type(each) for each in pixel.generator.optimizers] == [
        torch.optim.AdamW,
        ConvolutionMuon,
    ]
    assert later.discriminator is not None
    for learner in (later.generator, later.discriminator):
        assert [type(each) for each in learner.optimizers] == [torch.optim.AdamW]
    for rate in (given.learning_rate, 0.5):
        pixel.generator.set_rate(rate)
        groups = [group for each in pixel.generator.optimizers for group in each.param_groups]
        assert [(each["lr"], each["weight_decay"]) for each in groups] == [(rate, 0.125)] * 2
    before = copy.deepcopy(pixel.generator.network)
    train(pixel, given, range(2))  # in the first step the last layer is zero: no other learns
    for (name, ours), theirs in zip(
        pixel.generator.network.named_parameters(), before.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs) != ours.requires_grad, name


def test_the_ema_has_the_decay_that_is_set() -> None:
    """In both stages, which each begin it anew."""
    for given in (settings(ema=0.75), settings(ema=0.0)):
        pixel = pixel_stage(given, 2, HERE)
        train(pixel, given, range(2))
        state = adversarial_stage(given, 2, pixel.ema.network, HERE)
        assert pixel.ema.decay == state.ema.decay == given.ema
        assert (pixel.ema.steps, state.ema.steps) == (2, 0)


# ------------------------------------------------------------------ what a checkpoint holds


@pytest.mark.parametrize("stage", ["pixel", "adversarial"])
@pytest.mark.parametrize("name", ["swift", "unet"])
@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "muon", "generator": WIDE}], ids=["adamw", "muon"]
)
def test_a_saved_stage_goes_on_bit_for_bit(
    tmp_path: Path, stage: str, name: str, changes: dict[str, Any]
) -> None:
    """Networks, optimizers, EMA, spectral norms: two steps, a file, two more are four steps.

    It is loaded without running code from the file, into a stage that has trained otherwise.
    """
    discriminator = {"name": name, "features": 4, "learning_rate": 1e-3}
    given = settings(ema=0.9, adversarial__discriminator=discriminator, **changes)

    def new() -> StageState:
        return pixel_stage(given, 2, HERE) if stage == "pixel" else adversarial(given, changed=1)

    straight, former, later = new(), new(), new()
    train(straight, given, range(4))
    train(former, given, range(2))
    save(tmp_path / "state.pt", former.state(finished=False))
    train(later, given, range(7, 8))
    later.load(load(tmp_path / "state.pt"))
    assert same(later.state(finished=False), former.state(finished=False))
    train(later, given, range(2, 4))
    assert same(later.state(finished=False), straight.state(finished=False))


def test_a_finished_state_holds_what_is_handed_back_alone() -> None:
    """The EMAs, not what would train them on; it loads, and gives the same EMAs."""
    given = settings(ema=0.9)
    state = adversarial(given, changed=1)
    train(state, given, range(2))
    held = state.state(finished=True)
    assert held["generator"] is None
    assert held["discriminator"] is None
    again = adversarial(given)
    again.load(held)
    assert again.pixel is not None
    assert state.pixel is not None
    assert equal(again.ema.network, state.ema.network)
    assert equal(again.pixel, state.pixel)


def test_a_pixel_stage_has_no_discriminator() -> None:
    """Which is how a checkpoint says which stage it is of."""
    pixel, later = pixel_stage(settings(), 2, HERE), adversarial(settings())
    assert (pixel.adversarial, later.adversarial) == (False, True)
    held = pixel.state(finished=False)
    assert held["discriminator"] is held["pixel"] is None
    assert later.state(finished=False)["pixel"] is not None
