"""Building a discriminator from its settings."""

from torch import nn

from srpipe.models.discriminator import Discriminator
from srpipe.models.unet_discriminator import UNetDiscriminator
from srpipe.settings import Discriminator as Settings


def build_discriminator(settings: Settings, channels: int) -> nn.Module:
    """Build the discriminator that the settings name, in train mode.

    Args:
        settings: of the discriminator.
        channels: image channels, 1 or 3: the generator's.

    Returns:
        A network of images `(N, channels, H, W)` in [0, 1], whose logits are `(N,)` ("swift") or
        `(N, 1, H, W)` ("unet").
    """
    kind = {"swift": Discriminator, "unet": UNetDiscriminator}[settings.name]
    return kind(channels=channels, features=settings.features)
