"""A measurement of everything that takes seconds: tiny networks, tiny images, one round."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tiny_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a params.yaml of tiny networks and crops."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    train = params["train"]
    train["batch_size"] = 2
    train["crops"]["size"] = train["adversarial"]["crops"]["size"] = 32
    train["generator"].update(features=4, blocks=1)
    train["adversarial"]["discriminator"]["features"] = 4
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path
