"""The discriminator of Real-ESRGAN: a U-Net with spectral normalisation, one logit per pixel.

Architecture: X. Wang et al., "Real-ESRGAN", ICCVW 2021 (`UNetDiscriminatorSN` in BasicSR), after
the U-Net discriminator of E. Schoenfeld et al., CVPR 2020. Spectral normalisation: T. Miyato et
al., ICLR 2018. Layers are numbered as there. It outputs logits, without sigmoid, as the losses
expect.

Sharpening the input is our addition. HR and SR crops differ by a hundredth of their brightness, and
normalised layers cannot amplify so small a part of their signal: on the image itself the network
was at chance after 40 steps. With detail amplified to the scale of brightness it separated unseen
crops after 30. Initialisation is torch's default, as published, which is near logit 0.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from srpipe.models.base import local_detail

# Three layers of stride 2: sides are multiples of 2**3, and 32 leaves 4x4 at the deepest.
MULTIPLE = 8
MIN_SIDE = 32
# Weight with which `local_detail` is added to the image.
SHARPENING = 10.0


class SpectralConv2d(nn.Conv2d):
    """A convolution without bias, `(N, in, H, W)` to `(N, out, H/stride, W/stride)`."""

    def forward(self, x: Tensor) -> Tensor:
        # The largest singular value is computed here, by matrix-vector products that autocast would
        # run in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight
        return F.conv2d(x, weight, None, self.stride, self.padding)


def _normalised(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Module:
    """Return a 3x3, or at stride 2 a 4x4, convolution with largest singular value 1."""
    size = 3 if stride == 1 else 4
    return spectral_norm(
        SpectralConv2d(in_channels, out_channels, size, stride, padding=1, bias=False)
    )


class UNetDiscriminator(nn.Module):
    """Discriminates HR from SR at every pixel.

    Args:
        channels: image channels, 1 or 3.
        features: channels of the first layer; the deepest has eight times as many.
    """

    def __init__(self, *, channels: int = 1, features: int = 64) -> None:
        super().__init__()
        self.channels = channels
        self.conv0 = nn.Conv2d(channels, features, 3, padding=1)
        self.conv1 = _normalised(features, 2 * features, stride=2)
        self.conv2 = _normalised(2 * features, 4 * features, stride=2)
        self.conv3 = _normalised(4 * features, 8 * features, stride=2)
        self.conv4 = _normalised(8 * features, 4 * features)
        self.conv5 = _normalised(4 * features, 2 * features)
        self.conv6 = _normalised(2 * features, features)
        self.conv7 = _normalised(features, features)
        self.conv8 = _normalised(features, features)
        self.conv9 = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return a logit per pixel.

        Args:
            image: float `(N, channels, H, W)` in [0, 1], H and W multiples of 8 and at least 32.

        Returns:
            Logits `(N, 1, H, W)`, high for HR.

        Raises:
            ValueError: the shape is not allowed.
        """
        self._require_shape(image)
        # Added to the image, not in its place: the brightness matters too.
        image = image + SHARPENING * local_detail(image)
        x0 = _leaky(self.conv0(image))  # (N, F, H, W)
        x1 = _leaky(self.conv1(x0))  # (N, 2F, H/2, W/2)
        x2 = _leaky(self.conv2(x1))  # (N, 4F, H/4, W/4)
        x = _leaky(self.conv3(x2))  # (N, 8F, H/8, W/8)
        x = _leaky(self.conv4(_double(x))) + x2
        x = _leaky(self.conv5(_double(x))) + x1
        x = _leaky(self.conv6(_double(x))) + x0
        x = _leaky(self.conv8(_leaky(self.conv7(x))))  # (N, F, H, W)
        return self.conv9(x)  # type: ignore[no-any-return]

    def _require_shape(self, image: Tensor) -> None:
        sides = image.shape[2:]
        if (
            image.ndim != 4
            or image.shape[1] != self.channels
            or any(side % MULTIPLE or side < MIN_SIDE for side in sides)
        ):
            raise ValueError(
                f"images must be (N, {self.channels}, H, W), H and W multiples of {MULTIPLE} and "
                f"at least {MIN_SIDE}, got {tuple(image.shape)}"
            )


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2, inplace=True)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
