"""What work would take on a GPU that is not at hand: computed by the roofline model, not measured.

An operation takes as long as its arithmetic or its memory traffic, whichever is longer (S. Williams
et al., "Roofline: an insightful visual performance model for multicore architectures", CACM 52(4),
2009), and at least as long as starting it. Every tensor counts as bfloat16 that is read or written
once by each operation: nothing is fused or kept in a cache, which is slower than a GPU at its best.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

ELEMENT_BYTES = 2


@dataclass(frozen=True)
class Gpu:
    """What a GPU can do.

    Attributes:
        name: as it is sold.
        flops: floating-point operations a second, dense bfloat16, by its data sheet.
        bandwidth: bytes a second of its memory, by its data sheet.
        reached: the share of both that a program reaches. Assumed.
        launch: seconds that an operation takes at least. Assumed.
    """

    name: str
    flops: float
    bandwidth: float
    reached: float = 0.4
    launch: float = 1e-5


A100 = Gpu("NVIDIA A100, 40 GB", flops=312e12, bandwidth=1.555e12)


def seconds(work: Callable[[], object], gpu: Gpu) -> float:
    """Return the seconds that work, which is done here once on the CPU, would take on a GPU."""
    counted = _Roofline(gpu)
    with counted:
        work()
    return counted.seconds


class _Roofline(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the time of all operations, those of backward passes too."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.gpu = gpu
        self.seconds = 0.0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func._overloadpacket not in flop_registry:
            # In inference mode a composite operation, such as conv2d, comes here as a whole.
            with self:
                out = func.decompose(*args, **given)
            if out is not NotImplemented:
                return out
        out = func(*args, **given)
        if not _is_view(func):
            count = flop_registry.get(func._overloadpacket)
            flops = count(*args, **given, out_val=out) if count else 0
            tensors = [each for each in tree_leaves((args, given, out)) if torch.is_tensor(each)]
            moved = ELEMENT_BYTES * sum(each.numel() for each in tensors)
            best = max(flops / self.gpu.flops, moved / self.gpu.bandwidth)
            self.seconds += max(best / self.gpu.reached, self.gpu.launch)
        return out


def _is_view(func: Any) -> bool:
    """Return whether an operation moves nothing: its result is its input, seen otherwise."""
    aliases = [each.alias_info for each in func._schema.returns]
    return any(each is not None and not each.is_write for each in aliases)
