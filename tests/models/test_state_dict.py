"""Weights load however a trainer wrapped them, and what does not fit is told by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from srpipe.core.errors import CheckpointError
from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import load_generator
from srpipe.training.discriminators.swift import Discriminator
from tests.models.made import SWIFT, randomised

State = Mapping[str, Tensor]
Wrap = Callable[[State], Mapping[str, Any]]

BESIDE = {"epoch": 5, "optimizer": {"state": {0: {"exp_avg": torch.zeros(4, 1, 9, 9)}}, "lr": 0.1}}


def prefixed(prefix: str) -> Wrap:
    """Return a wrapping that puts a prefix before every name."""
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def under(key: str, within: Wrap = dict) -> Wrap:
    """Return a wrapping that puts all under a key of a checkpoint, beside an optimizer's state."""
    return lambda state: {key: within(state), **BESIDE}


KERNEL = torch.zeros(4, 2, 3, 3)
PREFIXES = ("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "generator.")
KEYS = ("params", "params_ema", "state_dict", "model", "generator", "netG", "net_g", "G")
WRAPPINGS: dict[str, Wrap] = {
    **{f"{prefix or 'bare'}": prefixed(prefix) for prefix in PREFIXES},
    **{f"under {key}": under(key) for key in KEYS},
    "BasicSR, DDP": under("params", prefixed("module.")),
    "DDP, compiled": under("model", prefixed("module._orig_mod.")),
    "Lightning": lambda state: {
        "state_dict": {
            **prefixed("generator.")(state),
            **prefixed("discriminator.")(Discriminator(features=4).state_dict()),
        },
        "optimizer_states": [{"state": {}}],
    },
    "averaged": lambda state: {"n_averaged": torch.tensor(9), **prefixed("module.")(state)},
    "deep": lambda state: {"state": {"nets": {"netG": state}}, "step": 3},
    "half": lambda state: {"params": {name: value.half() for name, value in state.items()}},
}


def generator(name: str, seed: int = 0, scale: int = 2) -> SRGenerator:
    """Return a tiny generator as published: the weights of the others do not say of their skip."""
    arguments = {**SWIFT, "scale": scale, "bicubic_skip": name == "plain_sr"}
    return randomised(ARCHITECTURES[name](**arguments), seed)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a .pt file, or a .safetensors file: tensors alone, their names flattened."""
    if path.suffix != ".safetensors":
        torch.save(dict(content), path)
        return
    flat: dict[str, Tensor] = {}
    waiting = dict(content)
    while waiting:
        name, value = waiting.popitem()
        if isinstance(value, Tensor):
            flat[name] = value.clone()
        elif isinstance(value, Mapping):
            waiting |= {f"{name}.{key}": inner for key, inner in value.items()}
    save_file(flat, path)


def assert_weights(path: Path, model: SRGenerator, tolerance: float = 0) -> None:
    """Assert that a file loads as this generator, every weight in its place."""
    found = load_generator(path)
    theirs = model.state_dict()
    assert type(found.model) is type(model)
    assert (found.scale, found.record) == (model.scale, {})
    assert found.model.bicubic_skip == model.bicubic_skip
    assert found.model.state_dict().keys() == theirs.keys()
    for name, value in found.model.state_dict().items():
        assert torch.allclose(value, theirs[name], rtol=tolerance, atol=0), name


@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_load_however_they_are_wrapped(
    tmp_path: Path, name: str, wrapping: str, suffix: str
) -> None:
    """The architecture and its size are known by names and shapes."""
    model = generator(name)
    write(tmp_path / f"w.{suffix}", WRAPPINGS[wrapping](model.state_dict()))
    assert_weights(tmp_path / f"w.{suffix}", model, 1e-3 if wrapping == "half" else 0)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("scale", [4, 8])
def test_the_scale_is_that_of_the_shapes(tmp_path: Path, name: str, scale: int) -> None:
    model = generator(name, scale=scale)
    write(tmp_path / "w.pt", prefixed("module.")(model.state_dict()))
    assert_weights(tmp_path / "w.pt", model)


def test_the_wrappers_of_torch_itself_load(tmp_path: Path) -> None:
    """Compiled, averaged and parallel modules, as torch names their weights."""
    model = generator("plain_sr")
    averaged = torch.optim.swa_utils.AveragedModel(model)
    for wrapped in (torch.compile(model), averaged, nn.DataParallel(model)):
        state = wrapped.state_dict()  # type: ignore[attr-defined]
        assert state.keys() != model.state_dict().keys()
        torch.save(state, tmp_path / "w.pth")
        assert_weights(tmp_path / "w.pth", model)


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [("params", "params_ema"), ("generator", "generator_ema"), ("model", "ema"), ("g", "EMA.g")],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_moving_average_is_preferred_and_said(
    tmp_path: Path,
    plain: str,
    averaged: str,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whichever comes first, as BasicSR prefers params_ema."""
    path, model = tmp_path / f"w.{suffix}", generator("plain_sr", 1)
    other = generator("plain_sr", 2).state_dict()
    for first, second in (
        ((plain, other), (averaged, model.state_dict())),
        ((averaged, model.state_dict()), (plain, other)),
    ):
        write(path, {first[0]: first[1], second[0]: second[1], **BESIDE})
        assert_weights(path, model)
        told = capsys.readouterr().err
        assert f"{averaged}. (an EMA) is used" in told
        assert f"'{plain}.'" in told


def test_nothing_is_said_of_the_only_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "w.pt", under("params_ema")(generator("srgan").state_dict()))
    load_generator(tmp_path / "w.pt")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("names", [("first", "second"), ("ema_a", "ema_b"), ("netG", "best.netG")])
def test_of_several_generators_none_is_guessed(tmp_path: Path, names: tuple[str, str]) -> None:
    """Both are named, and how to save one alone."""
    states = (generator("plain_sr").state_dict(), generator("swift_srgan").state_dict())
    write(tmp_path / "w.pt", dict(zip(names, states, strict=True)))
    with pytest.raises(CheckpointError, match=r"w\.pt .*holds 2 generators.*torch\.save") as caught:
        load_generator(tmp_path / "w.pt")
    assert all(f"'{name}.'" in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"a.weight": torch.zeros(1, 1, 3, 3), "a.bias": torch.zeros(1)}, "'a.weight'"),
        ({"params": {"conv_first.weight": torch.zeros(8, 1, 3, 3)}}, "'params.conv_first.weight'"),
        ({"head.weight": torch.zeros(8, 2), "tail.weight": torch.zeros(8, 2)}, "'head.weight'"),
        (dict.fromkeys(("a_head.weight", "a_tail.weight"), KERNEL), "'a_head.weight'"),
        (dict.fromkeys("abcdefg", torch.zeros(1)), "'a', 'b', 'c', 'd' and 3 more"),
        ({"model": 3}, "'model'"),
        ({"initial.cnn.weight": torch.zeros(8, 1, 9, 9)}, "'initial.cnn.weight'"),
        (Discriminator(features=4).state_dict(), "'blocks.0.depthwise.weight'"),
    ],
)
def test_names_of_no_generator_are_told_with_those_wanted(
    tmp_path: Path, content: Mapping[str, Any], named: str
) -> None:
    """Another network's file is refused by some of its names, and what was wanted."""
    torch.save(dict(content), tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_generator(tmp_path / "w.pt")
    message = str(caught.value)
    assert f"w.pt cannot be loaded as a generator: its names are {named}" in message
    assert "plain_sr has head.weight and tail.weight" in message
    assert "swift_srgan has initial.cnn.depthwise.weight" in message
    assert "srgan has initial.cnn.weight and final_conv.weight" in message


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_that_are_not_all_there_are_not_half_loaded(
    tmp_path: Path, name: str, prefix: str
) -> None:
    """One missing, one too many, one of another shape: each by its name."""
    state = dict(generator(name).state_dict())
    bias = "tail.bias" if name == "plain_sr" else "convblock.bn.bias"

    def refused(changed: State) -> str:
        torch.save(prefixed(prefix)(changed), tmp_path / "w.pt")
        with pytest.raises(CheckpointError) as caught:
            load_generator(tmp_path / "w.pt")
        return str(caught.value)

    assert f"it lacks '{bias}'" in refused({k: v for k, v in state.items() if k != bias})
    assert "it has 'fuse.weight' besides" in refused({**state, "fuse.weight": torch.zeros(3)})
    assert f"size mismatch for {bias}" in refused({**state, bias: torch.zeros(99)})
