"""Optimizers: AdamW, or Muon for matrix-shaped weights and AdamW for the rest.

Muon (K. Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks")
orthogonalises each update, so that all its singular values are equal and rare directions are
learned as fast as frequent ones. torch's takes only matrices; here a convolution's kernel is one,
of (outputs, inputs * height * width).

It computes that update in bfloat16, whatever the training precision, and amplifies small parts of a
gradient: results on other hardware, or with another number of processes, differ more than with
AdamW.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from srpipe.settings.train import MUON_CHANNELS, Optimization


class ConvolutionMuon(Muon):
    """Muon for convolution kernels.

    Updates have the size of AdamW's (scaled as in J. Liu et al., 2025, "Muon is scalable for LLM
    training"), so that both use one learning rate. They do not depend on the gradient's scale.

    Args:
        kernels: weights `(outputs, inputs, height, width)`, float, in their final memory layout:
            contiguous or channels_last.
        lr: learning rate.
        weight_decay: decoupled, as AdamW's.

    Raises:
        RuntimeError: a kernel has another layout.
    """

    def __init__(self, kernels: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.kernels = list(kernels)
        self.last = [not kernel.is_contiguous() for kernel in self.kernels]
        # A view, not a copy: writing to the matrix writes to the kernel.
        matrices = [
            nn.Parameter(_rows(kernel.detach(), last).view(len(kernel), -1))
            for kernel, last in zip(self.kernels, self.last, strict=True)
        ]
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take a step with the gradients of the kernels.

        Raises:
            RuntimeError: a kernel has been moved since, and its matrix no longer shares its memory.
        """
        (group,) = self.param_groups
        for matrix, kernel, last in zip(group["params"], self.kernels, self.last, strict=True):
            if matrix.data_ptr() != kernel.data_ptr():
                raise RuntimeError("a kernel was moved after its optimizer was made")
            # If the gradient is in the other layout, this is a copy.
            matrix.grad = (
                None if kernel.grad is None else _rows(kernel.grad, last).reshape(matrix.shape)
            )
        super().step()  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of the kernels."""
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
    """Return the optimizers of a network's trainable weights; each weight has exactly one.

    Args:
        network: on its final device and in its final memory layout.
        name: "adamw", or "muon": Muon for kernels with at least 16 input and 16 output channels,
            AdamW for all else. Depthwise kernels, and first or last layers of few channels, have no
            directions worth balancing.
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
    """Return a kernel with its axes in memory order."""
    return kernel.permute(0, 2, 3, 1) if last else kernel
