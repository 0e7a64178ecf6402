"""The optimizers of a network: AdamW, or Muon for weights that are matrices and AdamW for others.

Muon (K. Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks") turns each
step of a matrix into the nearest one whose singular values are all alike, so that rare directions
are learned as fast as frequent ones. torch's takes matrices only; here a convolution's kernel is
one of (outputs, inputs * height * width).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from srpipe.settings import Optimization

# A layer with fewer inputs or outputs than that (the first one, depthwise kernels, a grey output)
# is no matrix whose directions were worth balancing; Muon's authors leave such ones out.
SMALLEST = 16


class ConvolutionMuon(Muon):
    """Muon for the kernels of convolutions.

    Its steps have the size of AdamW's (K. Jordan's form scaled as by J. Liu et al., 2025, "Muon is
    scalable for LLM training"), so that both take one learning rate.

    Args:
        kernels: weights `(outputs, inputs, height, width)`, float, contiguous or channels_last.
        lr: learning rate.
        weight_decay: decoupled, as AdamW's.
    """

    def __init__(self, kernels: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.kernels = list(kernels)
        self.last = [not kernel.is_contiguous() for kernel in self.kernels]
        matrices = [
            nn.Parameter(_matrix(kernel.detach(), last))
            for kernel, last in zip(self.kernels, self.last, strict=True)
        ]
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step with the gradients of the kernels, which share their memory with matrices."""
        (group,) = self.param_groups
        for matrix, kernel, last in zip(group["params"], self.kernels, self.last, strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad, last)
        return super().step(closure)  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for kernel in self.kernels:
            if set_to_none:
                kernel.grad = None
            elif kernel.grad is not None:
                kernel.grad.zero_()
        super().zero_grad(set_to_none)


def optimizers_of(
    network: nn.Module,
    name: Optimization,
    *,
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> tuple[Optimizer, ...]:
    """Return the optimizers of all weights of a network that learn; each weight has one.

    Args:
        network: where it shall be, in its final memory layout.
        name: "adamw", or "muon": that for the kernels of dense convolutions from at least 16 to at
            least 16 channels, AdamW for all else.
        lr: learning rate.
        betas: of AdamW.
        weight_decay: decoupled.
    """
    learnable = [weight for weight in network.parameters() if weight.requires_grad]
    kernels: list[Tensor] = []
    if name == "muon":
        kernels = [each for each in learnable if each.ndim == 4 and min(each.shape[:2]) >= SMALLEST]
    chosen = {id(kernel) for kernel in kernels}
    rest = [weight for weight in learnable if id(weight) not in chosen]
    adamw = AdamW(rest, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    if not kernels:
        return (adamw,)
    return adamw, ConvolutionMuon(kernels, lr=lr, weight_decay=weight_decay)


def _matrix(kernel: Tensor, last: bool) -> Tensor:
    """Return a kernel as a matrix; of a weight, one that shares its memory."""
    rows = kernel.permute(0, 2, 3, 1) if last else kernel
    return rows.reshape(len(rows), -1)
