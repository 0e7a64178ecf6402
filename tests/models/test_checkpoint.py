"""Generators come back as they were saved, and what is no generator is refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spandrel
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from srpipe.core.errors import CheckpointError
from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import (
    FORMAT,
    HALF,
    KERNELS,
    LoadedGenerator,
    load_generator,
    require_scale,
    save_plain,
    save_released,
)
from srpipe.models.interpolate import same_weights
from srpipe.models.safetensors_file import KEY, SHA256, digest, write_arrays
from srpipe.models.srresnet import SwiftSRGAN
from tests.models.made import (
    METRICS,
    SWIFT,
    TRAINING,
    assert_same_images,
    loaded,
    randomised,
    save,
)

GANS = ("swift_srgan", "srgan")
FACTS = {"data": "88 radiographs", "licence": "CC0-1.0", "scores": {"psnr": 41.5, "images": 9}}


def assert_equal(a: SRGenerator, b: SRGenerator) -> None:
    """Assert that two generators have the same weights, and make the same of them."""
    theirs = b.state_dict()
    assert a.state_dict().keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())
    lr = torch.rand(1, a.channels, 6, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(a(lr), b(lr))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the checkpoint of a tiny Swift-SRGAN."""
    save(tmp_path / "swift.pt", randomised(SwiftSRGAN(**SWIFT)), "swift_srgan", SWIFT)
    return tmp_path / "swift.pt"


@pytest.mark.parametrize(
    ("name", "channels", "skip"),
    [(name, channels, skip) for name in GANS for channels in (1, 3) for skip in (False, True)]
    + [("plain_sr", 1, True)],
)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_generator_comes_back_whole(
    tmp_path: Path, name: str, channels: int, scale: int, skip: bool
) -> None:
    """Architecture, hyperparameters, scale, record and every weight are in the file."""
    arguments = {
        "channels": channels,
        "features": 4,
        "blocks": 1,
        "scale": scale,
        "bicubic_skip": skip,
    }
    model = randomised(ARCHITECTURES[name](**arguments))
    save(tmp_path / "g.pt", model, name, arguments)
    found = load_generator(tmp_path / "g.pt")
    assert (found.architecture, found.scale) == (name, scale)
    assert found.hyperparameters == arguments
    assert found.record == {"training": TRAINING, "metrics": METRICS}
    assert not found.model.training
    assert_equal(found.model, model)


def test_the_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    """The file's name does not show in the bytes; the weights do."""
    model = randomised(SwiftSRGAN(**SWIFT))
    (tmp_path / "elsewhere").mkdir()
    again = tmp_path / "elsewhere" / "other.pt"
    save(again, model, "swift_srgan", SWIFT)
    assert again.read_bytes() == saved.read_bytes()
    save(again, randomised(model, seed=1), "swift_srgan", SWIFT)
    assert again.read_bytes() != saved.read_bytes()


def test_the_file_explains_itself(saved: Path) -> None:
    """Plain torch, weights-only, reads everything in it."""
    content = torch.load(saved, weights_only=True)
    weights = content.pop("state_dict")
    assert content == {
        "format": FORMAT,
        "architecture": "swift_srgan",
        "hyperparameters": SWIFT,
        "scale": 2,
        "training": TRAINING,
        "metrics": METRICS,
    }
    assert set(weights) == set(SwiftSRGAN(**SWIFT).state_dict())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"weight": torch.zeros(3)}, "its names are "),
        ({"model": 3}, "its names are "),
        (
            {"format": FORMAT, "architecture": "esrgan"},
            "incomplete: 'hyperparameters' is missing",
        ),
        (
            {
                "format": FORMAT,
                "architecture": "esrgan",
                "hyperparameters": {},
                "state_dict": {},
                "training": {},
                "metrics": {},
            },
            "architecture 'esrgan'; known are plain_sr, swift_srgan, srgan",
        ),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    """A readable file that is no generator is told as what it is."""
    torch.save(content, tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=told):
        load_generator(tmp_path / "g.pt")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A checkpoint whose weights are not those of its hyperparameters is not half loaded."""
    save(tmp_path / "g.pt", SwiftSRGAN(**SWIFT), "swift_srgan", {**SWIFT, "blocks": 3})
    with pytest.raises(CheckpointError, match="cannot be loaded as a generator"):
        load_generator(tmp_path / "g.pt")


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_plain_form_is_read(tmp_path: Path, wrapped: bool) -> None:
    """A bare state dict, or one under "model", says its hyperparameters by its shapes."""
    arguments = {"channels": 3, "features": 8, "blocks": 2, "scale": 8, "bicubic_skip": False}
    model = randomised(SwiftSRGAN(**arguments))
    state = model.state_dict()
    torch.save({"model": state} if wrapped else state, tmp_path / "plain.pth")
    loaded = load_generator(tmp_path / "plain.pth")
    assert (loaded.architecture, loaded.scale) == ("swift_srgan", 8)
    assert loaded.hyperparameters == arguments
    assert loaded.record == {}
    assert_equal(loaded.model, model)


def test_a_plain_form_of_unsupported_scale_is_refused(tmp_path: Path) -> None:
    """16x (the public code's "8x") is not 8x."""
    state = SwiftSRGAN(channels=1, features=4, blocks=1, scale=8).state_dict()
    more = {
        key.replace("upsampler.2", "upsampler.3"): value
        for key, value in state.items()
        if key.startswith("upsampler.2")
    }
    torch.save({**state, **more}, tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="scale is 16"):
        load_generator(tmp_path / "plain.pth")


def test_save_plain_writes_a_bare_state_dict(saved: Path, tmp_path: Path) -> None:
    """It is read back as the same generator, without its record."""
    loaded = load_generator(saved)
    save_plain(tmp_path / "plain.pth", loaded)
    state = torch.load(tmp_path / "plain.pth", weights_only=True)
    assert set(state) == set(loaded.model.state_dict())
    again = load_generator(tmp_path / "plain.pth")
    assert again.hyperparameters == SWIFT
    assert_equal(again.model, loaded.model)


@pytest.mark.parametrize(
    ("architecture", "skip"),
    [("swift_srgan", True), ("srgan", False), ("srgan", True), ("plain_sr", True)],
)
def test_save_plain_refuses_what_it_cannot_say(
    tmp_path: Path, architecture: str, skip: bool
) -> None:
    """Other tools would load such weights and give wrong images, so nothing is written."""
    arguments = {**SWIFT, "bicubic_skip": skip}
    model = ARCHITECTURES[architecture](**arguments)
    loaded = LoadedGenerator(model, architecture, arguments, 2, {})
    with pytest.raises(CheckpointError, match=f"{architecture} with bicubic_skip {skip}"):
        save_plain(tmp_path / "plain.pth", loaded)
    assert os.listdir(tmp_path) == []


def test_another_scale_is_refused(saved: Path) -> None:
    """The message gives both scales and both ways out."""
    loaded = load_generator(saved)
    require_scale(loaded, 2, saved)
    with pytest.raises(
        CheckpointError, match=r"is a 2x generator, the images are for 4x.*downsample\.scale: 2"
    ):
        require_scale(loaded, 4, saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hyperparameters", {"colour": True}), ("hyperparameters", {**SWIFT, "scale": 3})],
)
def test_hyperparameters_that_make_no_generator_are_refused(
    tmp_path: Path, key: str, value: Any
) -> None:
    """Unknown or impossible hyperparameters are one message, not a traceback."""
    save(tmp_path / "g.pt", SwiftSRGAN(**SWIFT), "swift_srgan", SWIFT)
    content = torch.load(tmp_path / "g.pt", weights_only=True)
    torch.save({**content, key: value}, tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match="cannot be loaded as a generator"):
        load_generator(tmp_path / "g.pt")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    """One bit of one weight changed on disk does not load in silence."""
    path = tmp_path / "g.pt"
    model = SwiftSRGAN(**SWIFT)
    save(path, model, "swift_srgan", SWIFT)
    weight = model.state_dict()["initial.cnn.pointwise.weight"].numpy().tobytes()
    data = bytearray(path.read_bytes())
    place = bytes(data).index(weight)
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_generator(path)


def test_memory_layout_does_not_show_in_the_bytes(tmp_path: Path) -> None:
    """Training in channels_last gives the file that training in the default layout gives."""
    model = SwiftSRGAN(**SWIFT)
    save(tmp_path / "a.pt", model, "swift_srgan", SWIFT)
    save(tmp_path / "b.pt", model.to(memory_format=torch.channels_last), "swift_srgan", SWIFT)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


# ------------------------------------------------------------------ released files


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("swift_srgan", {}),
        ("swift_srgan", {"channels": 3, "scale": 4}),
        ("swift_srgan", {"bicubic_skip": True}),
        ("srgan", {"scale": 8}),
        ("plain_sr", {"bicubic_skip": True, "scale": 4}),
    ],
)
def test_a_released_generator_comes_back_whole(
    tmp_path: Path, architecture: str, changes: dict[str, Any]
) -> None:
    """Outputs are equal; what its checkpoint said of the training and the facts are the record."""
    given = loaded(0, architecture, **changes)
    save(tmp_path / "g.pt", given.model, architecture, given.hyperparameters)
    given = load_generator(tmp_path / "g.pt")
    save_released(tmp_path / "g.safetensors", given, FACTS)
    again = load_generator(tmp_path / "g.safetensors")
    assert (again.architecture, again.scale) == (architecture, given.scale)
    assert again.hyperparameters == given.hyperparameters
    assert again.record == {
        "training": TRAINING,
        "metrics": METRICS,
        **FACTS,
        SHA256: digest(given.weights.arrays),
    }
    assert same_weights(again, given)
    assert not again.model.training
    assert_equal(again.model, given.model)


def test_a_released_file_explains_itself(tmp_path: Path) -> None:
    """The safetensors library alone reads what it is."""
    given = loaded(0)
    save_released(tmp_path / "g.safetensors", given, FACTS)
    with safe_open(tmp_path / "g.safetensors", "pt") as file:
        record = json.loads(file.metadata()[KEY])
        assert set(file.keys()) == set(given.model.state_dict())
    assert record == {
        "format": FORMAT,
        "architecture": "swift_srgan",
        "hyperparameters": SWIFT,
        "scale": 2,
        "training": {},
        **FACTS,
        SHA256: digest(given.weights.arrays),
    }


def test_the_same_release_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the memory layout and the file's name; released again without new facts it stays."""
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    save_released(paths[0], loaded(0), FACTS)
    other = loaded(0)
    other.model.to(memory_format=torch.channels_last)
    save_released(paths[1], other, dict(reversed(FACTS.items())))
    save_released(paths[2], load_generator(paths[0]), {})
    assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()


def test_kernels_in_float16_take_half_the_room(tmp_path: Path) -> None:
    """They are float32 again when loaded, as near as float16 is; released again they stay so."""
    arguments = {"features": 32, "blocks": 4, "bicubic_skip": True}
    given = loaded(0, "plain_sr", **arguments)
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    save_released(files[0], given, {})
    save_released(files[1], given, {KERNELS: HALF})
    save_released(files[2], load_generator(files[1]), {})
    assert files[1].stat().st_size < 0.6 * files[0].stat().st_size
    assert files[2].read_bytes() == files[1].read_bytes()
    for name, value in load_generator(files[1]).model.state_dict().items():
        before = given.model.state_dict()[name]
        assert value.dtype == before.dtype
        if value.ndim > 1:
            assert not torch.equal(value, before)
            assert torch.allclose(value, before, rtol=2**-11, atol=1e-7)
        else:
            assert torch.equal(value, before)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("half", [{}, {KERNELS: HALF}], ids=["float32", "float16"])
def test_spandrel_loads_a_released_swift_srgan(
    tmp_path: Path, channels: int, scale: int, half: dict[str, str]
) -> None:
    """And makes the same images of it."""
    given = loaded(0, channels=channels, scale=scale)
    save_released(tmp_path / "g.safetensors", given, FACTS | half)
    given = load_generator(tmp_path / "g.safetensors")
    theirs = spandrel.ModelLoader().load_from_file(tmp_path / "g.safetensors")
    assert isinstance(theirs, spandrel.ImageModelDescriptor)
    assert theirs.architecture.id == "SwiftSRGAN"
    assert (theirs.scale, theirs.input_channels) == (scale, channels)
    lr = torch.rand(1, channels, 20, 24, generator=torch.Generator().manual_seed(0))
    assert_same_images(given.model, theirs, lr)


def test_a_safetensors_file_of_others_is_the_plain_form(tmp_path: Path) -> None:
    """A Swift-SRGAN without our record says its hyperparameters by its shapes."""
    given = loaded(0, channels=3, scale=8)
    save_file(given.model.state_dict(), tmp_path / "theirs.safetensors")
    found = load_generator(tmp_path / "theirs.safetensors")
    assert (found.architecture, found.hyperparameters) == ("swift_srgan", given.hyperparameters)
    assert found.record == {}
    assert same_weights(found, given)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (None, "its names are "),
        ({"format": "another-1"}, "its names are "),
        ({"format": FORMAT}, "incomplete: 'architecture' is missing"),
        (
            {"format": FORMAT, "architecture": "esrgan", "hyperparameters": {}},
            "architecture 'esrgan'; known are",
        ),
        (
            {"format": FORMAT, "architecture": "srgan", "hyperparameters": SWIFT},
            "cannot be loaded as a generator",
        ),
    ],
)
def test_other_safetensors_files_are_refused(
    tmp_path: Path, record: dict[str, Any] | None, told: str
) -> None:
    """A readable file that is no generator is told as what it is."""
    path = tmp_path / "g.safetensors"
    if record is None:
        save_file({"weight": torch.zeros(3)}, path)
    else:
        write_arrays(path, {"weight": np.zeros(3, np.float32)}, record)
    with pytest.raises(CheckpointError, match=told):
        load_generator(path)


def test_a_damaged_release_is_refused(tmp_path: Path) -> None:
    """One bit of one weight changed on disk does not load in silence."""
    path = tmp_path / "g.safetensors"
    save_released(path, loaded(0), FACTS)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"g\.safetensors is damaged"):
        load_generator(path)
