"""Our own generator: a plain stack of dense 3x3 convolutions at the LR image's size.

Every layer costs as much as its feature maps are large, so all of them are small: one PixelShuffle
at the very end (W. Shi et al., "ESPCN", CVPR 2016), a bicubic skip (J. Kim et al., "VDSR", CVPR
2016), nothing in between but convolution and ReLU. Depthwise convolutions save multiplications and
cost time: matrix units of CPUs and GPUs have nothing to multiply there. What the skips of residual
blocks would add, an identity in the kernel's centre does at no cost (RepVGG, X. Ding et al., CVPR
2021): each hidden convolution starts as one.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srpipe.models.base import SKIP_GAIN, SRGenerator, local_detail, upscale_bicubic

# Of the hidden layers' first weights: so large a part of He's, beside the identity.
NOISE = 0.1


def deepened(weights: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return the weights of a network of more hidden layers that makes the same images.

    The new ones are identities, spread evenly among the former (T. Chen et al., "Net2Net", ICLR
    2016): behind a ReLU nothing is negative, and the next one leaves it as it is.

    Args:
        weights: state dict of a PlainSR; hidden kernels are `(features, features, 3, 3)`.
        blocks: hidden layers of the new one, at least as many.

    Returns:
        The state dict of a PlainSR with `blocks` hidden layers; former tensors are shared.

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
    """Grey images only; the output starts exactly at bicubic.

    Args:
        channels: image channels, 1.
        features: channels of the hidden layers.
        blocks: number of hidden convolutions; one before and one after them come on top.
        scale: 2, 4 or 8.
        bicubic_skip: must be True: there is no other form.

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

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve a batch.

        Args:
            lr: float `(N, 1, H, W)` in [0, 1].

        Returns:
            float `(N, 1, scale*H, scale*W)` in [0, 1]; values leave [0, 1] slightly while training
            (clamping would stop their gradient) and never in eval.

        Raises:
            ValueError: the shape is not `(N, 1, H, W)`.
        """
        self.require(lr)
        # The grey level too: what is saturated, white text or a black frame, is told by it.
        x = torch.cat([local_detail(lr), lr - 0.5], 1)
        x = F.relu(self.head(x), inplace=True)  # (N, F, H, W)
        for convolution in self.body:
            x = F.relu(convolution(x), inplace=True)
        x = F.pixel_shuffle(self.tail(x), self.scale)  # (N, 1, sH, sW)
        sr: Tensor = upscale_bicubic(lr, self.scale) + x / SKIP_GAIN
        return sr if self.training else sr.clamp(0, 1)

    @torch.no_grad()
    def _start(self) -> None:
        """Start at bicubic, with hidden layers that hand on what they get, and a little noise.

        With the usual weights of He et al. (ICCV 2015) alone, the same 1,500 steps ended 0.8 dB
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
