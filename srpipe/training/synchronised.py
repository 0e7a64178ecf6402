"""BatchNorm with the statistics of the whole batch, not of one process's part of it.

Without it two processes would train a different network than one. On GPUs this is torch's
SyncBatchNorm; on the CPU, for which torch has none, it is `SynchronisedBatchNorm2d`.
"""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


class _Sum(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.contiguous().clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes, each of which has an equal part of the batch.

    Mean, then mean squared deviation from it, each summed over the processes: two small messages
    instead of one, and no cancellation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(N, C, H, W)`."""
        if not self.training:
            return super().forward(x)
        over = (0, 2, 3)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Sum.apply(wide.sum(over)) / count
        centred = wide - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum(over)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normal: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normal.to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("SynchronisedBatchNorm2d needs running statistics and a momentum")
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def synchronise(network: N, device: str) -> N:
    """Return the network with every BatchNorm2d synchronised; weights and names are unchanged."""
    if device.startswith("cuda"):
        converted: N = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for module in list(network.modules()):
        if type(module) is nn.BatchNorm2d:
            # The same object keeps its weights, buffers and place in the tree.
            module.__class__ = SynchronisedBatchNorm2d
    return network
