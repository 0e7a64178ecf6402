"""MLflow runs, shown by `mlflow ui` in the root of the repository.

The store is `mlflow.db` and `mlartifacts/` in the repository the user cloned (also from a temporary
DVC workspace), unless MLFLOW_TRACKING_URI names a server, which must answer before the work starts
and may fail later. Each training is an MLflow run. A resumed training continues it, found by its
fingerprint, without logging an epoch twice; evaluation continues the run that made the weights,
found by their SHA-256, so that DVC's outputs hold no run id. SRPIPE_MLFLOW=off switches tracking
off.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srpipe.core import console
from srpipe.core.errors import TrackingError
from srpipe.core.extras import install
from srpipe.core.files import sha256
from srpipe.tracking.link import OPEN, OPENING, Link, patience, reason
from srpipe.tracking.store import switched_on, use_store

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

    from srpipe.models.base import SRGenerator

WEIGHTS_TAG = "srpipe.weights_sha256"
TRAINING_TAG = "srpipe.training"
# The registered model of which every training makes a version.
REGISTERED = "srpipe"


@dataclass(frozen=True)
class Run:
    """An open MLflow run; its id is None if tracking is off.

    An MLflow error while the run is open becomes a warning and does not stop the work: hours of
    training are worth more than their record. Epochs that MLflow did not take are sent again later.
    """

    run_id: str | None
    # Steps of each metric logged before an interruption.
    told: Mapping[str, frozenset[int]] = field(default_factory=dict)
    # Likewise whether its parameters are logged, and the SHA-256 of its weights.
    described: bool = False
    weights: str | None = None
    # The folder that locations of artifacts are relative to, if they are.
    place: Path | None = None
    link: Link = field(default_factory=Link)
    # Numbers and time of each epoch that MLflow has not taken yet.
    unsent: dict[int, tuple[dict[str, float], int]] = field(default_factory=dict)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings under flat names; those of a resumed run stay as they are."""
        if self.run_id is None or self.described:
            return
        import mlflow

        self.link.send("the parameters", lambda: mlflow.log_params(_flat(values)))

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags, which, unlike parameters, may change when a run is resumed."""
        if self.run_id is None:
            return
        import mlflow

        self.link.send("the tags", lambda: mlflow.set_tags(_flat(values)))

    def epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Log an epoch's numbers, except those logged already."""
        new = {
            name: value for name, value in values.items() if epoch not in self.told.get(name, ())
        }
        if self.run_id is None or not new:
            return
        self.unsent[epoch] = (new, time.time_ns() // 1_000_000)
        if not self.link.resting:
            self._send_epochs()

    def _send_epochs(self) -> None:
        import mlflow

        def send() -> None:
            for epoch, (numbers, milliseconds) in sorted(self.unsent.items()):
                mlflow.log_metrics(numbers, step=epoch, timestamp=milliseconds)
                del self.unsent[epoch]

        first, last = min(self.unsent), max(self.unsent)
        what = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        self.link.send(what, send)

    def finish(self) -> None:
        """Send what MLflow has not taken, once more; what it still refuses is lost to it."""
        if self.unsent:
            self.link.rests_until = 0.0
            self._send_epochs()

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, at a step (the epoch) or as final values."""
        if self.run_id is None:
            return
        import mlflow

        self.link.send("metrics", lambda: mlflow.log_metrics(dict(values), step=step))

    def files(self, files: Sequence[Path], folder: str) -> None:
        """Log files as artifacts below `folder`."""
        if self.run_id is None:
            return
        import mlflow

        given = [str(file.absolute()) for file in files]

        def send() -> None:
            with self._artifacts():
                for file in given:
                    mlflow.log_artifact(file, folder)

        self.link.send(f"the files of {folder}", send)

    def generator(self, model: "SRGenerator", weights: Path) -> None:
        """Log and register the generator as an MLflow model for any image size.

        The run is tagged with its weights.
        """
        if self.run_id is None:
            return
        digest = sha256(weights)
        if self.weights == digest:
            return

        def send() -> None:
            with self._artifacts():
                _register(_log_model(model))

        self.link.send("the model", send)
        # Last: a resumed training logs the model again unless this tag is set. And whatever failed:
        # evaluation finds the run by it.
        self.link.rests_until = 0.0
        self.tags({WEIGHTS_TAG: digest})

    def _artifacts(self) -> contextlib.AbstractContextManager[None]:
        """Work where locations of artifacts are relative to: DVC may run stages elsewhere."""
        return contextlib.nullcontext() if self.place is None else contextlib.chdir(self.place)


def _log_model(model: "SRGenerator") -> "ModelInfo":
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    image = TensorSpec(np.dtype(np.float32), (-1, model.channels, -1, -1))
    logged: ModelInfo = mlflow.pytorch.log_model(
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
    return logged


def _register(logged: "ModelInfo") -> None:
    """Make the logged model the next version of the registered one."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    # Not `mlflow.register_model`, which tells of it on stderr, in lines of its own.
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(REGISTERED)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    client.create_model_version(
        REGISTERED, logged.model_uri, logged.run_id, model_id=logged.model_id
    )


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
            f"{error}: runs are tracked in MLflow. Install it "
            f"({install('pipeline')}), or set SRPIPE_MLFLOW=off"
        ) from error

    try:
        with patience(*OPENING):
            place = use_store()
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
                place,
            )
    except (
        mlflow.exceptions.MlflowException,
        SQLAlchemyError,
        sqlite3.Error,
        OSError,
    ) as error:
        raise TrackingError(
            f"MLflow at {mlflow.get_tracking_uri()} cannot be used: {reason(error)}. Start or mend "
            "it, correct or unset MLFLOW_TRACKING_URI, or set SRPIPE_MLFLOW=off to go without"
        ) from error
    status = "FAILED"
    with patience(*OPEN):
        try:
            yield run
            status = "FINISHED"
        finally:
            run.finish()
            # Whatever failed before, so that MLflow takes no run for open in this process.
            run.link.rests_until = 0.0
            run.link.send("the end of the run", lambda: mlflow.end_run(status))


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


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
