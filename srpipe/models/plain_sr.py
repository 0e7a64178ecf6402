"""Our own generator: a plain stack of dense 3x3 convolutions at LR resolution.

A layer's cost grows with the size of its feature maps, so all of them are small: one PixelShuffle
at the very end (W. Shi et al., "ESPCN", CVPR 2016), a bicubic skip (J. Kim et al., "VDSR", CVPR
2016), and only convolution and ReLU in between. Depthwise convolutions save multiplications but
cost time: they cannot use the matrix units of CPUs and GPUs. Instead of residual connections, each
hidden convolution starts with an identity in its kernel's centre, at no cost (RepVGG, X. Ding et
al., CVPR 2021).
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.models.base import SRGenerator, local_detail, upscale_bicubic
from srpipe.models.form import SKIP_GAIN, plain_sr_reach

# Hidden layers start as identity plus this fraction of He initialisation.
NOISE = 0.1


def deepened(weights: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return the weights of a deeper network with the same output.

    The new hidden layers are identities, spread evenly among the old ones (T. Chen et al.,
    "Net2Net", ICLR 2016): after a ReLU nothing is negative, so the next ReLU changes nothing.

    Args:
        weights: state dict of a PlainSR; hidden kernels are `(features, features, 3, 3)`.
        blocks: hidden layers of the new network, at least as many.

    Returns:
        The state dict of a PlainSR with `blocks` hidden layers; existing tensors are shared.

    Raises:
        ValueError: `blocks` is smaller.
    """
    former = sum(name.startswith("body.") and name.endswith(".weight") for name in weights)
    if blocks < former:
        raise ValueError(f"it has {former} hidden layers, more than {blocks}")
    result = {name: value for name, value in weights.items() if not name.startswith("body.")}
    places = {old * blocks // former: old for old in range(former)}
    for new in range(blocks):
        for part in ("weight", "bias"):
            like = weights[f"body.{places.get(new, 0)}.{part}"]
            if new not in places:
                like = torch.zeros_like(like)
                if part == "weight":
                    like[:, :, 1, 1] = torch.eye(len(like))
            result[f"body.{new}.{part}"] = like
    return result


class PlainSR(SRGenerator):
    """Grey images only; before training the output is exactly bicubic.

    Args:
        channels: image channels, 1.
        features: channels of the hidden layers.
        blocks: number of hidden convolutions, not counting the first and the last.
        scale: 2, 4 or 8.
        bicubic_skip: must be True.

    Raises:
        ValueError: an argument is not one of the allowed values.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        features: int = 64,
        blocks: int = 8,
        scale: int = 4,
        bicubic_skip: bool = True,
    ) -> None:
        super().__init__(channels=channels, scale=scale, bicubic_skip=bicubic_skip)
        if channels != 1:
            raise ValueError(f"channels is {channels}: plain_sr is grey, it must be 1")
        if not bicubic_skip:
            raise ValueError("bicubic_skip is false: plain_sr has no other form, it must be true")
        self.head = nn.Conv2d(2, features, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Conv2d(features, features, 3, padding=1) for _ in range(blocks)
        )
        self.tail = nn.Conv2d(features, scale**2, 3, padding=1)
        self._start()

    @property
    def reach(self) -> int:
        """See `form.plain_sr_reach`."""
        return plain_sr_reach(len(self.body))

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve a batch.

        Args:
            lr: float `(N, 1, H, W)` in [0, 1].

        Returns:
            float `(N, 1, scale*H, scale*W)` in [0, 1]; in train mode values may leave [0, 1]
            slightly, because clamping would stop their gradient.

        Raises:
            ValueError: the shape is not `(N, 1, H, W)`.
        """
        self.require(lr)
        # The grey level too: it reveals what is saturated, such as white text or a black frame.
        x = torch.cat([local_detail(lr), lr - 0.5], 1)
        x = F.relu(self.head(x), inplace=True)  # (N, F, H, W)
        for convolution in self.body:
            x = F.relu(convolution(x), inplace=True)
        x = F.pixel_shuffle(self.tail(x), self.scale)  # (N, 1, sH, sW)
        sr: Tensor = upscale_bicubic(lr, self.scale) + x / SKIP_GAIN
        return sr if self.training else sr.clamp(0, 1)

    @torch.no_grad()
    def _start(self) -> None:
        """Initialise to bicubic: hidden layers are the identity plus a little noise.

        With plain He initialisation (ICCV 2015), the same 1,500 steps ended 0.8 dB
        lower (docs/plain_sr.md).
        """
        nn.init.kaiming_normal_(self.head.weight)
        for convolution in self.body:
            weight = cast("nn.Conv2d", convolution).weight
            nn.init.kaiming_normal_(weight)
            weight.mul_(NOISE)
            weight[:, :, 1, 1] += torch.eye(len(weight))
        nn.init.zeros_(self.tail.weight)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)
