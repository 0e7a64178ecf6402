"""How fast the machine multiplies and moves at best, and how near the operations of a step come.

The least that an operation can take is what its arithmetic takes at the speed of a large matrix
product, or what its inputs and outputs take to be read and written once at the speed of a copy,
whichever is more. The sum over a step's operations is its floor *without fusion*: a kernel that
does several operations at once, and maps that stay in a cache between two, go below it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.turns import synchronise

ATTEMPTS = 5


@dataclass(frozen=True)
class Sizes:
    """Side of the square matrices of each type, bytes of the copied buffer."""

    fp32: int
    bf16: int
    copy: int


# The copy is larger than any cache; the products are long enough to hide how they start.
CPU = Sizes(fp32=2048, bf16=4096, copy=1 << 29)
GPU = Sizes(fp32=8192, bf16=8192, copy=1 << 32)


@dataclass(frozen=True)
class Ceilings:
    """Operations a second (a multiplication and an addition are two), bytes a second."""

    fp32: float
    bf16: float
    copy: float


@dataclass
class Cost:
    """What the operations of one kind took, and the least that they could; seconds.

    `operations` are of convolutions and matrix products alone, `moved` are bytes read and written.
    """

    calls: int = 0
    seconds: float = 0.0
    operations: float = 0.0
    moved: float = 0.0
    arithmetic: float = 0.0
    bandwidth: float = 0.0
    floor: float = 0.0

    def add(self, other: "Cost") -> None:
        """Add another kind's cost."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def measure_ceilings(device: str, sizes: Sizes) -> Ceilings:
    """Return the best of several attempts each."""
    # On a GPU convolutions multiply float32 in TF32 unless told otherwise, so products may too.
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return Ceilings(
            _product(device, torch.float32, sizes.fp32),
            _product(device, torch.bfloat16, sizes.bf16),
            _copy(device, sizes.copy),
        )
    finally:
        torch.set_float32_matmul_precision(before)


def _product(device: str, kind: torch.dtype, side: int) -> float:
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * side**3 / _best(lambda: torch.mm(a, b, out=out), device)


def _copy(device: str, size: int) -> float:
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / _best(lambda: target.copy_(source), device)


def _best(work: Any, device: str) -> float:
    times = []
    for _ in range(ATTEMPTS + 1):  # the first one also starts threads and takes memory
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every operation that torch runs inside the `with` block, backward passes included.

    On a GPU each operation is waited for, so that its seconds are its own; their sum is then more
    than a step takes.
    """

    def __init__(self, ceilings: Ceilings, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ceilings = ceilings
        self.device = device
        self.costs: dict[str, Cost] = defaultdict(Cost)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation and book it."""
        kwargs = kwargs or {}
        synchronise(self.device)
        start = time.perf_counter()
        out = func(*args, **kwargs)
        synchronise(self.device)
        seconds = time.perf_counter() - start
        operations = _operations(func, args, kwargs, out)
        moved = _moved(func, args, kwargs, out)
        speed = self.ceilings.bf16 if _is_bf16(args) else self.ceilings.fp32
        arithmetic, bandwidth = operations / speed, moved / self.ceilings.copy
        self.costs[_kind(func, args)].add(
            Cost(1, seconds, operations, moved, arithmetic, bandwidth, max(arithmetic, bandwidth))
        )
        return out


def _operations(func: Any, args: Any, kwargs: Any, out: Any) -> float:
    """Return the operations of a convolution or a matrix product, 0 of anything else."""
    packet = func.overloadpacket
    if packet is torch.ops.aten.convolution_backward:
        # As many as forward for each gradient asked for. torch's own formula for this one counts
        # the gradient of a depthwise convolution's weights as many times as it has channels.
        gradient, image, weight, _, *rest = args
        forward = [image, weight, None, *rest[:-1]]
        count = flop_registry[torch.ops.aten.convolution](*forward, out_val=gradient)
        return float(count * sum(rest[-1][:2]))
    formula = flop_registry.get(packet)
    return float(formula(*args, **kwargs, out_val=out)) if formula is not None else 0.0


def _moved(func: Any, args: Any, kwargs: Any, out: Any) -> float:
    """Return the bytes of the inputs and outputs, each read or written once; 0 of a view."""
    if func.is_view or func.overloadpacket.__name__.startswith(("empty", "new_empty", "detach")):
        return 0.0
    return float(_size((args, kwargs)) + _size(out))


def _size(tree: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in _tensors(tree))


def _tensors(tree: Any) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _is_bf16(args: Any) -> bool:
    return any(each.dtype == torch.bfloat16 for each in _tensors(args))


_KINDS = {
    "batch_norm": "BatchNorm",
    "prelu": "activation",
    "leaky_relu": "activation",
    "hardtanh": "activation",
    "relu": "activation",
    "sigmoid": "activation",
    "tanh": "activation",
    "clone": "copy, layout, type",
    "copy": "copy, layout, type",
    "pixel_shuffle": "copy, layout, type",
    "pixel_unshuffle": "copy, layout, type",
    "cat": "copy, layout, type",
    "adam": "optimizer, average",
    "lerp": "optimizer, average",
    "mm": "linear",
}


def _kind(func: Any, args: Any) -> str:
    """Return the kind of an operation, in the words of the table."""
    packet = func.overloadpacket
    name = packet.__name__
    if packet is torch.ops.aten.convolution:
        return _convolution(args[1], args[8])
    if packet is torch.ops.aten.convolution_backward:
        return f"{_convolution(args[2], args[9])}, backward"
    return next((kind for part, kind in _KINDS.items() if part in name), "other")


def _convolution(weight: Tensor, groups: int) -> str:
    if groups > 1:
        return "depthwise"
    return "pointwise" if weight.shape[2:].numel() == 1 else "dense"
