"""The ledger counts what operations compute and move."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.ceilings import Ceilings, Ledger, Sizes, measure_ceilings

# One operation, and one byte, take a second; bf16 is ten times faster.
UNITS = Ceilings(fp32=1.0, bf16=10.0, copy=1.0)


def booked(module: nn.Module, image: Tensor) -> Ledger:
    """Return the ledger of a pass forward and back."""
    with Ledger(UNITS, "cpu") as ledger:
        module(image).sum().backward()
    return ledger


@pytest.mark.parametrize(
    ("kind", "kernel", "groups"), [("dense", 3, 1), ("pointwise", 1, 1), ("depthwise", 3, 8)]
)
def test_convolutions_are_counted_forward_and_back(kind: str, kernel: int, groups: int) -> None:
    """Two operations a tap; back as many for each gradient, whatever the number of groups."""
    convolution = nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups, bias=False)
    costs = booked(convolution, torch.rand(2, 8, 5, 5, requires_grad=True)).costs
    forward = 2 * (2 * 8 * 5 * 5) * (8 // groups) * kernel**2
    assert costs[kind].operations == forward
    assert costs[f"{kind}, backward"].operations == 2 * forward


def test_a_gradient_that_nobody_needs_is_not_counted() -> None:
    """An image without gradient leaves that of the weights."""
    costs = booked(nn.Conv2d(8, 8, 1, bias=False), torch.rand(2, 8, 5, 5)).costs
    assert costs["pointwise, backward"].operations == costs["pointwise"].operations


def test_bytes_are_those_of_inputs_and_outputs() -> None:
    """An addition reads two maps and writes one; a view moves nothing."""
    a, b = torch.rand(10, 10), torch.rand(10, 10)
    with Ledger(UNITS, "cpu") as ledger:
        (a + b).view(100)
    assert ledger.costs["other"].moved == 3 * 400
    assert ledger.costs["other"].operations == 0


def test_a_floor_is_the_larger_of_arithmetic_and_bytes() -> None:
    """For each operation, at the ceilings of its type; and the kinds are told apart."""
    x, weight = torch.rand(4, 4), torch.rand(4, 4)
    with Ledger(UNITS, "cpu") as ledger:
        x @ weight
        x.bfloat16() @ weight.bfloat16()
        F.leaky_relu(x)
    linear = ledger.costs["linear"]
    assert linear.calls == 2
    assert linear.arithmetic == 2 * 4**3 * (1 + 1 / 10)
    assert linear.bandwidth == 3 * 16 * (4 + 2)
    assert linear.floor == max(128, 192) + max(12.8, 96)
    assert ledger.costs["activation"].floor == 2 * 64
    assert ledger.costs["copy, layout, type"].calls == 2


def test_a_product_may_be_bound_by_arithmetic() -> None:
    """2 * 64^3 operations are more than 3 * 64^2 * 4 bytes."""
    x = torch.rand(64, 64)
    with Ledger(UNITS, "cpu") as ledger:
        x @ x.clone()
    assert ledger.costs["linear"].floor == 2 * 64**3


def test_ceilings_are_measured() -> None:
    """Three speeds, and the setting of the products is as it was."""
    before = torch.get_float32_matmul_precision()
    found = measure_ceilings("cpu", Sizes(fp32=32, bf16=32, copy=1 << 12))
    assert min(vars(found).values()) > 0
    assert torch.get_float32_matmul_precision() == before
