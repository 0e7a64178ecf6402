"""Every training is an MLflow run that can be found again: training that was interrupted and
evaluation go on with it.
"""

import errno
import hashlib
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srpipe.core.errors import TrackingError, TrainingError
from srpipe.models.base import SRGenerator
from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SwiftSRGAN
from srpipe.tracking import runs as tracking
from tests.tracking.stored import IGNORED, history, runs, train, training_run

pytestmark = IGNORED


def save(path: Path, content: bytes) -> Path:
    """Write a file that stands for weights."""
    path.write_bytes(content)
    return path


# ------------------------------------------------------------------ where and what


def test_a_run_has_parameters_metrics_and_files(clone: Path) -> None:
    """Settings under dotted names, an epoch's numbers at its step, files below their folder."""
    plot = save(clone / "losses.png", b"a plot")
    with training_run() as run:
        run.metrics({"psnr": 30.0, "loss": 0.5}, step=1)
        run.metrics({"psnr": 31.0, "loss": 0.25}, step=2)
        run.files([plot], "plots")
    (found,) = runs(clone)
    assert found.info.run_id == run.run_id
    assert (found.info.run_name, found.info.status) == ("swift_srgan", "FINISHED")
    assert found.data.params == {
        "data.name": "phantom",
        "train.epochs": "2",
        "train.generator.features": "8",
    }
    assert found.data.metrics == {"psnr": 31.0, "loss": 0.25}
    stored = clone / "mlartifacts" / found.info.run_id / "artifacts" / "plots" / "losses.png"
    assert stored.read_bytes() == b"a plot"


def test_a_run_is_named_after_its_dvc_experiment(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both tools call one thing by one name; the tags tell which commit it started from."""
    monkeypatch.setenv("DVC_EXP_NAME", "grade-pony")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0123abc")
    train()
    (found,) = runs(clone)
    assert found.info.run_name == "grade-pony"
    assert found.data.tags["dvc.exp_name"] == "grade-pony"
    assert found.data.tags["dvc.baseline_rev"] == "0123abc"


def test_outside_of_experiments_there_are_no_such_tags(clone: Path) -> None:
    train()
    (found,) = runs(clone)
    assert [tag for tag in found.data.tags if tag.startswith("dvc.")] == []


@pytest.mark.parametrize("fault", [TrainingError("loss is nan"), KeyboardInterrupt()])
def test_a_run_that_breaks_off_is_marked_failed(clone: Path, fault: BaseException) -> None:
    """The fault passes through, and what was logged until then is kept."""

    def break_off() -> None:
        with training_run() as run:
            run.metrics({"psnr": 30.0}, step=1)
            raise fault

    with pytest.raises(type(fault)) as caught:
        break_off()
    assert caught.value is fault
    (found,) = runs(clone)
    assert found.info.status == "FAILED"
    assert found.data.metrics == {"psnr": 30.0}


def test_switched_off_it_writes_nothing(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store, no folder, no run id; every call is still there."""
    monkeypatch.setenv("SRPIPE_MLFLOW", "off")
    (clone / "mlflow.db").unlink()
    weights = save(clone / "generator.pt", b"weights")
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=2, bicubic_skip=False)
    for open_run in (training_run(), tracking.evaluation_run(weights)):
        with open_run as run:
            assert run.run_id is None
            run.metrics({"psnr": 30.0})
            run.files([weights], "weights")
            run.generator(model, weights)
    assert os.listdir(clone) == ["generator.pt"]


# ------------------------------------------------------------------ interrupted training


def die_in(*, fingerprint: str, epochs: int, resumed: bool = False) -> str:
    """Tell some epochs and be killed; return the id of the run, which stays open."""
    import mlflow

    context = training_run(fingerprint=fingerprint, resumed=resumed)
    run = context.__enter__()
    for epoch in range(1, epochs + 1):
        run.epoch({"psnr": 30.0 + epoch}, epoch)
    assert run.run_id is not None
    # A killed process ends nothing: the run stays as it is, and the next process knows of none.
    mlflow.tracking.fluent._active_run_stack.get().clear()
    del context
    return run.run_id


def test_an_interrupted_training_goes_on_with_its_run(clone: Path) -> None:
    """The run id stays; epochs that it has are not told twice, not even with another value."""
    killed = die_in(fingerprint="0123", epochs=2)
    (found,) = runs(clone)
    assert found.info.status == "RUNNING"
    with training_run(resumed=True) as run:
        for epoch in (1, 2, 3):
            run.epoch({"psnr": 30.0 + epoch, "loss": 1.0 / epoch}, epoch)
    assert run.run_id == killed
    (found,) = runs(clone)
    assert found.info.status == "FINISHED"
    assert history(clone, killed, "psnr") == [(1, 31.0), (2, 32.0), (3, 33.0)]
    assert history(clone, killed, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


def test_a_training_killed_before_its_first_save_has_one_run_too(clone: Path) -> None:
    """There is no state to go on from, but the run is there, unfinished."""
    killed = die_in(fingerprint="0123", epochs=1)
    with training_run(resumed=False) as run:
        run.epoch({"psnr": 31.0}, 1)
    assert run.run_id == killed
    assert history(clone, killed, "psnr") == [(1, 31.0)]


def test_a_training_that_failed_goes_on_with_its_run(clone: Path) -> None:
    """As after Ctrl-C or a full disk."""

    def break_off() -> None:
        with training_run() as run:
            run.epoch({"psnr": 31.0}, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    (failed,) = runs(clone)
    assert failed.info.status == "FAILED"
    with training_run(resumed=True) as run:
        run.epoch({"psnr": 31.0}, 1)
    assert run.run_id == failed.info.run_id
    assert history(clone, run.run_id, "psnr") == [(1, 31.0)]


def test_a_finished_run_is_gone_on_with_only_by_its_own_training(clone: Path) -> None:
    """Killed after the end of its run, a training finds its state, and then its run. Without a
    state - the same settings trained anew - there is another run.
    """
    first = train()
    with training_run(resumed=True) as again:
        again.epoch({"psnr": 30.0}, 1)
    assert again.run_id == first
    assert history(clone, first, "psnr") == [(1, 30.0)]
    second = train()
    assert second != first
    assert len(runs(clone)) == 2
    with training_run(resumed=True) as newest:
        pass
    assert newest.run_id == second


@pytest.mark.parametrize("resumed", [False, True])
def test_another_training_has_another_run(clone: Path, resumed: bool) -> None:
    """Other settings, data or code: the run of an interrupted one is left alone."""
    killed = die_in(fingerprint="0123", epochs=1)
    with training_run(fingerprint="4567", resumed=resumed) as run:
        run.epoch({"psnr": 40.0}, 1)
    assert run.run_id != killed
    assert history(clone, killed, "psnr") == [(1, 31.0)]
    assert run.run_id is not None
    assert history(clone, run.run_id, "psnr") == [(1, 40.0)]


def test_a_run_that_goes_on_takes_other_tags(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may go on with other hardware, and in another experiment, whose name it takes.

    Its parameters stay.
    """
    with training_run() as run:
        run.tags({"hardware": {"device": "cpu", "processes": "2"}})
    monkeypatch.setenv("DVC_EXP_NAME", "grade-pony")
    with training_run(resumed=True) as run:
        run.tags({"hardware": {"device": "cuda", "processes": "1"}})
    (found,) = runs(clone)
    tags = {name: value for name, value in found.data.tags.items() if "mlflow." not in name}
    assert tags == {
        "srpipe.training": "0123",
        "dvc.exp_name": "grade-pony",
        "hardware.device": "cuda",
        "hardware.processes": "1",
    }
    assert found.info.run_name == "grade-pony"
    assert found.data.params["train.epochs"] == "2"


def test_the_model_is_not_logged_again(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a training whose run has these weights already; by one with other weights it is."""
    logged: list[str] = []
    # Under its own name, because MLflow replaces `mlflow.pytorch` when it is first used.
    flavour = importlib.import_module("mlflow.pytorch")
    monkeypatch.setattr(flavour, "log_model", lambda *_, name, **__: logged.append(name))
    monkeypatch.setattr(tracking, "_register", lambda _: None)
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=2)
    weights = save(clone / "generator.pt", b"weights")
    for _ in range(2):
        with training_run(resumed=True) as run:
            run.generator(model, weights)
        assert logged == ["generator"]
    save(weights, b"others")
    with training_run(resumed=True) as run:
        run.generator(model, weights)
    assert logged == ["generator"] * 2


def test_a_run_whose_model_is_not_taken_is_found_by_its_weights(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However long it took to fail: evaluation goes on with it."""

    def fail(*_: Any, **__: Any) -> None:
        time.sleep(0.2)
        raise OSError(errno.ENOSPC, "No space left on device")

    flavour = importlib.import_module("mlflow.pytorch")
    monkeypatch.setattr(flavour, "log_model", fail)
    weights = save(clone / "generator.pt", b"weights")
    with training_run() as run:
        run.generator(SwiftSRGAN(channels=1, features=4, blocks=1, scale=2), weights)
    told = "warning: MLflow did not take the model: No space left on device\n"
    assert capsys.readouterr().err == told
    with tracking.evaluation_run(weights) as again:
        assert again.run_id == run.run_id


# ------------------------------------------------------------------ evaluation


def test_evaluation_goes_on_with_the_run_of_its_weights(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found by the weights' content, not by name or time; training's metrics stay."""
    first = save(clone / "first.pt", b"first")
    second = save(clone / "second.pt", b"second")
    wanted = train("one", first)
    train("two", second)
    renamed = first.rename(clone / "generator.pt")
    with tracking.evaluation_run(renamed) as run:
        run.metrics({"test_psnr": 40.0})
    assert run.run_id == wanted
    assert capsys.readouterr().out == ""
    by_name = {found.info.run_name: found for found in runs(clone)}
    assert by_name["one"].data.metrics == {"psnr": 30.0, "test_psnr": 40.0}
    assert by_name["one"].info.status == "FINISHED"
    assert by_name["two"].data.metrics == {"psnr": 30.0}
    assert len(by_name) == 2


def test_of_two_runs_with_the_same_weights_the_newer_is_taken(clone: Path) -> None:
    """The same training twice gives the same bytes."""
    weights = save(clone / "generator.pt", b"weights")
    train("older", weights)
    newer = train("newer", weights)
    with tracking.evaluation_run(weights) as run:
        assert run.run_id == newer


def test_weights_without_a_run_get_one_and_it_is_said(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when DVC restored them from its cache; a second evaluation goes on with that run."""
    train("other")
    weights = save(clone / "generator.pt", b"weights")
    with tracking.evaluation_run(weights) as run:
        run.metrics({"test_psnr": 40.0})
    assert "no MLflow run trained these weights" in capsys.readouterr().out
    with tracking.evaluation_run(weights) as again:
        again.metrics({"test_psnr": 41.0})
    assert again.run_id == run.run_id
    assert capsys.readouterr().out == ""
    found = {each.info.run_name: each for each in runs(clone)}
    assert set(found) == {"other", "evaluate"}
    assert found["evaluate"].data.metrics == {"test_psnr": 41.0}


# ------------------------------------------------------------------ the model


MODELS: dict[str, Callable[[], SRGenerator]] = {
    "swift_srgan": lambda: SwiftSRGAN(
        channels=3, features=4, blocks=1, scale=2, bicubic_skip=False
    ),
    "plain_sr": lambda: PlainSR(features=4, blocks=1, scale=2),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_logged_model_takes_any_image_size(clone: Path, kind: str) -> None:
    """It is loaded by MLflow alone, and the run is marked by the weights' digest."""
    import mlflow

    torch.manual_seed(0)
    # Trained in this layout, on whatever device.
    model = MODELS[kind]().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = save(clone / "generator.pt", b"weights")
    with training_run() as run:
        run.generator(model, weights)
    (found,) = runs(clone)
    assert found.data.tags[tracking.WEIGHTS_TAG] == hashlib.sha256(b"weights").hexdigest()
    loaded = mlflow.pytorch.load_model(f"runs:/{run.run_id}/generator")
    for height, width in ((8, 8), (12, 20)):
        lr = torch.rand(2, model.channels, height, width)
        with torch.no_grad():
            assert torch.equal(loaded(lr), model(lr))
    # Every training registers its model, as the next version.
    with training_run(fingerprint="4567") as later:
        later.generator(model, save(clone / "generator.pt", b"others"))
    versions = mlflow.MlflowClient().search_model_versions("name = 'srpipe'")
    assert {int(each.version): each.run_id for each in versions} == {1: run.run_id, 2: later.run_id}
    assert torch.equal(mlflow.pytorch.load_model("models:/srpipe/1")(lr), model(lr))
    signature = mlflow.models.get_model_info(f"runs:/{run.run_id}/generator").signature
    assert signature.inputs.inputs[0].shape == (-1, model.channels, -1, -1)


def test_without_mlflow_it_is_told_what_to_do(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it, and the switch."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    told = r"pip install '\.\[pipeline\]'.*SRPIPE_MLFLOW=off"
    with pytest.raises(TrackingError, match=told), training_run():
        pass


def test_a_store_that_cannot_be_used_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message that names the store and the way out; the block does not run."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")
    with (
        pytest.raises(TrackingError, match="SRPIPE_MLFLOW=off"),
        training_run(),
    ):
        pytest.fail("the work began")


def test_a_fault_while_the_run_is_open_does_not_stop_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Losing the record is a warning; losing hours of training would be worse."""
    import mlflow
    from mlflow.exceptions import MlflowException

    def fail(*_: Any, **__: Any) -> None:
        raise MlflowException("the server is gone")

    with training_run() as run:
        monkeypatch.setattr(mlflow, "log_metrics", fail)
        run.metrics({"loss": 1.0}, step=1)
    assert "warning: MLflow did not take metrics: the server is gone" in capsys.readouterr().err
