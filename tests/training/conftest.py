"""What tests of whole trainings share."""

import os
from pathlib import Path

import pytest

from srpipe.data.packed import Packed
from stages import train
from tests import survival


@pytest.fixture(scope="session")
def packed_folder(packed: Packed) -> Path:
    """Return the folder of the six made images, for other processes to open."""
    return packed.folder


def as_a_user(patch: pytest.MonkeyPatch) -> None:
    """Set the environment of a user without settings of their own, on a machine without GPU."""
    for name in os.environ.keys() - survival.environment_of_a_user().keys():
        patch.delenv(name)
    patch.setenv("SRPIPE_DEVICE", "cpu")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any of the variables, on a machine without GPU."""
    as_a_user(monkeypatch)


@pytest.fixture(scope="session")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a training that nobody killed: in this process, untracked."""
    folder = survival.workspace(tmp_path_factory.mktemp("trainings") / "alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        as_a_user(patch)
        patch.setenv("SRPIPE_MLFLOW", "off")
        train.main()
    return folder
