"""What MLflow's store holds, and the warnings of MLflow that are not ours to mend."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from srpipe.tracking import runs as tracking

IGNORED = [
    # MLflow's tables, made when its store is first opened, use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
    ),
    # MLflow warns of a type hint of its own when it first loads mlflow.pyfunc.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]
PARAMS = {"data": {"name": "phantom"}, "train": {"epochs": 2, "generator": {"features": 8}}}


def training_run(
    name: str = "swift_srgan", fingerprint: str = "0123", *, resumed: bool = False
) -> contextlib.AbstractContextManager[tracking.Run]:
    """Open a training run as the train stage does."""
    return tracking.training_run(PARAMS, name, fingerprint, resumed=resumed)


def train(name: str = "swift_srgan", weights: Path | None = None) -> str:
    """Make a training run as the train stage does, marked by `weights`; return its id."""
    with training_run(name) as run:
        run.metrics({"psnr": 30.0}, step=1)
        if weights is not None:
            run.tags({tracking.WEIGHTS_TAG: tracking.sha256(weights)})
    assert run.run_id is not None
    return run.run_id


def runs(folder: Path, experiment: str = "srpipe") -> list[Any]:
    """Return the runs in the store of a folder, the newest first."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def history(folder: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    """Return each step and value that a run was told of a metric."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return [(each.step, each.value) for each in client.get_metric_history(run_id, name)]
