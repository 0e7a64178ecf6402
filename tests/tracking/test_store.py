"""The store is a whole database in the clone, or a server, or nothing; never half a database."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from srpipe.core.errors import SettingsError
from srpipe.tracking.store import make_database, switched_on
from tests.tracking.stored import IGNORED, runs, train

pytestmark = IGNORED
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("given", "on"), [(None, True), ("on", True), ("off", False)])
def test_runs_are_tracked_unless_switched_off(
    monkeypatch: pytest.MonkeyPatch, given: str | None, on: bool
) -> None:
    """By SRPIPE_MLFLOW."""
    if given is not None:
        monkeypatch.setenv("SRPIPE_MLFLOW", given)
    assert switched_on() == on


@pytest.mark.parametrize("given", ["", "ON", "0", "false"])
def test_another_value_of_the_switch_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """A misspelt "off" does not switch on in silence."""
    monkeypatch.setenv("SRPIPE_MLFLOW", given)
    with pytest.raises(SettingsError, match=f"SRPIPE_MLFLOW is '{given}': allowed are on"):
        switched_on()


def test_the_store_is_in_the_clone_that_dvc_runs_for(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` works elsewhere; its runs would go with its folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.chdir(temporary)
    monkeypatch.setenv("DVC_ROOT", str(clone))
    train()
    assert len(runs(clone)) == 1
    assert os.listdir(temporary) == []


def test_a_tracking_server_is_respected(
    clone: Path, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MLFLOW_TRACKING_URI set, runs go there, into the experiment that is asked for."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(empty_store, elsewhere / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "thorax")
    train()
    assert len(runs(elsewhere, "thorax")) == 1
    assert runs(clone) == runs(clone, "thorax") == runs(elsewhere) == []


# Dies where MLflow has made the first tables and is about to bring them up to date.
DIE_HALFWAY = """\
import os, signal
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from srpipe.tracking.store import make_database

@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.startswith("UPDATE alembic_version"):
        os.kill(os.getpid(), signal.SIGKILL)

make_database(Path("mlflow.db"))
"""


def test_a_database_that_was_half_made_is_made_anew(clone: Path) -> None:
    """A process killed while MLflow makes its tables leaves no database; the next one makes it,
    and removes what the first one left.
    """
    (clone / "mlflow.db").unlink()
    command = [sys.executable, "-c", DIE_HALFWAY]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(command, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = clone.glob(".mlflow.db.*.tmp")
    assert left.stat().st_size > 0
    assert not (clone / "mlflow.db").exists()
    left.with_name(f"{left.name}-journal").write_bytes(b"half a page")
    make_database(clone / "mlflow.db")
    assert list(clone.glob(".mlflow.db.*")) == []
    train()
    assert len(runs(clone)) == 1


def test_a_database_that_is_there_is_left_alone(clone: Path) -> None:
    """To the byte, and without asking MLflow."""
    train()
    before = (clone / "mlflow.db").read_bytes()
    make_database(clone / "mlflow.db")
    assert (clone / "mlflow.db").read_bytes() == before
