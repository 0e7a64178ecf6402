"""How long MLflow may keep the work waiting.

By itself MLflow tries for minutes, at every call.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from srpipe.core import console

# Seconds that a server may take to answer, and how often it is asked again: before the work
# starts, somebody may wait for it; later a connection may break without the server being gone.
OPENING = (10, 0)
OPEN = (10, 1)
# For how many times as long as a failure took nothing is sent after it, so that a server that is
# gone does not hold up every epoch.
REST = 10


@contextlib.contextmanager
def patience(seconds: int, retries: int) -> Iterator[None]:
    """Let each request to a server wait and be repeated so long, unless MLflow's variables say."""
    limits = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        # Which may be any number of seconds.
        "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    }
    added = {name: value for name, value in limits.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@dataclass
class Link:
    """MLflow while a run is open: what it does not take is a warning, then it is left alone."""

    rests_until: float = 0.0

    @property
    def resting(self) -> bool:
        """Say whether a failure was so recent that nothing is sent."""
        return time.monotonic() < self.rests_until

    def send(self, what: str, call: Callable[[], object]) -> None:
        """Call MLflow; turn its error, or being left alone, into a warning."""
        from mlflow.exceptions import MlflowException

        if self.resting:
            console.warn(f"MLflow was not given {what}: it failed a moment ago")
            return
        began = time.monotonic()
        try:
            call()
        except (MlflowException, OSError) as error:  # OSError: what its HTTP client lets through
            ended = time.monotonic()
            self.rests_until = ended + REST * (ended - began)
            console.warn(f"MLflow did not take {what}: {reason(error)}")


def reason(error: BaseException) -> str:
    """Return why MLflow failed, in one line: the system's reason, if that is the cause."""
    told = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            told = "it does not answer"
        elif isinstance(cause, OSError) and cause.strerror:
            told = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return told
