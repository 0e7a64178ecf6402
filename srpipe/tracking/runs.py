"""MLflow runs, shown by `mlflow ui` in the root of the repository.

The store is `mlflow.db` and `mlartifacts/` in the repository the user cloned (also from a temporary
DVC workspace), unless MLFLOW_TRACKING_URI names a server. Each training is an MLflow run. A resumed
training continues it, found by its fingerprint, without logging an epoch twice; evaluation
continues the run that made the weights, found by their SHA-256, so that DVC's outputs hold no run
id. SRPIPE_MLFLOW=off switches tracking off.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srpipe.core import console
from srpipe.core.errors import TrackingError
from srpipe.core.files import sha256
from srpipe.tracking.store import switched_on, use_store

if TYPE_CHECKING:
    from srpipe.models.base import SRGenerator

WEIGHTS_TAG = "srpipe.weights_sha256"
TRAINING_TAG = "srpipe.training"


@dataclass(frozen=True)
class Run:
    """An open MLflow run; its id is None if tracking is off.

    An MLflow error while the run is open becomes a warning and does not stop the work: hours of
    training are worth more than their record.
    """

    run_id: str | None
    # Steps of each metric logged before an interruption.
    told: Mapping[str, frozenset[int]] = field(default_factory=dict)
    # Likewise whether its parameters are logged, and the SHA-256 of its weights.
    described: bool = False
    weights: str | None = None

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings under flat names; those of a resumed run stay as they are."""
        if self.run_id is None or self.described:
            return
        import mlflow

        with _reported("the parameters"):
            mlflow.log_params(_flat(values))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags, which, unlike parameters, may change when a run is resumed."""
        if self.run_id is None:
            return
        import mlflow

        with _reported("the tags"):
            mlflow.set_tags(_flat(values))

    def epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Log an epoch's numbers, except those logged already."""
        self.metrics(
            {name: value for name, value in values.items() if epoch not in self.told.get(name, ())},
            step=epoch,
        )

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, at a step (the epoch) or as final values."""
        if self.run_id is None:
            return
        import mlflow

        with _reported("metrics"):
            mlflow.log_metrics(dict(values), step=step)

    def files(self, files: Sequence[Path], folder: str) -> None:
        """Log files as artifacts below `folder`."""
        if self.run_id is None:
            return
        import mlflow

        with _reported("files"):
            for file in files:
                mlflow.log_artifact(str(file), folder)

    def generator(self, model: "SRGenerator", weights: Path) -> None:
        """Log the generator as an MLflow model for any image size; tag the run with its weights."""
        if self.run_id is None:
            return
        digest = sha256(weights)
        if self.weights == digest:
            return
        import mlflow

        with _reported("the model"):
            import numpy as np
            import torch
            from mlflow.models import ModelSignature
            from mlflow.types import Schema, TensorSpec

            image = TensorSpec(np.dtype(np.float32), (-1, model.channels, -1, -1))
            mlflow.pytorch.log_model(
                # In another layout torch warns that its archive may not suit a GPU.
                model.cpu().to(memory_format=torch.contiguous_format),
                name="generator",
                signature=ModelSignature(inputs=Schema([image]), outputs=Schema([image])),
                # A traced graph runs without this project and loads without running code.
                serialization_format="pt2",
                # Sizes of 1 would be fixed in the graph; these stay dynamic.
                input_example=np.zeros((2, model.channels, 24, 32), np.float32),
                # Given, because inferring them takes longer than a short training.
                pip_requirements=[f"torch=={version('torch')}"],
            )
        # Last: a resumed training logs the model again unless this tag is set.
        self.tags({WEIGHTS_TAG: digest})


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """Turn an MLflow error into a warning."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:  # OSError: what its HTTP client lets through
        console.warn(f"MLflow did not take {what}: {_first_line(error)}")


@contextlib.contextmanager
def training_run(
    params: Mapping[str, Any], name: str, fingerprint: str, *, resumed: bool
) -> Iterator[Run]:
    """Open a run with all parameters, named after the DVC experiment or else `name`.

    A resumed training continues its run, the newest with its fingerprint. The run is marked failed
    if the block raises.

    Args:
        params: all settings.
        name: of the run outside of DVC experiments.
        fingerprint: of the training.
        resumed: whether the training resumes from a saved state; if not, a finished run with its
            fingerprint is a different one.

    Raises:
        SettingsError: SRPIPE_MLFLOW is neither "on" nor "off".
        TrackingError: MLflow cannot be used.
    """
    experiment = os.environ.get("DVC_EXP_NAME")
    tags = {
        TRAINING_TAG: fingerprint,
        "dvc.exp_name": experiment,
        "mlflow.runName": experiment,  # also of the experiment that continues the run
        "dvc.baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV"),
    }
    given = {key: value for key, value in tags.items() if value}

    def find() -> dict[str, Any]:
        unfinished = "" if resumed else " AND attributes.status != 'FINISHED'"
        found = _newest(f"tags.`{TRAINING_TAG}` = '{fingerprint}'{unfinished}")
        return {"run_id": found} if found else {"run_name": experiment or name, "tags": given}

    with _open_run(find) as run:
        run.params(params)
        run.tags(given)
        yield run


@contextlib.contextmanager
def evaluation_run(weights: Path) -> Iterator[Run]:
    """Continue the run that trained `weights`; if there is none, open a new one and say so.

    Raises:
        SettingsError: SRPIPE_MLFLOW is neither "on" nor "off".
        TrackingError: MLflow cannot be used.
    """

    def find() -> dict[str, Any]:
        digest = sha256(weights)
        found = _newest(f"tags.`{WEIGHTS_TAG}` = '{digest}'")
        if found:
            return {"run_id": found}
        console.say("no MLflow run trained these weights here; their evaluation gets its own run")
        return {"run_name": "evaluate", "tags": {WEIGHTS_TAG: digest}}

    with _open_run(find) as run:
        yield run


@contextlib.contextmanager
def _open_run(arguments: Callable[[], dict[str, Any]]) -> Iterator[Run]:
    """Start a run with arguments computed once the store is set."""
    if not switched_on():
        yield Run(None)
        return
    try:
        import mlflow
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise TrackingError(
            f"{error}: runs are tracked in MLflow. Install it (pip install 'srpipe[pipeline]'), or "
            "set SRPIPE_MLFLOW=off"
        ) from error

    try:
        use_store()
        opened = mlflow.start_run(**arguments())
        run_id = opened.info.run_id
        client = mlflow.MlflowClient()
        run = Run(
            run_id,
            {
                name: frozenset(each.step for each in client.get_metric_history(run_id, name))
                for name in opened.data.metrics
            },
            bool(opened.data.params),
            opened.data.tags.get(WEIGHTS_TAG),
        )
    except (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"MLflow at {mlflow.get_tracking_uri()} cannot be used: {_first_line(error)}. Start or "
            "mend it, correct MLFLOW_TRACKING_URI, or set SRPIPE_MLFLOW=off to go without"
        ) from error
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        with _reported("the end of the run"):
            mlflow.end_run(status)


def _newest(condition: str) -> str | None:
    """Return the id of the newest run that matches the condition."""
    import mlflow

    found = mlflow.search_runs(
        filter_string=condition,
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return found[0].info.run_id if found else None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
