"""The roofline model: what an operation takes on a GPU by its data sheet."""

import pytest
import torch

from benchmarks import roofline
from benchmarks.roofline import Gpu

GPU = Gpu("a GPU", flops=1e12, bandwidth=1e9, reached=0.5, launch=1e-9)


def test_an_operation_takes_its_arithmetic_or_its_memory_traffic() -> None:
    """A large product is bound by arithmetic, a sum by memory; a view takes nothing."""
    side = 4096
    square = torch.zeros(side, side)
    few = Gpu("a slow one", flops=1e9, bandwidth=1e12, reached=0.5, launch=1e-9)
    assert roofline.seconds(lambda: square @ square, few) == pytest.approx(2 * side**3 / 1e9 / 0.5)
    traffic = 3 * side**2 * 2 / 1e9 / 0.5
    assert roofline.seconds(lambda: square + square, GPU) == pytest.approx(traffic)
    assert roofline.seconds(lambda: square.t()[1:, 2:].unsqueeze(0), GPU) == 0


def test_a_small_operation_takes_its_start() -> None:
    """However little it does."""
    slow = Gpu("a GPU", flops=1e15, bandwidth=1e15, launch=1e-3)
    one = torch.zeros(1)
    assert roofline.seconds(lambda: one + one, slow) == 1e-3


def test_backward_passes_count() -> None:
    """A convolution's takes twice the arithmetic of its forward pass: to its input, and weights."""
    few = Gpu("a slow one", flops=1e6, bandwidth=1e15, reached=1, launch=0)
    conv = torch.nn.Conv2d(4, 8, 3, padding=1, bias=False)
    image = torch.zeros(1, 4, 16, 16, requires_grad=True)
    forward = 2 * 4 * 8 * 9 * 16 * 16 / 1e6
    assert roofline.seconds(lambda: conv(image), few) == pytest.approx(forward, rel=1e-3)
    both = roofline.seconds(lambda: conv(image).sum().backward(), few)
    assert both == pytest.approx(3 * forward, rel=1e-3)


def test_inference_mode_counts_the_same_arithmetic() -> None:
    """Where torch hands over a composite operation, such as a linear layer, as a whole."""
    few = Gpu("a slow one", flops=1e6, bandwidth=1e15, reached=1, launch=0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.Linear(16, 32))
    image = torch.zeros(1, 4, 16, 16)

    def work() -> None:
        with torch.inference_mode():
            layers(image)

    expected = (2 * 4 * 8 * 9 * 16 * 16 + 2 * 8 * 16 * 16 * 32) / 1e6
    assert roofline.seconds(work, few) == pytest.approx(expected, rel=1e-3)
