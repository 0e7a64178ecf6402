"""A run is tagged with DVC's hashes of what it was made from."""

from pathlib import Path

import pytest
import yaml

from srpipe.tracking.lock import hashes
from tests.tracking.stored import IGNORED

pytestmark = IGNORED
ROOT = Path(__file__).resolve().parents[2]
FILES = (Path("data/packed"), Path("data/split.csv"), Path("not/in/it"))


def test_hashes_are_those_that_the_lock_has_of_outputs(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of DVC's own file, as the repository has it."""
    text = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    (clone / "dvc.lock").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DVC_STAGE", "train")
    deps = {dep["path"]: dep["md5"] for dep in yaml.safe_load(text)["stages"]["train"]["deps"]}
    assert hashes(FILES) == {
        f"dvc.lock.{name}": deps[name] for name in ("data/packed", "data/split.csv")
    }


def test_outside_of_dvc_there_are_none(clone: Path) -> None:
    """The lock that is there may be about other data."""
    (clone / "dvc.lock").write_text("stages: {}", encoding="utf-8")
    assert hashes(FILES) == {}


def test_before_dvc_has_written_any_there_are_none(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work does not end for want of tags."""
    monkeypatch.setenv("DVC_STAGE", "train")
    assert hashes(FILES) == {}
