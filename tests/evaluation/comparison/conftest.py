"""What tests of the comparison share: a folder of images, and tiny generators."""

import shutil
from pathlib import Path

import pytest
import torch

from srpipe.evaluation.comparison.methods import (
    ADVERSARIAL,
    FIDELITY,
    IDEAL_ONLY,
    PUBLISHED,
    Weights,
)
from srpipe.formats.raster import encode_png
from srpipe.models.checkpoint import LoadedGenerator, save_plain, save_released
from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SwiftSRGAN
from tests.conftest import MakeImage

ROOT = Path(__file__).resolve().parents[3]
TINY = {"channels": 1, "features": 4, "blocks": 1, "scale": 4, "bicubic_skip": True}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with the repository's settings."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")


@pytest.fixture
def folder(tmp_path: Path, make_image: MakeImage) -> Path:
    """Return a folder of four radiographs of three patients, one of them in a folder below."""
    names = ("00000002_000.png", "00000001_000.png", "00000001_001.png", "sub/00000003_004.png")
    for seed, name in enumerate(names):
        path = tmp_path / "hr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(make_image(seed, 160, 192)))
    (tmp_path / "hr/notes.txt").write_text("not read")
    return tmp_path / "hr"


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    """Return two tiny generators in the places of ours, and a colour one for the published."""
    files = {}
    for seed, name in enumerate((FIDELITY, ADVERSARIAL, IDEAL_ONLY)):
        torch.manual_seed(seed)
        model = PlainSR(**TINY)
        torch.nn.init.normal_(model.tail.weight, std=0.02)
        files[name] = tmp_path / f"{seed}.safetensors"
        save_released(files[name], LoadedGenerator(model, "plain_sr", TINY, 4, {}), {})
    arguments = {**TINY, "channels": 3, "bicubic_skip": False}
    colour = LoadedGenerator(SwiftSRGAN(**arguments), "swift_srgan", arguments, 4, {})
    save_plain(tmp_path / "published.pth.tar", colour)
    return Weights({PUBLISHED: tmp_path / "published.pth.tar", **files})
