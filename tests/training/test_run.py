"""A run is made of its settings, its data and its environment, and writes all its outputs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from srpipe.core import environment
from srpipe.core.files import sha256
from srpipe.data.fingerprint import fingerprint
from srpipe.data.packed import open_packed
from srpipe.models.checkpoint import load_generator
from srpipe.models.interpolate import same_weights
from srpipe.models.released import weights_file
from srpipe.settings.base import load_section
from srpipe.settings.train import Train
from srpipe.training import run
from srpipe.training.precision import Precision
from srpipe.training.processes import Group
from srpipe.training.state import Hardware
from stages import train
from tests import survival
from tests.training.small import settings

# They share the training that was left alone with the tests of survival.
pytestmark = pytest.mark.xdist_group("trainings")


@pytest.fixture(autouse=True)
def untracked(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any of the variables, and leave MLflow out."""
    monkeypatch.setenv("SRPIPE_MLFLOW", "off")


def test_a_task_is_of_the_packed_images_and_their_split(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images to train and to validate on; the feature network only if its loss is used."""
    monkeypatch.chdir(left_alone)
    given = load_section("train", Train)
    task = run.task_of(given)
    assert task.settings == given
    assert task.train_rows == task.packed.rows(f"{index}.png" for index in range(4))
    assert sorted(task.validation_rows) == task.packed.rows(["4.png", "5.png"])
    assert task.start is None
    assert task.content is not None
    assert task.content.record.network == "efficientnet_lite0"
    loss = given.loss.model_copy(update={"content": 0.0})
    assert run.task_of(given.model_copy(update={"loss": loss})).content is None


@pytest.mark.parametrize("start", ["plain_sr_small_x4", "models/start.safetensors"])
def test_a_training_starts_from_a_released_model_or_a_file(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """By its name, or by its path from the repository; what decides the result says which."""
    monkeypatch.chdir(left_alone)
    released = weights_file("plain_sr_small_x4")
    Path("models/start.safetensors").write_bytes(released.read_bytes())
    shape = load_generator(released).hyperparameters
    generator = {"name": "plain_sr", **{k: v for k, v in shape.items() if k != "scale"}}
    task = run.task_of(settings(start=start, generator=generator))
    name = released.name if start == "plain_sr_small_x4" else "start.safetensors"
    record = {"file": name, "sha256": sha256(released)}
    assert run.identity(task)["start"] == record


def test_hardware_is_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, intervals and compilation; the precision is the settings'."""
    monkeypatch.setenv("SRPIPE_WORKERS", "3")
    monkeypatch.setenv("SRPIPE_CHECKPOINT_SECONDS", "7.5")
    monkeypatch.setenv("SRPIPE_COMPILE", "on")
    group = Group()
    assert run.hardware_of(settings(precision="bf16"), group, "cpu") == Hardware(
        "cpu", group, Precision(True, True), "default", 3, 7.5
    )


def test_a_training_announces_itself(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is trained, where and in which precision; the same is recorded with the weights."""
    monkeypatch.chdir(left_alone)
    task = run.task_of(load_section("train", Train))
    hardware = Hardware(precision=Precision(generator=True, discriminator=False))
    record = {"generator": "bf16", "discriminator": "fp32", "device": "cpu"}
    assert run.announce(task, hardware) == {**record, "processes": "1"}
    assert capsys.readouterr().out == (
        "swift_srgan 4x on cpu (1 process; generator in bf16, discriminator in fp32): "
        "4 training images\n"
    )
    two = replace(hardware, group=Group(0, 2))
    assert run.announce(task, two) == {**record, "processes": "2"}
    assert "on cpu (2 processes; " in capsys.readouterr().out


@pytest.mark.parametrize("emulated", [True, False])
def test_emulated_bf16_is_warned_of(
    left_alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    emulated: bool,
) -> None:
    """A training that would take many times as long says so, and what to set; fp32 does not."""
    monkeypatch.chdir(left_alone)
    monkeypatch.setattr(environment, "emulates_bf16", lambda device: emulated)
    task = run.task_of(load_section("train", Train))
    for bf16 in (True, False):
        run.announce(task, Hardware(precision=Precision(bf16, bf16)))
        warned = "warning: this cpu emulates bf16" in capsys.readouterr().err
        assert warned is (bf16 and emulated)


def test_what_decides_the_result_is_recorded(left_alone: Path) -> None:
    """All settings of training, the digests of the images, who is trained and validated on, the
    feature network and the code: where one differs, no state is gone on from.
    """
    (path,) = left_alone.glob(".ckpt/*/identity.json")
    identity = json.loads(path.read_text(encoding="utf-8"))
    params = yaml.safe_load((left_alone / "params.yaml").read_text(encoding="utf-8"))
    packed = open_packed(left_alone / "data/packed")
    keys = {"settings", "data", "train", "validation", "content", "start", "code"}
    assert set(identity) == keys
    assert identity["start"] is None
    assert identity["settings"] == params["train"]
    assert identity["data"] == list(packed.digests)
    assert identity["train"] == packed.rows(f"{index}.png" for index in range(4))
    assert sorted(identity["validation"]) == packed.rows(["4.png", "5.png"])
    assert identity["content"]["network"] == "efficientnet_lite0"
    assert path.parent.name == fingerprint(identity)


def test_both_generators_are_written(left_alone: Path) -> None:
    """Each with the epochs it was trained for, its scores, and the arithmetic that was used."""
    history = pd.read_csv(left_alone / "metrics/history.csv")
    for name, epochs in (("pixel", 2), ("generator", 3)):
        loaded = load_generator(left_alone / f"models/{name}.pt")
        training, metrics = loaded.record["training"], loaded.record["metrics"]
        assert (training["images"], training["epochs"]) == (4, epochs)
        assert metrics["psnr"] == pytest.approx(history["psnr"][epochs - 1], rel=1e-7)
        assert training["hardware"]["generator"] == "fp32"


def test_trained_weights_are_trained_on_by_adversarial_epochs_alone(
    left_alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the generator before them is what training started from."""
    copy = shutil.copytree(left_alone, tmp_path / "copy", ignore=shutil.ignore_patterns(".ckpt"))
    monkeypatch.chdir(copy)
    start = Path("models/pixel.pt").rename("models/start.pt")
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {"start": str(start), "epochs": 1, "fine_epochs": 0}
    params["train"]["adversarial"]["epochs"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    train.main()
    before, pixel, generator = (
        load_generator(path)
        for path in (start, Path("models/pixel.pt"), Path("models/generator.pt"))
    )
    assert same_weights(before, pixel)
    assert not same_weights(before, generator)
    assert [each.record["training"]["epochs"] for each in (pixel, generator)] == [0, 1]
    assert pd.read_csv("metrics/history.csv")["stage"].tolist() == ["adversarial"]


def test_the_same_command_after_the_end_writes_the_same_again(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when DVC was killed before it had seen the outputs: nothing is trained again."""
    before = survival.hashes(left_alone)
    monkeypatch.chdir(left_alone)
    for name in survival.OUTPUTS:
        Path(name).unlink()
    train.main()
    assert "done already; its outputs are written again" in capsys.readouterr().out
    assert survival.hashes(left_alone) == before
