"""The optimizers of a network: AdamW, or Muon for weights that are matrices and AdamW for others.

Muon (K. Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks") turns each
step of a matrix into the nearest one whose singular values are all alike, so that rare directions
are learned as fast as frequent ones. torch's takes matrices only; here a convolution's kernel is
one of (outputs, inputs * height * width).

It finds that step in bfloat16, whatever the precision of training, and magnifies what is small in a
gradient: other hardware, or another number of processes, differs by more than with AdamW.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from srpipe.settings.train import MUON_CHANNELS, Optimization


class ConvolutionMuon(Muon):
    """Muon for the kernels of convolutions.

    Its steps have the size of AdamW's (scaled as by J. Liu et al., 2025, "Muon is scalable for LLM
    training"), so that both take one learning rate. They do not depend on the gradient's size.

    Args:
        kernels: weights `(outputs, inputs, height, width)`, float, in the memory layout that they
            keep: contiguous or channels_last.
        lr: learning rate.
        weight_decay: decoupled, as AdamW's.

    Raises:
        RuntimeError: a kernel is in no such layout.
    """

    def __init__(self, kernels: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.kernels = list(kernels)
        self.last = [not kernel.is_contiguous() for kernel in self.kernels]
        # A view and no copy: what is written to the matrix is written to the kernel.
        matrices = [
            nn.Parameter(_rows(kernel.detach(), last).view(len(kernel), -1))
            for kernel, last in zip(self.kernels, self.last, strict=True)
        ]
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take a step with the gradients of the kernels.

        Raises:
            RuntimeError: a kernel has been moved since, and its matrix is another's memory.
        """
        (group,) = self.param_groups
        for matrix, kernel, last in zip(group["params"], self.kernels, self.last, strict=True):
            if matrix.data_ptr() != kernel.data_ptr():
                raise RuntimeError("a kernel was moved after its optimizer was made")
            # The gradient may be in the other layout: then this is a copy.
            matrix.grad = (
                None if kernel.grad is None else _rows(kernel.grad, last).reshape(matrix.shape)
            )
        super().step()  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the kernels."""
        for kernel in self.kernels:
            if set_to_none:
                kernel.grad = None
            elif kernel.grad is not None:
                kernel.grad.zero_()
        super().zero_grad(set_to_none=True)


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
        name: "adamw", or "muon": that for kernels from at least 16 to at least 16 channels, AdamW
            for all else. Depthwise kernels, a first or last layer of few channels, have no
            directions that were worth balancing.
        lr: learning rate.
        betas: of AdamW.
        weight_decay: decoupled.

    Raises:
        ValueError: "muon", and there is no such kernel.
    """
    learnable = [weight for weight in network.parameters() if weight.requires_grad]
    if name == "adamw":
        return (_adamw(learnable, lr, betas, weight_decay),)
    kernels = [w for w in learnable if w.ndim == 4 and min(w.shape[:2]) >= MUON_CHANNELS]
    if not kernels:
        raise ValueError(f"muon: no kernel has {MUON_CHANNELS} inputs and {MUON_CHANNELS} outputs")
    chosen = {id(kernel) for kernel in kernels}
    rest = [weight for weight in learnable if id(weight) not in chosen]
    return (
        _adamw(rest, lr, betas, weight_decay),
        ConvolutionMuon(kernels, lr=lr, weight_decay=weight_decay),
    )


def _adamw(
    weights: Iterable[Tensor], lr: float, betas: tuple[float, float], weight_decay: float
) -> AdamW:
    return AdamW(weights, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


def _rows(kernel: Tensor, last: bool) -> Tensor:
    """Return a kernel with its axes in the order in which memory holds a weight's."""
    return kernel.permute(0, 2, 3, 1) if last else kernel
