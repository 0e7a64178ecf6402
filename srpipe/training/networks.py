"""Building the configured generators and discriminators."""

from typing import Any

from torch import nn

from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.base import SRGenerator
from srpipe.settings.train import Discriminator, Generator
from srpipe.training.discriminators import swift, unet


def build_generator(settings: Generator, scale: int) -> SRGenerator:
    """Build the configured generator with new weights."""
    return ARCHITECTURES[settings.name](**hyperparameters(settings, scale))


def hyperparameters(settings: Generator, scale: int) -> dict[str, Any]:
    """Return the constructor's arguments, as a checkpoint records them."""
    return {**settings.model_dump(exclude={"name"}), "scale": scale}


def build_discriminator(settings: Discriminator, channels: int) -> nn.Module:
    """Build the configured discriminator, in train mode.

    Args:
        settings: of the discriminator.
        channels: image channels, 1 or 3: the generator's.

    Returns:
        A network of images `(N, channels, H, W)` in [0, 1], whose logits are `(N,)` ("swift") or
        `(N, 1, H, W)` ("unet").
    """
    kind = {"swift": swift.Discriminator, "unet": unet.UNetDiscriminator}[settings.name]
    return kind(channels=channels, features=settings.features)
