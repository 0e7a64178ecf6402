"""All expected errors.

Each message says what was given, what is allowed and what to do. Entry points (the stages and the
command line) print only the message and exit with 1; anything else is a bug and keeps its
traceback.
"""


class SrpipeError(Exception):
    """Base of all errors that a user can cause and fix."""


class SettingsError(SrpipeError):
    """`params.yaml` or the environment holds a value that is not allowed."""


class DataError(SrpipeError):
    """A data set, a manifest or a split cannot be used."""


class ImageError(DataError):
    """One image file cannot be used."""


class DownloadError(DataError):
    """The data set could not be fetched, or is damaged."""


class CredentialsError(DownloadError):
    """Kaggle credentials are missing or refused."""


class CheckpointError(SrpipeError):
    """A weights file cannot be read, or does not suit its use."""


class OutputError(SrpipeError):
    """An output cannot be written (disk full, no permission).

    `reason` is the system's, for callers that write the output as part of a larger one.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotEnoughMemoryError(SrpipeError):
    """Memory, of the machine or of the GPU, does not suffice."""


class SchedulerError(SrpipeError):
    """The Dask scheduler that the environment names, or one of its workers, cannot be used."""


class TrackingError(SrpipeError):
    """MLflow cannot be used."""


class TrainingError(SrpipeError):
    """Training cannot continue (loss no longer finite, nothing to train on)."""
