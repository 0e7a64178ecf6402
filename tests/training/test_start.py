"""A training goes on from the weights of a file, if they are of the generator it trains."""

from pathlib import Path
from typing import Any

import pytest
import torch

from srpipe.core.errors import CheckpointError
from srpipe.core.files import sha256
from srpipe.models.checkpoint import LoadedGenerator, save_released
from srpipe.settings.train import Generator
from srpipe.training.networks import build_generator, hyperparameters
from srpipe.training.start import load_start
from tests.models.made import randomised, save


def generator(name: str, **changed: Any) -> Generator:
    """Return settings of a tiny generator."""
    given = {"channels": 1, "features": 8, "blocks": 2, "bicubic_skip": True, **changed}
    return Generator.model_validate({"name": name, **given})


@pytest.mark.parametrize("name", ["swift_srgan", "srgan", "plain_sr"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_training_starts_from_what_a_file_holds(tmp_path: Path, name: str, suffix: str) -> None:
    """From a checkpoint or a released file, which are recorded; the weights are all there."""
    settings = generator(name)
    arguments = hyperparameters(settings, 2)
    model = randomised(build_generator(settings, 2), 0)
    path = tmp_path / f"start.{suffix}"
    if suffix == "pt":
        save(path, model, name, arguments)
    else:
        save_released(path, LoadedGenerator(model, name, arguments, 2, {}), {})
    start = load_start(settings, 2, path)
    assert start.record == {"file": path.name, "sha256": sha256(path)}
    again = build_generator(settings, 2)
    again.load_state_dict(start.weights)
    theirs = model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in again.state_dict().items())


def test_training_starts_from_what_another_trainer_wrote(tmp_path: Path) -> None:
    """The weights say what they are of; a skip, of which they do not say, is not assumed."""
    path = tmp_path / "theirs.pth"
    for settings in (generator("plain_sr"), generator("srgan", bicubic_skip=False)):
        theirs = randomised(build_generator(settings, 2), 0).state_dict()
        wrapped = {f"module.{name}": value for name, value in theirs.items()}
        torch.save({"params_ema": wrapped, "optimizer": {"state": {}}}, path)
        start = load_start(settings, 2, path)
        assert start.weights.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in start.weights.items())
    with pytest.raises(CheckpointError, match="bicubic_skip is False there and True here"):
        load_start(generator("srgan"), 2, path)


def test_a_plain_sr_may_start_from_fewer_blocks(tmp_path: Path) -> None:
    """Its images are those of the one that it started from."""
    small = generator("plain_sr")
    model = randomised(build_generator(small, 4), 0)
    save(tmp_path / "small.pt", model, "plain_sr", hyperparameters(small, 4))
    large = generator("plain_sr", blocks=5)
    made = build_generator(large, 4)
    made.load_state_dict(load_start(large, 4, tmp_path / "small.pt").weights)
    # In float64, and so by no algorithm that would round what an identity hands on.
    lr = torch.rand(1, 1, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(made.double().eval()(lr), model.double().eval()(lr))


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
    save(path, build_generator(given, 2), there[0], hyperparameters(given, 2))
    with pytest.raises(CheckpointError, match=f"train.start: .*start.pt .*{told}"):
        load_start(generator(here[0], **here[1]), scale, path)


def test_a_start_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pt does not exist"):
        load_start(generator("plain_sr"), 2, tmp_path / "none.pt")
