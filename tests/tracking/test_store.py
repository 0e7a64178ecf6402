"""The store is a whole database in the clone, or a server, or nothing; never half a database."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from srpipe.core.errors import SettingsError
from srpipe.tracking.store import make_database, switched_on
from tests.tracking.stored import IGNORED, runs, train, training_run

pytestmark = IGNORED
Move = Callable[[Path, Path], None]
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
    logged("losses")
    assert contents(clone) == ["losses"]
    assert os.listdir(temporary) == ["losses.txt"]
    assert Path.cwd() == temporary


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


def test_a_view_of_the_runs_has_the_scores_as_columns(clone: Path) -> None:
    """Also in a store that an earlier version made; the address asks for it by its name."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    created = client.create_experiment("srpipe", artifact_location="mlartifacts")
    train()
    (view,) = [
        value
        for name, value in client.get_experiment(created).tags.items()
        if name == "mlflow.sharedViewState.results"
    ]
    columns = json.loads(view)["selectedColumns"]
    assert "metrics.`test_psnr_masked`" in columns
    assert "params.`train.epochs`" in columns


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


# ------------------------------------------------------------------ a clone that is moved

# As `mlflow ui` in the root of the clone: MLflow alone, which finds the database by itself.
READ = """\
import json, sys
from pathlib import Path
import mlflow

client = mlflow.MlflowClient()
experiment = client.get_experiment_by_name("srpipe")
found = client.search_runs([experiment.experiment_id])
texts = [mlflow.artifacts.load_text(f"{run.info.artifact_uri}/plots/losses.txt") for run in found]
models = client.search_logged_models([experiment.experiment_id])
there = [Path(model.artifact_location, "model.txt").read_text() for model in models]
json.dump(sorted(texts + there), sys.stdout)
"""
NAME = "Röntgen bilder (a), [b] 100%"


def logged(text: str) -> None:
    """Make a run with a file of this text."""
    Path("losses.txt").write_text(text)
    with training_run() as run:
        run.files([Path("losses.txt")], "plots")


def contents(folder: Path) -> list[str]:
    """Return the texts of the files in a clone's store, found by MLflow in its root."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def rename(old: Path, new: Path) -> None:
    old.rename(new)


def copy(old: Path, new: Path) -> None:
    shutil.copytree(old, new)


def work_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does, in a folder: MLflow remembers the store that it used last."""
    import mlflow

    mlflow.set_tracking_uri(None)
    patch.chdir(folder)


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder; none if it is not there."""
    there = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in there}


def locations(database: Path) -> list[str]:
    """Return every text in a database, but for tags, as SQL."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return [line for line in opened.iterdump() if 'INTO "tags"' not in line]


def test_no_absolute_path_is_stored(clone: Path) -> None:
    """Neither in the experiment and its runs nor in the experiment that MLflow makes by itself."""
    (clone / "mlflow.db").unlink()
    logged("one")
    (stored,) = clone.glob("mlartifacts/*/artifacts/plots/losses.txt")
    text = "\n".join(locations(clone / "mlflow.db"))
    assert f"'mlartifacts/{stored.parents[2].name}/artifacts'" in text
    assert "'mlruns/0'" in text
    assert str(clone) not in text
    assert "file:" not in text


@pytest.mark.parametrize("move", [rename, copy])
def test_a_moved_clone_has_its_runs_and_leaves_the_old_place_alone(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], move: Move
) -> None:
    """MLflow finds the old runs' files there before anything of ours ran, and the new ones' after;
    the old place is as it was, or is not made again.
    """
    logged("one")
    new = clone.with_name(NAME)
    move(clone, new)
    before = files(clone)
    assert bool(before) is (move is copy)
    work_in(new, monkeypatch)
    assert contents(new) == ["one"]
    logged("two")
    assert contents(new) == ["one", "two"]
    assert files(clone) == before
    assert clone.exists() is (move is copy)
    assert "MLflow" not in capsys.readouterr().out


def made_by_an_earlier_version(root: Path, elsewhere: Path) -> None:
    """Fill a store as version 0.2 did, which let MLflow store absolute locations.

    One experiment is the user's own, at a place of its own.
    """
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    mlflow.create_experiment("srpipe", artifact_location=(root / "mlartifacts").as_uri())
    mlflow.create_experiment("own", artifact_location=(elsewhere / "mlartifacts").as_uri())
    mlflow.create_experiment("near", artifact_location=(root / "mlartifacts-2").as_uri())
    mlflow.set_experiment("srpipe")
    with mlflow.start_run():
        mlflow.log_text("one", "plots/losses.txt")
        model = mlflow.initialize_logged_model(name="generator")
    place = root / "mlartifacts" / "models" / model.model_id / "artifacts"
    place.mkdir(parents=True)
    (place / "model.txt").write_text("model")


def test_a_store_with_absolute_paths_is_mended(
    clone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the first training in a copy, which says so once; locations outside of the old place stay,
    and so does the old place. From then on the copy may be moved.
    """
    made_by_an_earlier_version(clone, tmp_path / "elsewhere")
    new = clone.with_name(NAME)
    copy(clone, new)
    before = files(clone)
    work_in(new, monkeypatch)
    logged("two")
    told = f"MLflow's store was made in {clone}: it now finds its artifacts in {new}\n"
    assert capsys.readouterr().out == told
    assert files(clone) == before
    kept = [line for line in locations(new / "mlflow.db") if "file:" in line]
    assert len(kept) == 2
    assert f"{(tmp_path / 'elsewhere' / 'mlartifacts').as_uri()}'" in kept[0]
    assert f"{(clone / 'mlartifacts-2').as_uri()}'" in kept[1]
    again = new.rename(new.with_name("again"))
    work_in(again, monkeypatch)
    logged("three")
    assert contents(again) == ["model", "one", "three", "two"]
    assert capsys.readouterr().out == ""


def test_files_that_are_only_in_the_old_place_are_found_there(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version, used after a move, made the old place again and wrote new runs there."""
    import mlflow

    made_by_an_earlier_version(clone, tmp_path / "elsewhere")
    new = clone.rename(clone.with_name(NAME))
    work_in(new, monkeypatch)
    mlflow.set_tracking_uri(f"sqlite:///{new / 'mlflow.db'}")
    with mlflow.start_run(experiment_id=mlflow.get_experiment_by_name("srpipe").experiment_id):
        mlflow.log_text("astray", "plots/losses.txt")
    before = files(clone)
    assert list(before.values()) == [b"astray"]
    logged("two")
    assert contents(new) == ["astray", "model", "one", "two"]
    assert files(clone) == before


def test_a_store_that_was_not_moved_is_mended_without_a_word(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing changes for its user."""
    made_by_an_earlier_version(clone, tmp_path / "elsewhere")
    logged("two")
    assert contents(clone) == ["model", "one", "two"]
    assert capsys.readouterr().out == ""
    assert sum("file:" in line for line in locations(clone / "mlflow.db")) == 2


def test_artifacts_that_the_user_put_elsewhere_stay_there(clone: Path, tmp_path: Path) -> None:
    """An experiment of our name, in a folder that has our name but holds no clone."""
    import mlflow

    elsewhere = tmp_path / "disk" / "mlartifacts"
    elsewhere.mkdir(parents=True)
    mlflow.set_tracking_uri(f"sqlite:///{clone / 'mlflow.db'}")
    mlflow.create_experiment("srpipe", artifact_location=elsewhere.as_uri())
    logged("one")
    (stored,) = elsewhere.glob("*/artifacts/plots/losses.txt")
    assert stored.read_text() == "one"
    assert contents(clone) == ["one"]
