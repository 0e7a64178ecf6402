"""Enhancing is measured as people do it: files in, files out, in processes of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.enhancing import ONNX, TORCH, measure_folder, peak_megabytes, start_seconds, text
from benchmarks.inference import PUBLISHED


def test_every_way_makes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of ours make one image, to a grey level; a number a round."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    speeds = measure_folder(tmp_path, 1, 1)
    assert {name: len(each) for name, each in speeds.items()} == {PUBLISHED: 1, ONNX: 1, TORCH: 1}
    made = {kind: np.asarray(Image.open(tmp_path / kind / "0.png")) for kind in ("onnx", "torch")}
    assert made["onnx"].shape == (1024, 1024)
    assert np.abs(made["onnx"].astype(int) - made["torch"]).max() <= 1
    assert np.asarray(Image.open(tmp_path / "published/0.png")).shape == (1024, 1024, 3)
    told = text(speeds, 1, 0.5, {256: (200, 90)})
    assert f"| {PUBLISHED}" in told
    assert "0.50 s of CPU time" in told
    assert "| 1024x1024 |" in told


def test_start_and_memory_are_those_of_processes(tmp_path: Path) -> None:
    """A start takes a part of a second at least; a larger image at least its own result more."""
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(image)
    assert 0.05 < start_seconds(image, 1) < 60
    small, large = (peak_megabytes(side)[1] for side in (64, 192))
    assert large > small
