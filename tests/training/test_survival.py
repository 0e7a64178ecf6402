"""A training that is killed at any moment ends as if it had been left alone.

`python -m tests.survival --kills 100` does the same as often as wanted.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import survival
from tests.server import mlflow_server
from tests.survival import after_a_change

# They share the training that was left alone with the tests of several processes.
pytestmark = pytest.mark.xdist_group("trainings")


def test_kills_change_nothing(tmp_path: Path, left_alone: Path) -> None:
    """SIGKILL among the steps, and SIGKILL among the outputs: every output has the bits of the
    training that was left alone, and MLflow is told each epoch once, in one run.

    What a training has written says when to kill it, not seconds, in which a quick machine would
    end and a slow one not begin.
    """
    folder = survival.workspace(tmp_path / "killed")

    def states() -> Iterable[Path]:
        return folder.glob(".ckpt/*/state.pt")

    def after_some_steps() -> float:
        return [after_a_change(states, 0.0) for _ in range(5)][-1]

    def after_the_first_output() -> float:
        return after_a_change(lambda: [folder / "models/pixel.pt"], 0.0)

    moments = iter([after_some_steps, after_the_first_output, lambda: survival.LONG])
    starts = survival.die_until_done(folder, lambda: next(moments)(), survival.kill_session)
    assert [each.killed_after is not None for each in starts] == [True, True, False]
    assert [each.resumed for each in starts[:2]] == [False, True]
    assert survival.hashes(folder) == survival.hashes(left_alone)
    assert survival.told_epochs(folder) == [(1, 1), (2, 1), (3, 1)]
    (finished,) = folder.glob(".ckpt/*/finished.json")
    left = sorted(path.name for path in finished.parent.iterdir())
    assert left == ["finished.json", "identity.json", "lock", "name.json", "state.pt"]
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        runs = database.execute("SELECT name, status FROM runs").fetchall()
    assert runs == [("swift_srgan", "FINISHED")]


def test_a_tracking_server_that_dies_does_not_end_the_training(
    tmp_path: Path, left_alone: Path
) -> None:
    """Killed after the first step: the training warns, and ends with the bits of one that nothing
    befell.
    """
    folder = survival.workspace(tmp_path / "untold")
    with mlflow_server(tmp_path) as server:
        process = survival.start(folder, MLFLOW_TRACKING_URI=server.uri)
        try:
            after_a_change(lambda: folder.glob(".ckpt/*/state.pt"), 0.0)
            server.kill()
            out, err = process.communicate(timeout=survival.LONG)
        finally:
            process.kill()
    assert process.returncode == 0, out + err
    assert "warning: MLflow did not take " in err
    assert "Traceback" not in err
    assert survival.hashes(folder) == survival.hashes(left_alone)


def test_an_interrupted_training_goes_on_in_another_place(tmp_path: Path, left_alone: Path) -> None:
    """Killed, its clone renamed, started again: it resumes in the same MLflow run and ends with the
    bits of one that was left alone. No file knows where it is or was.
    """
    folder = survival.workspace(tmp_path / "old")
    process = survival.start(folder)
    after_a_change(lambda: folder.glob(".ckpt/*/state.pt"), 0.0)
    survival.kill_session(process)
    process.communicate(timeout=60)
    moved = folder.rename(tmp_path / "neu (ü), [1]")
    out, _ = survival.finish(moved)
    assert "going on with an interrupted training" in out
    assert not folder.exists()
    assert survival.hashes(moved) == survival.hashes(left_alone)
    assert survival.told_epochs(moved) == [(1, 1), (2, 1), (3, 1)]
    (artifacts,) = moved.glob("mlartifacts/*/artifacts/weights")
    assert (artifacts / "generator.pt").read_bytes() == (moved / "models/generator.pt").read_bytes()
    files = [path for path in moved.rglob("*") if path.is_file()]
    assert len(files) > 20
    places = (str(tmp_path).encode(), tmp_path.as_uri().encode())
    assert [path for path in files if any(place in path.read_bytes() for place in places)] == []
