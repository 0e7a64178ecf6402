"""The discriminator gives one logit an image."""

import pytest
import torch
from torch import nn

from srpipe.models.srresnet import SeparableConv2d
from srpipe.training.discriminators.swift import Discriminator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (96, 96), (48, 80)])
def test_one_logit_an_image(channels: int, size: tuple[int, int]) -> None:
    """From 32 px on, whatever the shape."""
    logits = Discriminator(channels=channels, features=4)(torch.rand(3, channels, *size))
    assert logits.shape == (3,)
    assert torch.isfinite(logits).all()


def test_it_has_eight_blocks_that_shrink_sixteen_times() -> None:
    """Eight separable convolutions, every second one of stride 2; widths double up to eight."""
    network = Discriminator(features=4)
    blocks = [module for module in network.modules() if isinstance(module, SeparableConv2d)]
    assert [block.depthwise.stride[0] for block in blocks] == [1, 2, 1, 2, 1, 2, 1, 2]
    assert [block.pointwise.out_channels for block in blocks] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert network.blocks(torch.rand(1, 1, 96, 64)).shape == (1, 32, 6, 4)


def test_the_input_block_is_not_normalised() -> None:
    """Seven of the eight blocks have BatchNorm."""
    norms = [m for m in Discriminator(features=4).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 7


def test_it_ends_in_a_logit() -> None:
    """There is no sigmoid: a larger last bias moves the output without limit."""
    network = Discriminator(features=4).eval()
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        before = network(image)
        last = network.classifier[-1]
        last.bias += 100
        assert torch.allclose(network(image), before + 100, atol=1e-3)


def test_every_weight_learns() -> None:
    """No layer is left out of the gradient."""
    network = Discriminator(features=4)
    network(torch.rand(4, 1, 32, 32)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().max() > 0, name
