"""Exponential moving average of a generator's weights (B. Polyak & A. Juditsky, 1992).

torch's AveragedModel fetches its step count from the device in every step; this one never syncs.
"""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


class Ema(Generic[N]):
    """A copy of a network with the moving average of its weights.

    The decay after step n is min(decay, (1 + n) / (10 + n)): in a short stage, or early in a long
    one, the initial weights would otherwise dominate. BatchNorm's running statistics are averaged
    like weights; counters are copied. With decay 0 it is the network itself.
    """

    def __init__(self, network: N, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update with the network's weights after an optimizer step."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for ours, theirs in zip(_tensors(self.network), _tensors(network), strict=True):
            if keep and ours.is_floating_point():
                averaged.append(ours)
                current.append(theirs)
            else:
                ours.copy_(theirs)
        if averaged:
            torch._foreach_lerp_(averaged, current, 1 - keep)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [each.detach() for each in (*network.parameters(), *network.buffers())]
