"""The predecessor's training step and data loading, written anew, to be measured against.

The project architkaila/Super-Resolution-for-Medical-Images trains Swift-SRGAN on whole NIH
radiographs: RGB, float32, torch's default memory layout, HR 1024x1024 and LR 256x256. One step is

1. a generator pass on LR, in train mode, without gradient;
2. discriminator passes on HR and on that SR; 1 - D(HR) + D(SR), of the means of the sigmoids, goes
   backward, and the discriminator's AdamW steps;
3. a second generator pass on the same LR, with gradient;
4. a third discriminator pass, on the new SR, without gradient;
5. all of MobileNetV2's features (to stride 32) of SR and of HR, without gradient;
6. MSE + 0.001 (1 - D(SR)) + 0.006 content + 2e-8 TV goes backward, and the generator's AdamW steps;
7. four numbers are fetched to the host.

That 4 and 5 have no gradient is an error of it: the adversarial and the content term are computed
and then are constants, so that its generator only ever learned from MSE and TV. It is kept, because
the step is compared as it is; so it does less work than one that trains as it was meant to.

The networks are in the published form: PixelShuffle, PReLU and the 9x9 convolution at the SR
image's size. Nothing is taken from `srpipe`, which would make the predecessor faster with it.
MobileNetV2 has random weights here, which cost the same.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

SCALE = 4
# What its measurements are called everywhere.
NAME = "predecessor"
LEARNING_RATE = 1e-3
# The seven blocks after the first of the discriminator: channels, each pair once at stride 1 and 2.
WIDTHS = (64, 64, 128, 128, 256, 256, 512, 512)


class SeparableConv2d(nn.Module):
    """Depthwise, then pointwise convolution."""

    def __init__(
        self, inside: int, out: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inside, inside, kernel, stride, kernel // 2, groups=inside, bias=bias
        )
        self.pointwise = nn.Conv2d(inside, out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """Separable convolution, BatchNorm (optional), an activation (optional)."""

    def __init__(self, cnn: nn.Module, bn: nn.Module, act: nn.Module, activates: bool) -> None:
        super().__init__()
        self.cnn = cnn
        self.bn = bn
        self.act = act
        self.activates = activates

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.cnn(x))
        return self.act(x) if self.activates else x


class ResidualBlock(nn.Module):
    """Two blocks, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block1 = _generator_block(width, width, 3, norm=True, activates=True)
        self.block2 = _generator_block(width, width, 3, norm=True, activates=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.block1(x)) + x  # type: ignore[no-any-return]


class UpsampleBlock(nn.Module):
    """Convolution to four times the channels, PixelShuffle, PReLU at twice the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = SeparableConv2d(width, width * 4, 3)
        self.ps = nn.PixelShuffle(2)
        self.act = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.ps(self.conv(x)))  # type: ignore[no-any-return]


class Generator(nn.Module):
    """Swift-SRGAN, RGB, 4x, as published."""

    def __init__(self, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        self.initial = _generator_block(3, width, 9, norm=False, activates=True)
        self.residual = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.convblock = _generator_block(width, width, 3, norm=True, activates=False)
        self.upsampler = nn.Sequential(UpsampleBlock(width), UpsampleBlock(width))
        self.final_conv = SeparableConv2d(width, 3, 9)

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve `(N, 3, H, W)` to `(N, 3, 4H, 4W)`, in [0, 1]."""
        first = self.initial(lr)
        x = self.convblock(self.residual(first)) + first
        return (torch.tanh(self.final_conv(self.upsampler(x))) + 1) / 2


class Discriminator(nn.Module):
    """Eight blocks and two linear layers, as published; it ends in a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for index, (inside, out) in enumerate(zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)):
            norm = index > 0
            cnn = SeparableConv2d(inside, out, 3, stride=1 + index % 2, bias=not norm)
            bn = nn.BatchNorm2d(out) if norm else nn.Identity()
            blocks.append(ConvBlock(cnn, bn, nn.LeakyReLU(0.2, inplace=True), activates=True))
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(WIDTHS[-1] * 6 * 6, 1024),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(1024, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Classify `(N, 3, H, W)`: `(N, 1)` in (0, 1), high is HR."""
        return torch.sigmoid(self.classifier(self.blocks(image)))


@dataclass(frozen=True)
class Networks:
    """What a step uses: the networks in train mode, but for the frozen content network."""

    generator: nn.Module
    discriminator: nn.Module
    content: nn.Module
    of_generator: AdamW
    of_discriminator: AdamW


def build(device: str) -> Networks:
    """Return new networks and their optimizers."""
    from torchvision.models import mobilenet_v2  # slow to import, and nothing else needs it

    generator, discriminator = Generator().to(device), Discriminator().to(device)
    return Networks(
        generator,
        discriminator,
        mobilenet_v2().features.eval().requires_grad_(False).to(device),
        AdamW(generator.parameters(), lr=LEARNING_RATE),
        AdamW(discriminator.parameters(), lr=LEARNING_RATE),
    )


def step(networks: Networks, lr: Tensor, hr: Tensor) -> dict[str, float]:
    """Take one step, as the module's description says; return the numbers that it fetches.

    `lr` is float `(N, 3, h, w)`, `hr` `(N, 3, 4h, 4w)`, both in [0, 1].
    """
    generator, discriminator = networks.generator, networks.discriminator
    with torch.no_grad():
        sr = generator(lr)
    discriminator.zero_grad()
    real = discriminator(hr).mean()
    fake = discriminator(sr).mean()
    loss = 1 - real + fake
    loss.backward(retain_graph=True)
    networks.of_discriminator.step()

    generator.zero_grad()
    sr = generator(lr)
    with torch.no_grad():
        fake = discriminator(sr).mean()
        perceived = F.mse_loss(networks.content(sr), networks.content(hr))
    total = F.mse_loss(sr, hr) + 0.001 * (1 - fake) + 0.006 * perceived + 2e-8 * variation(sr)
    total.backward()
    networks.of_generator.step()
    numbers = {"generator": total, "discriminator": loss, "real": real, "fake": fake}
    return {name: value.item() for name, value in numbers.items()}


def variation(sr: Tensor) -> Tensor:
    """Return twice the mean squared difference of neighbours, down and across."""
    down = (sr[..., 1:, :] - sr[..., :-1, :]).pow(2).mean()
    across = (sr[..., :, 1:] - sr[..., :, :-1]).pow(2).mean()
    return 2 * (down + across)


def read_item(path: Path) -> tuple[Tensor, Tensor]:
    """Return LR and HR of a square image as its data set makes them, float `(3, S, S)` in [0, 1].

    It decodes, makes RGB and then float of it; then bytes again, bicubic, float.
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as transforms

    with Image.open(path) as image:
        hr = transforms.to_tensor(image.convert("RGB"))
    side = hr.shape[-1] // SCALE
    small = transforms.resize(transforms.to_pil_image(hr), [side, side], InterpolationMode.BICUBIC)
    return transforms.to_tensor(small), hr


def _generator_block(
    inside: int, out: int, kernel: int, *, norm: bool, activates: bool
) -> ConvBlock:
    cnn = SeparableConv2d(inside, out, kernel, bias=not norm)
    # It has a PReLU even where it is not used, which its checkpoints hold.
    return ConvBlock(cnn, nn.BatchNorm2d(out) if norm else nn.Identity(), nn.PReLU(out), activates)
