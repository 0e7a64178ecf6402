"""MLflow's store: a database in the repository, unless a server is configured."""

import logging
import os
from pathlib import Path

import filelock

from srpipe.core import paths
from srpipe.core.errors import SettingsError
from srpipe.core.files import replacing

EXPERIMENT = "srpipe"


def switched_on() -> bool:
    """Say whether runs are tracked (SRPIPE_MLFLOW).

    Raises:
        SettingsError: SRPIPE_MLFLOW is neither "on" nor "off".
    """
    given = os.environ.get("SRPIPE_MLFLOW", "on")
    if given not in ("on", "off"):
        raise SettingsError(f"SRPIPE_MLFLOW is {given!r}: allowed are on (default) and off")
    return given == "on"


def use_store() -> None:
    """Make MLflow use the store, creating it if needed."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    # MLflow logs each step of creating its database; only failures matter.
    # After the import, which sets levels of its own.
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_experiment(name)
        return
    root = paths.project_root()
    make_database(root / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri())
    mlflow.set_experiment(name)


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
