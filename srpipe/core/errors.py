"""Every fault that is not a bug, by name.

Each message says what was given, what is allowed and what to do. Entry points (the stages and the
command line) print the message alone and exit with 1; anything else is a bug and keeps its
traceback.
"""


class SrpipeError(Exception):
    """Base of all errors that a user can cause and mend."""


class SettingsError(SrpipeError):
    """`params.yaml` or the environment holds something that is not allowed."""


class DataError(SrpipeError):
    """A data set, a manifest or a split cannot be used."""


class ImageError(DataError):
    """One image file cannot be used."""


class DownloadError(DataError):
    """The data set could not be fetched, or what was fetched is damaged."""


class CredentialsError(DownloadError):
    """Kaggle credentials are missing or refused."""


class CheckpointError(SrpipeError):
    """A weights file cannot be read, or does not fit what it is asked for."""


class OutputError(SrpipeError):
    """An output cannot be written (disk full, no permission).

    `reason` is the system's, for whoever writes the output as part of a larger one.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TrackingError(SrpipeError):
    """MLflow cannot be used."""


class TrainingError(SrpipeError):
    """Training cannot go on (loss no longer finite, nothing to train on)."""
