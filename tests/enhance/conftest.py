"""What tests of enhancing share: an empty folder, the CPU, and a small generator."""

from pathlib import Path

import pytest

from srpipe.enhance.upscale import Method, method
from tests.enhance.generators import save_plain_sr


@pytest.fixture(scope="package")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint of our own generator."""
    return save_plain_sr(tmp_path_factory.mktemp("weights") / "ours.pt")


@pytest.fixture(scope="package")
def our_method(ours: Path) -> Method:
    """Return it as files are enhanced with it, on the CPU."""
    return method(ours, device="cpu")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
