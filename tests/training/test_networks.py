"""Each discriminator that the settings allow is built from them."""

from typing import get_args

import pytest
import torch
from torch import nn

from srpipe.settings.train import Discriminator as Settings
from srpipe.training.discriminators.swift import Discriminator
from srpipe.training.discriminators.unet import UNetDiscriminator
from srpipe.training.networks import build_discriminator

NAMES = get_args(Settings.model_fields["name"].annotation)


@pytest.mark.parametrize(
    ("name", "kind", "logits"),
    [("swift", Discriminator, (2,)), ("unet", UNetDiscriminator, (2, 1, 32, 40))],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_name_chooses_the_network(
    name: str, kind: type[nn.Module], logits: tuple[int, ...], channels: int
) -> None:
    """One logit a crop or one a pixel; the deepest layer has eight times `features` channels."""
    network = build_discriminator(Settings(name=name, features=5, learning_rate=1e-4), channels)
    assert type(network) is kind
    assert network.training
    assert network(torch.rand(2, channels, 32, 40)).shape == logits
    widths = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert max(widths) == 40


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_settings_builds(name: str) -> None:
    """A name that the settings allow is no KeyError in training."""
    settings = Settings(name=name, features=4, learning_rate=1e-4)
    assert torch.isfinite(build_discriminator(settings, 1)(torch.rand(2, 1, 32, 32))).all()
