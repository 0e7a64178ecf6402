"""The network for scoring gives the maps of the network that it is made from, strip by strip."""

import pytest
import torch
from torch import Tensor

from srpipe.metrics import folded
from srpipe.metrics.efficientnet_lite0 import MEAN, STD, EfficientNetLite0, pretrained
from srpipe.metrics.features import LITE0_BLOCKS
from tests.conftest import MakeImage


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    """Return the classifier with its weights."""
    return pretrained()


def grey(make_image: MakeImage, height: int, width: int) -> Tensor:
    """Return a made radiograph in [0, 1], `(height, width)`."""
    return torch.tensor(make_image(3, height, width)) / 255


def exact(network: EfficientNetLite0, image: Tensor) -> Tensor:
    """Return the maps by the network itself, all of it in float64."""
    network = pretrained().double()
    return network.features((image.double() - 0.5).div(0.5).expand(1, 3, -1, -1), LITE0_BLOCKS)[0]


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (33, 47), (47, 34), (130, 96), (17, 16), (1, 5)]
)
@pytest.mark.parametrize("strip", [1, 20_000, folded.STRIP])
def test_maps_are_the_networks(
    network: EfficientNetLite0,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    height: int,
    width: int,
    strip: int,
) -> None:
    """Up to rounding in float32, at odd and even sides, in strips of a row, of some and of all."""
    monkeypatch.setattr(folded, "STRIP", strip)
    image = grey(make_image, height, width)
    with torch.inference_mode():
        found = folded.folded_features(network, LITE0_BLOCKS, MEAN, STD)(image)
        wanted = exact(network, image)
    assert found.dtype == torch.float32
    assert found.shape == wanted.shape == (112, -(-height // 16), -(-width // 16))
    assert (found - wanted).abs().max() < 2e-5 * wanted.abs().max()


@pytest.mark.parametrize("blocks", [0, 1, 2, 16])
def test_any_number_of_blocks_is_folded(
    network: EfficientNetLite0, make_image: MakeImage, blocks: int
) -> None:
    """The stem alone, and all of them."""
    image = grey(make_image, 64, 80)
    with torch.inference_mode():
        found = folded.folded_features(network, blocks, MEAN, STD)(image)
        wanted = network.features((image - 0.5).div(0.5).expand(1, 3, -1, -1), blocks)[0]
    assert (found - wanted).abs().max() < 5e-5 * wanted.abs().max()


def test_each_channel_has_its_normalisation(
    network: EfficientNetLite0, make_image: MakeImage
) -> None:
    """As it is given."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    image = grey(make_image, 48, 48)
    rgb = (image.expand(3, -1, -1) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[
        :, None, None
    ]
    with torch.inference_mode():
        found = folded.folded_features(network, 3, mean, std)(image)
        wanted = network.features(rgb[None], 3)[0]
    assert (found - wanted).abs().max() < 5e-5 * wanted.abs().max()


def test_neither_the_image_nor_the_network_is_changed(
    network: EfficientNetLite0, make_image: MakeImage
) -> None:
    """What is computed in place is its own."""
    image = grey(make_image, 48, 48)
    before = image.clone()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    maps = folded.folded_features(network, LITE0_BLOCKS, MEAN, STD)
    with torch.inference_mode():
        first = maps(image)
        kept = first.clone()
        maps(1 - image)
    assert torch.equal(image, before)
    assert torch.equal(first, kept)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
