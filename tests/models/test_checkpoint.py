"""Weights come back as they were saved, and a bad file is refused without running anything."""

import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import spandrel
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from srpipe.core.errors import CheckpointError, OutputError
from srpipe.core.files import sha256
from srpipe.models import checkpoint
from srpipe.models.checkpoint import (
    HALF,
    KERNELS,
    LoadedGenerator,
    load_generator,
    save_generator,
    save_plain,
    save_released,
)
from srpipe.models.interpolate import interpolate, same_weights
from srpipe.models.plain_sr import PlainSR
from srpipe.models.safetensors_file import KEY, SHA256, digest, write_tensors
from srpipe.models.srresnet import SRGAN, SwiftSRGAN
from srpipe.settings.train import Generator
from srpipe.training.start import load_start

TRAINING = {"seed": 0, "epochs": 3, "data": "phantom", "content": None}
METRICS = {"psnr": 38.25, "ssim": 0.95}
SWIFT = {"channels": 1, "features": 8, "blocks": 2, "scale": 2, "bicubic_skip": False}
FACTS = {"data": "88 radiographs", "licence": "CC0-1.0", "scores": {"psnr": 41.5, "images": 9}}


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every weight and every BatchNorm statistic its own value."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=numbers)
                value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) / 2)
    return model.eval()


def save(path: Path, model: torch.nn.Module, name: str, arguments: dict[str, Any]) -> None:
    """Save a generator with a fixed record."""
    save_generator(
        path,
        model,
        architecture=name,
        hyperparameters=arguments,
        training=TRAINING,
        metrics=METRICS,
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the checkpoint of a tiny Swift-SRGAN."""
    save(tmp_path / "swift.pt", randomised(SwiftSRGAN(**SWIFT)), "swift_srgan", SWIFT)
    return tmp_path / "swift.pt"


@pytest.mark.parametrize("name", ["swift_srgan", "srgan"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 8])
@pytest.mark.parametrize("skip", [False, True])
def test_a_generator_comes_back_whole(
    tmp_path: Path, name: str, channels: int, scale: int, skip: bool
) -> None:
    """Architecture, hyperparameters, scale and record are in the file, and outputs are equal."""
    arguments = {
        "channels": channels,
        "features": 4,
        "blocks": 1,
        "scale": scale,
        "bicubic_skip": skip,
    }
    model = randomised({"swift_srgan": SwiftSRGAN, "srgan": SRGAN}[name](**arguments))
    save(tmp_path / "g.pt", model, name, arguments)
    loaded = load_generator(tmp_path / "g.pt")
    assert (loaded.architecture, loaded.scale) == (name, scale)
    assert loaded.hyperparameters == arguments
    assert loaded.record == {"training": TRAINING, "metrics": METRICS}
    assert not loaded.model.training
    lr = torch.rand(1, channels, 6, 7)
    with torch.no_grad():
        assert torch.equal(loaded.model(lr), model(lr))


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_plain_sr_comes_back_whole(tmp_path: Path, scale: int) -> None:
    """It is built by settings and loaded like the others."""
    settings = Generator(name="plain_sr", channels=1, features=8, blocks=2, bicubic_skip=True)
    model = randomised(checkpoint.build_generator(settings, scale))
    assert isinstance(model, PlainSR)
    arguments = checkpoint.hyperparameters(settings, scale)
    save(tmp_path / "g.pt", model, "plain_sr", arguments)
    loaded = load_generator(tmp_path / "g.pt")
    assert (loaded.architecture, loaded.scale) == ("plain_sr", scale)
    assert loaded.hyperparameters == arguments
    lr = torch.rand(1, 1, 6, 7)
    with torch.no_grad():
        assert torch.equal(loaded.model(lr), model(lr))


def test_settings_build_what_a_checkpoint_records(tmp_path: Path) -> None:
    """The settings' hyperparameters build the model and load it again."""
    settings = Generator(name="srgan", channels=1, features=8, blocks=2, bicubic_skip=True)
    model = checkpoint.build_generator(settings, 4)
    assert isinstance(model, SRGAN)
    assert (model.channels, model.scale, model.bicubic_skip) == (1, 4, True)
    save(tmp_path / "g.pt", model, settings.name, checkpoint.hyperparameters(settings, 4))
    assert load_generator(tmp_path / "g.pt").hyperparameters == {
        "channels": 1,
        "features": 8,
        "blocks": 2,
        "bicubic_skip": True,
        "scale": 4,
    }


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
        "format": checkpoint.FORMAT,
        "architecture": "swift_srgan",
        "hyperparameters": SWIFT,
        "scale": 2,
        "training": TRAINING,
        "metrics": METRICS,
    }
    assert set(weights) == set(SwiftSRGAN(**SWIFT).state_dict())


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path: Path, how: str) -> None:
    """A checkpoint that carries code is refused, and the code stays asleep."""
    path, trap = tmp_path / "g.pt", tmp_path / "trap"
    content = {"model": {}, "extra": Malicious(trap)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match="loaded safely"):
        load_generator(path)
    assert not trap.exists()
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())
    assert trap.exists(), "the trap itself must work"


def test_a_truncated_file_is_refused(saved: Path, tmp_path: Path) -> None:
    """Wherever the file is cut."""
    data = saved.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in [*range(0, len(data), len(data) // 25), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt is no checkpoint"):
            load_generator(cut)


@pytest.mark.parametrize("data", [b"", b"hello world\n", b"PK\x03\x04", b"\x80\x02}", bytes(1000)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    """Empty files, text and beginnings of other formats."""
    (tmp_path / "g.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match="give a file written by srpipe"):
        load_generator(tmp_path / "g.pt")


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    """The message says which of the two it is."""
    with pytest.raises(CheckpointError, match="is a folder"):
        load_generator(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_generator(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (torch.zeros(3), "holds a Tensor"),
        ([1, 2], "holds a list"),
        ({"weight": torch.zeros(3)}, "neither a srpipe checkpoint nor a plain"),
        ({"model": 3}, "neither a srpipe checkpoint nor a plain"),
        (
            {"format": checkpoint.FORMAT, "architecture": "esrgan"},
            "incomplete: 'hyperparameters' is missing",
        ),
        (
            {
                "format": checkpoint.FORMAT,
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
    with pytest.raises(CheckpointError, match="does not fit its architecture"):
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
    lr = torch.rand(1, 3, 5, 4)
    with torch.no_grad():
        assert torch.equal(loaded.model(lr), model(lr))


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
    lr = torch.rand(1, 1, 5, 4)
    with torch.no_grad():
        assert torch.equal(again.model(lr), loaded.model(lr))


@pytest.mark.parametrize(
    ("architecture", "skip"),
    [("swift_srgan", True), ("srgan", False), ("srgan", True), ("plain_sr", True)],
)
def test_save_plain_refuses_what_it_cannot_say(
    tmp_path: Path, architecture: str, skip: bool
) -> None:
    """Other tools would load such weights and give wrong images, so nothing is written."""
    arguments = {**SWIFT, "bicubic_skip": skip}
    model = checkpoint.ARCHITECTURES[architecture](**arguments)
    loaded = LoadedGenerator(model, architecture, arguments, 2, {})
    with pytest.raises(CheckpointError, match=f"{architecture} with bicubic_skip {skip}"):
        save_plain(tmp_path / "plain.pth", loaded)
    assert os.listdir(tmp_path) == []


def test_another_scale_is_refused(saved: Path) -> None:
    """The message gives both scales and both ways out."""
    loaded = load_generator(saved)
    checkpoint.require_scale(loaded, 2, saved)
    with pytest.raises(
        CheckpointError, match=r"is a 2x generator, the images are for 4x.*downsample\.scale: 2"
    ):
        checkpoint.require_scale(loaded, 4, saved)


def test_a_failed_save_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, OutputError is raised and the old weights still load."""
    before = saved.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            save(saved, randomised(SwiftSRGAN(**SWIFT), seed=9), "swift_srgan", SWIFT)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


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
    with pytest.raises(CheckpointError, match="does not fit its architecture"):
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


# ------------------------------------------------------------------ what training starts from


def generator(name: str, **changed: Any) -> Generator:
    """Return settings of a tiny generator."""
    given = {"channels": 1, "features": 8, "blocks": 2, "bicubic_skip": True, **changed}
    return Generator.model_validate({"name": name, **given})


@pytest.mark.parametrize("name", ["swift_srgan", "srgan", "plain_sr"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_training_starts_from_what_a_file_holds(tmp_path: Path, name: str, suffix: str) -> None:
    """From a checkpoint or a released file, which are recorded; the weights are all there."""
    settings = generator(name)
    arguments = checkpoint.hyperparameters(settings, 2)
    model = randomised(checkpoint.build_generator(settings, 2), 0)
    path = tmp_path / f"start.{suffix}"
    if suffix == "pt":
        save(path, model, name, arguments)
    else:
        save_released(path, LoadedGenerator(model, name, arguments, 2, {}), {})
    start = load_start(settings, 2, path)
    assert start.record == {"file": path.name, "sha256": sha256(path)}
    again = checkpoint.build_generator(settings, 2)
    again.load_state_dict(start.weights)
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_plain_sr_may_start_from_fewer_blocks(tmp_path: Path) -> None:
    """Its images are those of the one that it started from."""
    small = generator("plain_sr")
    model = randomised(checkpoint.build_generator(small, 4), 0)
    save(tmp_path / "small.pt", model, "plain_sr", checkpoint.hyperparameters(small, 4))
    large = generator("plain_sr", blocks=5)
    made = checkpoint.build_generator(large, 4)
    made.load_state_dict(load_start(large, 4, tmp_path / "small.pt").weights)
    lr = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(made.eval()(lr), model.eval()(lr))


@pytest.mark.parametrize(
    ("there", "here", "scale", "told"),
    [
        (("plain_sr", {}), ("swift_srgan", {}), 2, "architecture is plain_sr there"),
        (("plain_sr", {}), ("plain_sr", {"features": 9}), 2, "features is 8 there and 9 here"),
        (("plain_sr", {}), ("plain_sr", {}), 4, "scale is 2 there and 4 here"),
        (("plain_sr", {}), ("plain_sr", {"blocks": 1}), 2, "2 hidden layers, more than 1"),
        (("swift_srgan", {}), ("swift_srgan", {"blocks": 3}), 2, "blocks is 2 there and 3 here"),
        (("srgan", {}), ("srgan", {"bicubic_skip": False}), 2, "bicubic_skip is True there"),
    ],
)
def test_weights_of_another_generator_are_no_start(
    tmp_path: Path,
    there: tuple[str, dict[str, Any]],
    here: tuple[str, dict[str, Any]],
    scale: int,
    told: str,
) -> None:
    """What differs is told, with the setting and the file."""
    path, given = tmp_path / "start.pt", generator(there[0], **there[1])
    save(path, checkpoint.build_generator(given, 2), there[0], checkpoint.hyperparameters(given, 2))
    with pytest.raises(CheckpointError, match=f"train.start: .*start.pt .*{told}"):
        load_start(generator(here[0], **here[1]), scale, path)


def test_a_start_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pt does not exist"):
        load_start(generator("plain_sr"), 2, tmp_path / "none.pt")


# ------------------------------------------------------------------ interpolation


def loaded(seed: int, architecture: str = "swift_srgan", **changed: Any) -> LoadedGenerator:
    """Return a generator whose weights, statistics and counts are its own."""
    arguments = {**SWIFT, **changed}
    model = randomised(checkpoint.ARCHITECTURES[architecture](**arguments), seed)
    for name, value in model.state_dict().items():
        if "num_batches" in name:
            value.fill_(100 * (seed + 1))
    return LoadedGenerator(model, architecture, arguments, arguments["scale"], {"training": {}})


@pytest.mark.parametrize("architecture", ["swift_srgan", "srgan", "plain_sr"])
@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_between_two_generators_every_weight_is_between(architecture: str, alpha: float) -> None:
    """Weights and statistics on the line, counts the nearer one's; the parents do not change."""
    skip = architecture == "plain_sr"
    a, b = (loaded(seed, architecture, bicubic_skip=skip) for seed in range(2))
    before = [{k: v.clone() for k, v in each.model.state_dict().items()} for each in (a, b)]
    made = interpolate(a, b, alpha)
    assert (made.architecture, made.hyperparameters, made.scale) == (
        architecture,
        a.hyperparameters,
        a.scale,
    )
    assert made.record == {}
    assert not made.model.training
    for name, value in made.model.state_dict().items():
        start, end = before[0][name], before[1][name]
        if value.is_floating_point():
            wanted = (1 - alpha) * start.double() + alpha * end.double()
            torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-6)
        else:
            assert int(value) == (100 if alpha < 0.5 else 200)
    for each, state in zip((a, b), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in each.model.state_dict().items())


@pytest.mark.parametrize("alpha", [0, 0.0, 1, 1.0])
def test_the_ends_are_the_generators_themselves(alpha: float) -> None:
    """Bit by bit: signs of zero, numbers near the largest, and counts."""
    a, b = loaded(0), loaded(1)
    for each, extreme in ((a, 3e38), (b, -3e38)):
        bias = each.model.state_dict()["final_conv.pointwise.bias"]
        bias.fill_(extreme)
        each.model.state_dict()["initial.act.weight"].fill_(-0.0)
    wanted = (b if alpha else a).model.state_dict()
    for name, value in interpolate(a, b, alpha).model.state_dict().items():
        assert value.numpy().tobytes() == wanted[name].numpy().tobytes(), name


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.7])
def test_a_generator_mixed_with_itself_is_itself(alpha: float) -> None:
    """What did not change in training does not change in between."""
    assert same_weights(interpolate(loaded(0), loaded(0), alpha), loaded(0))


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan"), float("inf")])
def test_an_alpha_outside_is_refused(alpha: float) -> None:
    """There is nothing beyond the two ends."""
    with pytest.raises(ValueError, match=f"alpha is {alpha}: must be from 0"):
        interpolate(loaded(0), loaded(1), alpha)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"features": 4}, r"differ in features \(8 and 4\) cannot"),
        ({"scale": 4, "blocks": 3}, r"differ in blocks \(2 and 3\); scale \(2 and 4\) cannot"),
        ({"bicubic_skip": True}, r"bicubic_skip \(False and True\)"),
        ({"architecture": "srgan"}, r"architecture \(swift_srgan and srgan\)"),
    ],
)
def test_generators_that_are_built_differently_are_refused(
    other: dict[str, Any], told: str
) -> None:
    """All that differs is named, with both values."""
    with pytest.raises(CheckpointError, match=told):
        interpolate(loaded(0), loaded(0, **other), 0.5)
    assert not same_weights(loaded(0), loaded(0, **other))


def test_same_weights_sees_one_number() -> None:
    """Records do not count; statistics do."""
    a, b = loaded(0), loaded(0)
    assert same_weights(a, b)
    b.model.state_dict()["residual.0.block1.bn.running_mean"][3] += 1e-6
    assert not same_weights(a, b)


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
        SHA256: digest(given.model.state_dict()),
    }
    assert same_weights(again, given)
    assert not again.model.training
    lr = torch.rand(1, given.hyperparameters["channels"], 6, 7)
    with torch.no_grad():
        assert torch.equal(again.model(lr), given.model(lr))


def test_a_released_file_explains_itself(tmp_path: Path) -> None:
    """The safetensors library alone reads what it is."""
    given = loaded(0)
    save_released(tmp_path / "g.safetensors", given, FACTS)
    with safe_open(tmp_path / "g.safetensors", "pt") as file:
        record = json.loads(file.metadata()[KEY])
        assert set(file.keys()) == set(given.model.state_dict())
    assert record == {
        "format": checkpoint.FORMAT,
        "architecture": "swift_srgan",
        "hyperparameters": SWIFT,
        "scale": 2,
        "training": {},
        **FACTS,
        SHA256: digest(given.model.state_dict()),
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
    with torch.no_grad():
        ours, other = given.model(lr), theirs.eval()(lr)
    assert ours.std() > 0.01
    assert (ours - other).abs().max() < 1e-5


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
        (None, "neither a srpipe checkpoint nor a plain"),
        ({"format": "another-1"}, "neither a srpipe checkpoint nor a plain"),
        ({"format": checkpoint.FORMAT}, "incomplete: 'architecture' is missing"),
        (
            {"format": checkpoint.FORMAT, "architecture": "esrgan", "hyperparameters": {}},
            "architecture 'esrgan'; known are",
        ),
        (
            {"format": checkpoint.FORMAT, "architecture": "srgan", "hyperparameters": SWIFT},
            "does not fit its architecture",
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
        write_tensors(path, {"weight": torch.zeros(3)}, record)
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
