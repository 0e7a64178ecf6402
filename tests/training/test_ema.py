"""The EMA of the weights follows its formula, and never teaches."""

import math

import pytest
import torch
from torch import Tensor, nn

from srpipe.models.srresnet import SwiftSRGAN
from srpipe.training.ema import Ema

ROUNDING = 1e-13


def network() -> SwiftSRGAN:
    """Return a tiny generator with BatchNorm, in train mode and in float64: what differs from a
    formula there by more than `ROUNDING` is wrong on every CPU.
    """
    torch.manual_seed(0)
    return SwiftSRGAN(channels=1, features=4, blocks=1, scale=2).double()


def train_a_step(model: nn.Module, step: int) -> None:
    """Change every weight, and BatchNorm's statistics and counters, as a training step does."""
    numbers = torch.Generator().manual_seed(step)
    with torch.no_grad():
        model(torch.rand(2, 1, 6, 6, generator=numbers).double())
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=numbers) * 0.1)


def state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(("decay", "steps"), [(0.99, 3), (0.5, 12), (0.999, 5)])
def test_it_follows_its_formula(decay: float, steps: int) -> None:
    """Weights and running statistics; counters are copied."""
    model = network()
    ema = Ema(model, decay)
    by_hand = state(model)
    for step in range(1, steps + 1):
        train_a_step(model, step)
        ema.update(model)
        keep = min(decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                by_hand[name] = keep * by_hand[name] + (1 - keep) * value
            else:
                by_hand[name] = value.clone()
    assert ema.steps == steps
    statistics = [name for name in by_hand if "running" in name]
    assert len(statistics) == 6
    assert by_hand["convblock.bn.num_batches_tracked"] == steps
    for name, value in ema.network.state_dict().items():
        assert torch.allclose(value, by_hand[name], rtol=ROUNDING, atol=ROUNDING), name


def test_early_steps_forget_the_start() -> None:
    """From 0 to a constant 1: what is left of the start is the product of what each step keeps.

    2/11, 3/12, 4/13, ... until the decay is lower: after 10 steps less than a ten-thousandth, where
    a plain EMA of decay 0.99 would still hold nine tenths.
    """
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = Ema(model, 0.99)
    nn.init.ones_(model.weight)
    for step in range(1, 11):
        ema.update(model)
        left = math.prod(min(0.99, (1 + n) / (10 + n)) for n in range(1, step + 1))
        assert 1 - ema.network.weight.item() == pytest.approx(left, abs=1e-6)
    assert left < 1e-4


@pytest.mark.parametrize(("step", "keep"), [(1, 2 / 11), (8, 0.5), (80, 0.9), (890, 0.99)])
def test_the_decay_is_reached_and_kept(step: int, keep: float) -> None:
    """(1 + n) / (10 + n) passes 0.9 in step 80 and 0.99 in step 890; from then on it is 0.99."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    for decay in (0.99, 0.9):
        ema = Ema(model, decay)
        ema.steps = step - 1
        one = nn.Linear(1, 1, bias=False)
        nn.init.ones_(one.weight)
        ema.update(one)
        assert 1 - ema.network.weight.item() == pytest.approx(min(keep, decay), abs=1e-6)


def test_decay_0_is_the_network_itself() -> None:
    """Bit for bit, in every step."""
    model = network()
    ema = Ema(model, 0.0)
    for step in range(3):
        train_a_step(model, step)
        ema.update(model)
        for name, value in ema.network.state_dict().items():
            assert torch.equal(value, model.state_dict()[name]), name


def test_it_takes_no_part_in_training() -> None:
    """No weight of it learns, it stays in eval mode, and the network keeps mode and gradients."""
    model = network().train()
    ema = Ema(model, 0.9)
    model(torch.rand(2, 1, 6, 6).double()).sum().backward()
    gradients = [None if each.grad is None else each.grad.clone() for each in model.parameters()]
    ema.update(model)
    assert not ema.network.training
    assert not any(each.requires_grad for each in ema.network.parameters())
    assert all(each.grad is None and each.is_leaf for each in ema.network.parameters())
    assert model.training
    for each, before in zip(model.parameters(), gradients, strict=True):
        assert (each.grad is None) if before is None else torch.equal(each.grad, before)
    assert sum(each.requires_grad for each in model.parameters()) > 0


def test_it_is_a_copy() -> None:
    """It changes with `update` alone, and what is done to it does not reach the network."""
    model = network()
    ema = Ema(model, 0.9)
    before = state(ema.network)
    train_a_step(model, 1)
    assert all(torch.equal(before[name], each) for name, each in state(ema.network).items())
    trained = state(model)
    with torch.no_grad():
        for weight in ema.network.parameters():
            weight.zero_()
    assert all(torch.equal(trained[name], each) for name, each in state(model).items())
