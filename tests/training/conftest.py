"""What tests of whole trainings share."""

from pathlib import Path

import pytest

from srpipe.data.packed import Packed
from stages import train
from tests import survival


@pytest.fixture(scope="session")
def packed_folder(packed: Packed) -> Path:
    """Return the folder of the six made images, for other processes to open."""
    return packed.folder


@pytest.fixture(scope="session")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a training that nobody killed: in this process, untracked."""
    folder = survival.workspace(tmp_path_factory.mktemp("trainings") / "alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("DVC_ROOT", "DVC_STAGE", "SRPIPE_PROCESSES", "SRPIPE_WORKERS"):
            patch.delenv(name, raising=False)
        patch.setenv("SRPIPE_DEVICE", "cpu")
        patch.setenv("SRPIPE_MLFLOW", "off")
        train.main()
    return folder
