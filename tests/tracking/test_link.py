"""A server that does not answer is told before the work, and does not hold it up later."""

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from srpipe.core.errors import TrackingError
from srpipe.core.files import sha256
from srpipe.models.plain_sr import PlainSR
from srpipe.tracking import link
from srpipe.tracking.link import Link, patience, reason
from srpipe.tracking.runs import WEIGHTS_TAG, evaluation_run
from tests.server import Server, mlflow_server, unused
from tests.tracking.stored import IGNORED, training_run

pytestmark = IGNORED
TIMEOUT, RETRIES = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


# ------------------------------------------------------------------ before the work


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a server that accepts connections and never answers."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """Return an address where nothing listens."""
    return unused()


@pytest.mark.parametrize(
    ("server", "told", "kind"),
    [
        ("silent", "it does not answer", "training"),
        ("closed", "Connection refused", "training"),
        ("closed", "Connection refused", "evaluation"),
    ],
)
def test_a_server_that_does_not_answer_is_told_before_the_work(
    server: str,
    told: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within seconds, in one line: which, why, and three ways out."""
    uri = request.getfixturevalue(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    weights = tmp_path / "generator.pt"
    weights.write_bytes(b"weights")
    began = time.monotonic()
    opened = training_run() if kind == "training" else evaluation_run(weights)
    with pytest.raises(TrackingError) as caught, opened:
        pytest.fail("the work began")
    assert time.monotonic() - began < 15
    assert str(caught.value) == (
        f"MLflow at {uri} cannot be used: {told}. Start or mend it, correct or unset "
        "MLFLOW_TRACKING_URI, or set SRPIPE_MLFLOW=off to go without"
    )


def test_the_user_may_be_more_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own variables are followed; ours are gone after the block, as after an error."""
    monkeypatch.setenv(TIMEOUT, "120")
    monkeypatch.delenv(RETRIES, raising=False)
    seen: list[str] = []

    def work() -> None:
        seen.extend(os.environ[name] for name in (TIMEOUT, RETRIES))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), patience(5, 0):
        work()
    assert seen == ["120", "0"]
    assert os.environ[TIMEOUT] == "120"
    assert RETRIES not in os.environ


def test_the_reason_is_the_systems_if_that_is_the_cause() -> None:
    """Not the many layers between it and the user; an error of MLflow's own is told as it is."""
    outer = MlflowException("API request to http://... failed with exception")
    outer.__context__ = ConnectionRefusedError(111, "Connection refused")
    assert reason(outer) == "Connection refused"
    assert reason(MlflowException("no such run\nsecond line")) == "no such run"
    assert reason(OSError()) == "OSError"


# ------------------------------------------------------------------ during the work


@pytest.fixture
def server(tmp_path: Path, empty_store: Path) -> Iterator[Server]:
    """Return a server with an empty store."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    with mlflow_server(folder) as started:
        yield started


def test_a_run_on_a_server_has_its_training_and_its_evaluation(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the server's database, one run, found by its weights; nothing is stored here."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    weights = tmp_path / "generator.pt"
    weights.write_bytes(b"weights")
    with training_run() as run:
        run.epoch({"psnr": 30.0}, 1)
        run.tags({WEIGHTS_TAG: sha256(weights), "dvc.lock.data/packed": "0123.dir"})
    with evaluation_run(weights) as again:
        again.metrics({"test_psnr": 31.0})
        again.files([weights], "evaluate")
    assert again.run_id == run.run_id
    stored = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'server' / 'mlflow.db'}")
    found = stored.get_run(run.run_id)
    assert found.data.metrics == {"psnr": 30.0, "test_psnr": 31.0}
    assert found.data.tags["dvc.lock.data/packed"] == "0123.dir"
    assert list((tmp_path / "server").rglob("evaluate/generator.pt")) != []
    assert not (Path.cwd() / "mlartifacts").exists()


def test_a_server_that_dies_does_not_end_the_work(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is silent, then it answers again, then it is gone for good.

    Silence is told after the time that a request may take, and does not hold up the epochs that
    follow; they arrive when it answers. What comes after its end is lost, piece by piece told.
    """
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv(TIMEOUT, "5")
    monkeypatch.setenv(RETRIES, "0")
    file = tmp_path / "generator.pt"
    file.write_bytes(b"weights")
    with training_run() as run:
        run.epoch({"psnr": 31.0}, 1)
        assert capsys.readouterr().err == ""

        server.signal(signal.SIGSTOP)
        began = time.monotonic()
        run.epoch({"psnr": 32.0}, 2)
        assert 5 <= time.monotonic() - began < 15
        told = "warning: MLflow did not take epoch 2: it does not answer\n"
        assert capsys.readouterr().err == told
        began = time.monotonic()
        for epoch in range(3, 100):
            run.epoch({"psnr": 30.0 + epoch}, epoch)
        assert time.monotonic() - began < 1
        assert capsys.readouterr().err == ""

        server.signal(signal.SIGCONT)
        run.link.rests_until = 0.0
        run.epoch({"psnr": 130.0}, 100)
        assert capsys.readouterr().err == ""
        assert run.run_id is not None
        taken = mlflow.MlflowClient().get_metric_history(run.run_id, "psnr")
        assert [(each.step, each.value) for each in taken] == [(n, 30.0 + n) for n in range(1, 101)]

        server.kill()
        run.epoch({"psnr": 131.0}, 101)
        run.files([file], "weights")
        run.generator(PlainSR(features=4, blocks=1, scale=2), file)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("warning: MLflow did not take epoch 101: ")
    assert "Connection re" in lines[0]  # reset at first, refused from then on
    assert "warning: MLflow did not take epoch 101: Connection refused" in lines[1:]
    for what in ("the files of weights", "the model", "the tags", "the end of the run"):
        assert sum(f" {what}: " in line for line in lines) == 1
    assert all(line.startswith("warning: MLflow ") for line in lines)
    assert mlflow.active_run() is None


def test_waiting_for_a_server_costs_a_tenth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure that took ten seconds is followed by a hundred in which nothing is sent."""
    now = 1000.0
    asked: list[float] = []
    monkeypatch.setattr(link.time, "monotonic", lambda: now)

    def fail() -> None:
        nonlocal now
        asked.append(now)
        now += 10
        raise MlflowException("gone")

    open_link = Link()
    while now < 10_000:
        open_link.send("metrics", fail)
        now += 1
    assert asked[:2] == [1000.0, 1110.0]
    assert len(asked) * 10 == pytest.approx(9000 / 11, rel=0.05)
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [
        "warning: MLflow did not take metrics: gone",
        "warning: MLflow was not given metrics: it failed a moment ago",
    ]
