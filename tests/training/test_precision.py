"""bfloat16 is used where it was asked for or is faster, and what is used is told."""

import itertools

import pytest
import torch
from torch import nn

from srpipe.training.precision import Precision, autocast, choose, compiled

FP32, BF16 = Precision(False, False), Precision(True, True)


def have(monkeypatch: pytest.MonkeyPatch, *, amx: bool = False, cuda: bool = False) -> None:
    """Make torch say what multiplies bf16 in hardware."""

    def supported(including_emulation: bool = True) -> bool:
        return cuda or including_emulation

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


@pytest.mark.parametrize(("setting", "expected"), [("fp32", FP32), ("bf16", BF16)])
def test_what_is_set_is_used(
    monkeypatch: pytest.MonkeyPatch, setting: str, expected: Precision
) -> None:
    """For both networks, whatever the hardware and the discriminator are."""
    for there in (False, True):
        have(monkeypatch, amx=there, cuda=there)
        for device, name in itertools.product(("cpu", "cuda:1", "mps"), ("swift", "unet")):
            assert choose(setting, device, name) == expected


@pytest.mark.parametrize(
    ("amx", "discriminator", "expected"),
    [
        (False, "swift", FP32),
        (False, "unet", FP32),
        (True, "swift", Precision(generator=True, discriminator=False)),
        (True, "unet", BF16),
    ],
)
def test_auto_on_the_cpu_wants_amx(
    monkeypatch: pytest.MonkeyPatch, amx: bool, discriminator: str, expected: Precision
) -> None:
    """Without its matrix units bf16 is slower; with them depthwise networks still are."""
    have(monkeypatch, amx=amx)
    assert choose("auto", "cpu", discriminator) == expected


@pytest.mark.parametrize(("there", "expected"), [(True, BF16), (False, FP32)])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_auto_on_a_gpu_wants_hardware(
    monkeypatch: pytest.MonkeyPatch, device: str, there: bool, expected: Precision
) -> None:
    """Emulated bf16 does not count, and neither does what the CPU has."""
    have(monkeypatch, amx=not there, cuda=there)
    assert choose("auto", device, "swift") == expected


def test_auto_elsewhere_is_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on MPS, whatever the CPU beside it has."""
    have(monkeypatch, amx=True, cuda=True)
    assert choose("auto", "mps", "unet") == FP32


def test_the_record_is_in_words() -> None:
    """As it stands in the checkpoint and in MLflow."""
    assert FP32.record() == {"generator": "fp32", "discriminator": "fp32"}
    assert Precision(generator=True, discriminator=False).record() == {
        "generator": "bf16",
        "discriminator": "fp32",
    }


@pytest.mark.parametrize(("enabled", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_is_for_what_runs_inside(enabled: bool, dtype: torch.dtype) -> None:
    """A convolution's result has the type; its weights and what runs outside stay in float32."""
    layer = nn.Conv2d(1, 2, 3)
    image = torch.rand(1, 1, 8, 8)
    with autocast("cpu", enabled):
        assert layer(image).dtype == dtype
    assert layer(image).dtype == layer.weight.dtype == torch.float32


def test_compiling_is_left_out_unless_asked_for() -> None:
    """Off, the network is what it was; on, its weights are the same ones, to be trained."""
    network = nn.Linear(2, 2)
    assert compiled(network, None) is network
    assert [id(each) for each in compiled(network, "default").parameters()] == [
        id(each) for each in network.parameters()
    ]
