"""MLflow's store: a database in the repository, unless a server is configured.

The database locates artifacts relative to the repository, so that a moved or copied clone finds its
own, also by `mlflow ui` in its root. MLflow itself stores absolute locations only.
"""

import contextlib
import json
import logging
import os
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import filelock

from srpipe.core import console, paths
from srpipe.core.errors import SettingsError
from srpipe.core.files import replacing

EXPERIMENT = "srpipe"
# MLflow shows no metric columns unless they are chosen; a shared view has them chosen, in the form
# that its page writes. `viewStateShareKey=results` in its address asks for it. No more than leave
# room for the parameters on a screen: columns are 100 pixels wide, and in MLflow's order.
VIEW_TAG = "mlflow.sharedViewState.results"
_COLUMNS = {
    "metrics": (
        "validation_psnr_masked",
        "test_psnr",
        "test_psnr_masked",
        "test_ssim",
        "test_over_bicubic_psnr_masked",
    ),
    "params": ("data.name", "train.generator.name", "train.epochs", "train.learning_rate"),
}
VIEW = json.dumps(
    {"selectedColumns": [f"{kind}.`{name}`" for kind, names in _COLUMNS.items() for name in names]}
)
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
# The columns of MLflow's database that locate artifacts.
_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def switched_on() -> bool:
    """Say whether runs are tracked (SRPIPE_MLFLOW).

    Raises:
        SettingsError: SRPIPE_MLFLOW is neither "on" nor "off".
    """
    given = os.environ.get("SRPIPE_MLFLOW", "on")
    if given not in ("on", "off"):
        raise SettingsError(f"SRPIPE_MLFLOW is {given!r}: allowed are on (default) and off")
    return given == "on"


def use_store() -> Path | None:
    """Make MLflow use the store, creating it if needed.

    Returns:
        the folder that artifact locations in the store are relative to: the repository, or None
        if MLFLOW_TRACKING_URI names another store.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    # MLflow logs each step of creating its database; only failures matter.
    # After the import, which sets levels of its own.
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    root = paths.project_root()
    ours = f"sqlite:///{root / DATABASE}"
    # MLflow sets the variable too, to what it was told to use.
    if os.environ.get("MLFLOW_TRACKING_URI", ours) not in ("", ours):
        mlflow.set_experiment(name)
        return None
    make_database(root / DATABASE)
    mlflow.set_tracking_uri(ours)
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(root / ARTIFACTS).as_uri())
    make_relative(root, name)
    if mlflow.set_experiment(name).tags.get(VIEW_TAG) != VIEW:
        mlflow.set_experiment_tag(VIEW_TAG, VIEW)
    return root


def make_database(path: Path) -> None:
    """Create MLflow's database if there is none, under another name first.

    MLflow creates it in many steps; killed in between, it would refuse its own partial database.
    """
    import mlflow

    with filelock.FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        for left in path.parent.glob(f".{path.name}.*"):  # of a process killed while it made one
            left.unlink()
        with replacing(path) as temporary:
            mlflow.MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
            # That of MLflow's own first experiment, "Default", is below the working directory.
            with contextlib.closing(sqlite3.connect(temporary)) as database, database:
                database.execute("UPDATE experiments SET artifact_location = 'mlruns/0'")


def make_relative(root: Path, experiment: str) -> None:
    """Make the absolute locations of an experiment's artifacts relative to the repository.

    Those that MLflow gave an experiment just created, and those that earlier versions of this
    project left, which name the place where the clone was then. In one transaction. Locations
    outside of that place stay as they are, and so do those of files that are only there.
    """
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as database, database:
        (location,) = database.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", (experiment,)
        ).fetchone()
        if not location.startswith("file:") or not location.endswith(f"/{ARTIFACTS}"):
            return
        place = Path(url2pathname(urlsplit(location).path)).parent
        if not (root / ARTIFACTS).exists() and _only_artifacts(place):
            return  # no clone was there: the user chose the place
        for table, column in _LOCATIONS:
            rows = database.execute(
                f"SELECT rowid, {column} FROM {table} WHERE substr({column} || '/', 1, ?) = ?",
                (len(location) + 1, f"{location}/"),
            ).fetchall()
            for row, stored in rows:
                relative = ARTIFACTS + stored.removeprefix(location)
                lost = (place / relative).exists() and not (root / relative).exists()
                if table == "experiments" or not lost:
                    database.execute(
                        f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (relative, row)
                    )
    if place != root:
        console.say(f"MLflow's store was made in {place}: it now finds its artifacts in {root}")


def _only_artifacts(place: Path) -> bool:
    return (place / ARTIFACTS).exists() and not (place / DATABASE).exists()
