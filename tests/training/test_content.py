"""The settings choose the network of the content loss, and its weights."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from srpipe.core.errors import CheckpointError, DownloadError
from srpipe.metrics.features import ContentRecord, efficientnet_lite0_features
from srpipe.settings.train import Content
from srpipe.training.content import load_content


def mobilenet(weights: Path | None) -> Content:
    """Return settings of a MobileNetV2, with a file of weights or with torchvision's."""
    return Content(network="mobilenet_v2", weights=None if weights is None else str(weights))


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weights file of a MobileNetV2 with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mobilenet.pth"
    torch.save(mobilenet_v2().state_dict(), path)
    return path


def test_lite0_is_the_packaged_network() -> None:
    """With the weights by which content distance is measured."""
    found = load_content(Content(network="efficientnet_lite0", weights=None))
    wanted = efficientnet_lite0_features()
    assert found.record == wanted.record
    theirs = wanted.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in found.state_dict().items())


def test_a_mobilenet_file_gives_that_networks_features(mobilenet_file: Path) -> None:
    """The features, at stride 16, are those of torchvision's network with these weights, frozen,
    of images normalised by the mean and deviation of ImageNet.
    """
    network = mobilenet_v2()
    network.load_state_dict(torch.load(mobilenet_file, weights_only=True))
    network = network.eval().double()
    features = load_content(mobilenet(mobilenet_file)).double()
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
    numbers = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 96, 64, generator=numbers, dtype=torch.float64)
    with torch.no_grad():
        found = features(image)
        wanted = network.features[:14]((image - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    assert found.shape[2:] == (6, 4)
    assert (found - wanted).abs().max() < 1e-10 * wanted.abs().max()
    assert not any(weight.requires_grad for weight in features.parameters())
    assert not any(module.training for module in features.train().modules())


def test_a_file_is_recorded_by_its_name_and_digest(mobilenet_file: Path) -> None:
    """Two files of one name are told apart."""
    digest = hashlib.sha256(mobilenet_file.read_bytes()).hexdigest()
    assert load_content(mobilenet(mobilenet_file)).record == ContentRecord(
        "mobilenet_v2", "features[:14]", f"file mobilenet.pth, SHA-256 {digest}"
    )


def test_without_a_network_the_ways_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of weights, or the network whose weights are installed."""

    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", offline)
    with pytest.raises(DownloadError, match=r"no route .*content\.weights.*efficientnet_lite0"):
        load_content(mobilenet(None))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """Weights that do not fit are told."""
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    settings = mobilenet(tmp_path / "linear.pth")
    with pytest.raises(CheckpointError, match="is not torchvision's MobileNetV2"):
        load_content(settings)


def test_a_missing_or_damaged_file_is_refused(mobilenet_file: Path, tmp_path: Path) -> None:
    """Each is told with its path."""
    gone = mobilenet(tmp_path / "gone.pth")
    with pytest.raises(CheckpointError, match=r"gone\.pth does not exist"):
        load_content(gone)
    (tmp_path / "cut.pth").write_bytes(mobilenet_file.read_bytes()[:100_000])
    cut = mobilenet(tmp_path / "cut.pth")
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_content(cut)
