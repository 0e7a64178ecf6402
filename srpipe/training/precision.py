"""Training precision of each network: float32, or bfloat16 autocast where that is faster."""

from dataclasses import dataclass

import torch
from torch import nn

from srpipe.core import environment


@dataclass(frozen=True)
class Precision:
    """Whether the generator, and the discriminator with the content network, run in bf16."""

    generator: bool
    discriminator: bool

    def record(self) -> dict[str, str]:
        """Return the choice in words, to be recorded with the weights."""
        return {name: "bf16" if used else "fp32" for name, used in vars(self).items()}


FP32 = Precision(generator=False, discriminator=False)


def choose(setting: str, device: str, discriminator: str) -> Precision:
    """Return the precision of a setting ("fp32", "bf16" or "auto") on a device.

    "auto" is bf16 on GPUs that support it, and on CPUs with AMX for networks of dense convolutions:
    `benchmarks.training` found depthwise ones, used by the swift discriminator and the content
    network, slower in bf16 there.
    """
    if setting != "auto":
        return Precision(setting == "bf16", setting == "bf16")
    kind = torch.device(device).type
    if kind == "cuda":
        there = not environment.emulates_bf16(device)
        return Precision(there, there)
    if kind == "cpu" and torch.cpu._is_amx_tile_supported():
        return Precision(True, discriminator == "unet")
    return Precision(False, False)


def autocast(device: str, enabled: bool) -> torch.autocast:
    """Return the context in which a network's forward pass runs."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


def compiled(network: nn.Module, mode: str | None) -> nn.Module:
    """Return the network compiled in a torch.compile mode, or unchanged if the mode is None."""
    if mode is None:
        return network
    result: nn.Module = torch.compile(network, mode=mode)  # type: ignore[assignment]
    return result
