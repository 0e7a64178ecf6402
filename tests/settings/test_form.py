"""params.yaml has the form in which DVC writes it."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import modify_yaml

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.name", "nih"),
        ("datasets.folder.path", "~/radiographs"),
        ("datasets.nih.archive", "images.zip"),
        ("train.epochs", 10),
        ("train.start", "plain_sr_x4"),
        ("train.learning_rate", 2e-5),
        ("evaluate.acquisitions.noise_2.noise", 3.0),
    ],
)
def test_another_value_changes_its_line_alone(name: str, value: Any, tmp_path: Path) -> None:
    """`dvc exp run -S` reads and writes the whole file, by the function that is used here."""
    before = PARAMS.read_text(encoding="utf-8").splitlines()
    copy = tmp_path / "params.yaml"
    copy.write_bytes(PARAMS.read_bytes())
    with modify_yaml(str(copy)) as settings:
        *folders, last = name.split(".")
        for folder in folders:
            settings = settings[folder]
        settings[last] = value
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert f"{last}: " in changed[0]
