"""Swift-SRGAN and SRGAN generators: one architecture, two kinds of convolution.

Architecture (SRResNet): C. Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a
Generative Adversarial Network", CVPR 2017, figure 4. Swift-SRGAN replaces each dense convolution by
a depthwise separable one: K. Krishnan et al., "SwiftSRGAN - Rethinking Super-Resolution for
Efficient and Real-time Inference", ICICCT 2021. Module names and shapes are those of the public
Swift-SRGAN code, so its checkpoints load strictly and other tools (spandrel) load ours.

The global bicubic skip is our addition, off in the published form; see `base`.
"""

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.models.base import SRGenerator, local_detail, upscale_bicubic
from srpipe.models.form import SKIP_GAIN, srresnet_reach


class SeparableConv2d(nn.Module):
    """Depthwise then pointwise convolution: `(N, in, H, W)` to `(N, out, H, W)` at stride 1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            groups=in_channels,
            bias=bias,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(x)
        return self.pointwise(x)  # type: ignore[no-any-return]

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Return weight `(out, in, k, k)` and bias `(out,)` of the equivalent dense convolution.

        Equal up to rounding, at the border too: zeros are padded before either bias.
        """
        weight = self.pointwise.weight * self.depthwise.weight.transpose(0, 1)
        if self.pointwise.bias is None or self.depthwise.bias is None:
            return weight, None
        return weight, self.pointwise.bias + self.pointwise.weight[..., 0, 0] @ self.depthwise.bias


Convolution = Callable[..., nn.Module]


class ConvBlock(nn.Module):
    """Convolution at stride 1, BatchNorm (optional), PReLU (optional)."""

    def __init__(
        self,
        convolution: Convolution,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: bool,
        activation: bool,
    ) -> None:
        super().__init__()
        self.cnn = convolution(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=not norm
        )
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        # The public code creates this PReLU even where it is unused, and its checkpoints hold it.
        self.act = nn.PReLU(out_channels)
        self.activation = activation
        if not activation:
            self.act.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.cnn(x))
        return self.act(x) if self.activation else x


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to the input: `(N, C, H, W)` to the same."""

    def __init__(self, convolution: Convolution, channels: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(convolution, channels, channels, 3, norm=True, activation=True)
        self.block2 = ConvBlock(convolution, channels, channels, 3, norm=True, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.block1(x)) + x  # type: ignore[no-any-return]


class UpsampleBlock(nn.Module):
    """Convolution to four times the channels, PixelShuffle: `(N, C, H, W)` to `(N, C, 2H, 2W)`."""

    def __init__(self, convolution: Convolution, channels: int) -> None:
        super().__init__()
        self.conv = convolution(channels, channels * 4, 3, padding=1)
        self.ps = nn.PixelShuffle(2)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.ps(self.conv(x)))  # type: ignore[no-any-return]


class SRResNet(SRGenerator):
    """The architecture that both generators share.

    Args:
        convolution: the kind of convolution, `SeparableConv2d` or `nn.Conv2d`.
        channels: image channels, 1 (grey) or 3 (RGB).
        features: channels of the hidden layers.
        blocks: number of residual blocks.
        scale: 2, 4 or 8; log2(scale) upsampling blocks.
        bicubic_skip: add the bicubic interpolation of the input to the output.

    Raises:
        ValueError: `scale` or `channels` is not one of the allowed values.
    """

    def __init__(
        self,
        convolution: Convolution,
        *,
        channels: int,
        features: int,
        blocks: int,
        scale: int,
        bicubic_skip: bool,
    ) -> None:
        super().__init__(channels=channels, scale=scale, bicubic_skip=bicubic_skip)
        self.initial = ConvBlock(convolution, channels, features, 9, norm=False, activation=True)
        self.residual = nn.Sequential(
            *(ResidualBlock(convolution, features) for _ in range(blocks))
        )
        self.convblock = ConvBlock(convolution, features, features, 3, norm=True, activation=False)
        self.upsampler = nn.Sequential(
            *(UpsampleBlock(convolution, features) for _ in range(int(math.log2(scale))))
        )
        self.final_conv = convolution(features, channels, 9, padding=4)
        if bicubic_skip:
            self._start_at_bicubic()
        else:
            self._start_at_interpolation()

    @property
    def reach(self) -> int:
        """See `form.srresnet_reach`."""
        return srresnet_reach(len(self.residual), self.scale, self.bicubic_skip)

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve a batch.

        Args:
            lr: float `(N, channels, H, W)` in [0, 1].

        Returns:
            float `(N, channels, scale*H, scale*W)` in [0, 1]. With the bicubic skip, values may
            leave [0, 1] slightly in train mode, because clamping would stop their gradient.

        Raises:
            ValueError: the shape is not `(N, channels, H, W)`.
        """
        self.require(lr)
        first = self.initial(local_detail(lr) if self.bicubic_skip else lr)  # (N, F, H, W)
        x = self.residual(first)  # (N, F, H, W)
        x = self.convblock(x) + first  # (N, F, H, W)
        x = self._upsample(x)  # (N, C, sH, sW)
        if not self.bicubic_skip:
            return (torch.tanh(x.to(lr.dtype)) + 1) / 2  # bf16 has steps of 1/256 here
        sr: Tensor = upscale_bicubic(lr, self.scale) + x / SKIP_GAIN
        return sr if self.training else sr.clamp(0, 1)

    def _upsample(self, x: Tensor) -> Tensor:
        """Apply `upsampler` and `final_conv` to `(N, F, H, W)`, the last steps at half resolution.

        As published - PixelShuffle, PReLU, 9x9 convolution of 64 maps at SR resolution - these
        steps took a third of the training time. PReLU commutes with the shuffle, and a convolution
        after a shuffle has an equivalent before it (`before_shuffle`): the same function up to
        rounding, several times faster, and no map is as large as the image.
        """
        *first, last = cast("list[UpsampleBlock]", list(self.upsampler))
        for block in first:
            x = block(x)
        x = last.conv(x)  # (N, 4F, sH/2, sW/2)
        x = F.prelu(x, last.act.weight.repeat_interleave(4))
        final = cast("SeparableConv2d | nn.Conv2d", self.final_conv)
        weight, bias = (
            final.dense() if isinstance(final, SeparableConv2d) else (final.weight, final.bias)
        )
        bias = None if bias is None else bias.repeat_interleave(4)
        x = F.conv2d(x, before_shuffle(weight), bias, padding=2)  # (N, 4C, sH/2, sW/2)
        return F.pixel_shuffle(x, 2)

    def _start_at_bicubic(self) -> None:
        """Initialise to bicubic, with features that preserve the image.

        torch's default initialisation shrinks the signal in every layer, and random depthwise
        kernels blur it (for grey, the first is a single 9x9 filter). He initialisation (ICCV 2015)
        keeps its scale; a centred 1 in the first and last depthwise kernels keeps its detail.
        """
        self._keep_the_size_of_the_signal()
        last = self.final_conv
        for end in (self.initial.cnn, last):
            if isinstance(end, SeparableConv2d):
                nn.init.normal_(end.depthwise.weight, std=0.02)
                with torch.no_grad():
                    end.depthwise.weight[:, :, 4, 4] += 1
        last = last.pointwise if isinstance(last, SeparableConv2d) else last
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]

    @torch.no_grad()
    def _start_at_interpolation(self) -> None:
        """Initialise, without a skip, to a smooth interpolation: one feature carries the image.

        With torch's default initialisation a network needs thousands of steps to reproduce its
        input. The residual body starts at 0 (P. Goyal et al., 2017: the last BatchNorm's weight),
        the image bypasses it, the shuffles repeat each pixel (A. Aitken et al., "ICNR", 2017), and
        the last convolution smooths the result. tanh distorts values near 0 and 1; training
        corrects that.
        """
        self._keep_the_size_of_the_signal()
        nn.init.zeros_(cast("nn.BatchNorm2d", self.convblock.bn).weight)
        smooth = torch.tensor([0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 1.0, 0.0, 0.0]) / 8
        for channel in range(self.channels):
            _carry(self.initial.cnn, channel, [channel])
            for block in cast("list[UpsampleBlock]", list(self.upsampler)):
                _carry(block.conv, channel, range(4 * channel, 4 * channel + 4))
            _carry(self.final_conv, channel, [channel], 2 * torch.outer(smooth, smooth))
        last = self.final_conv
        last = last.pointwise if isinstance(last, SeparableConv2d) else last
        nn.init.constant_(last.bias, -1.0)  # type: ignore[arg-type]

    def _keep_the_size_of_the_signal(self) -> None:
        """Give every convolution He initialisation (ICCV 2015) and zero bias."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                depthwise = module.groups > 1
                nn.init.kaiming_normal_(module.weight, a=1.0 if depthwise else 0.25)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class SwiftSRGAN(SRResNet):
    """The Swift-SRGAN generator: depthwise separable convolutions. See `SRResNet`."""

    def __init__(
        self,
        *,
        channels: int = 1,
        features: int = 64,
        blocks: int = 16,
        scale: int = 4,
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__(
            SeparableConv2d,
            channels=channels,
            features=features,
            blocks=blocks,
            scale=scale,
            bicubic_skip=bicubic_skip,
        )


class SRGAN(SRResNet):
    """The SRGAN generator: dense convolutions. See `SRResNet`."""

    def __init__(
        self,
        *,
        channels: int = 1,
        features: int = 64,
        blocks: int = 16,
        scale: int = 4,
        bicubic_skip: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d,
            channels=channels,
            features=features,
            blocks=blocks,
            scale=scale,
            bicubic_skip=bicubic_skip,
        )


def _carry(
    convolution: nn.Module, inside: int, out: Iterable[int], kernel: Tensor | None = None
) -> None:
    """Make output channels of a convolution a filtered copy of an input channel; None copies it."""
    dense = convolution.pointwise if isinstance(convolution, SeparableConv2d) else convolution
    spatial = convolution.depthwise if isinstance(convolution, SeparableConv2d) else convolution
    side = cast("nn.Conv2d", spatial).kernel_size[0]
    if kernel is None:
        kernel = torch.zeros(side, side)
        kernel[side // 2, side // 2] = 1
    for channel in out:
        weight = cast("nn.Conv2d", dense).weight
        weight[channel] = 0
        weight[channel, inside] = 1 if isinstance(convolution, SeparableConv2d) else kernel
    if isinstance(convolution, SeparableConv2d):
        convolution.depthwise.weight[inside, 0] = kernel


def before_shuffle(weight: Tensor) -> Tensor:
    """Return the convolution before PixelShuffle(2) that is equivalent to a 9x9 one after it.

    With phases a of the output pixel 2i + a and p of the input pixel 2(i + k) + p, the tap between
    them is 2k + p - a: at most 4 away, so k runs over -2..2.

    Args:
        weight: `(out, in, 9, 9)`, of a convolution padded with 4 zeros.

    Returns:
        `(4*out, 4*in, 5, 5)`, of a convolution padded with 2 zeros, its output to be shuffled.
    """
    out_channels, in_channels = weight.shape[:2]
    phase = torch.arange(2, device=weight.device)
    k = torch.arange(-2, 3, device=weight.device)
    # Index of the tap among the 9 taps padded by a zero on either side: -5..5 to 0..10. (a, p, k)
    place = 2 * k[None, None, :] + phase[None, :, None] - phase[:, None, None] + 5
    taps = F.pad(weight, [1, 1, 1, 1])[:, :, place][..., place]  # (out, in, a, p, k, b, q, l)
    return taps.permute(0, 2, 5, 1, 3, 6, 4, 7).reshape(4 * out_channels, 4 * in_channels, 5, 5)
