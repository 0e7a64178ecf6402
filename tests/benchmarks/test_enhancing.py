"""Enhancing is measured as people do it: files in, files out, in processes of their own."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from benchmarks.enhancing import (
    ONNX,
    TORCH,
    Costs,
    as_json,
    disk_megabytes,
    measure_folder,
    peak_megabytes,
    start_seconds,
    text,
)
from benchmarks.networks import PUBLISHED


def test_every_way_makes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of ours make one image, to a grey level; a number a round."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    speeds = measure_folder(tmp_path, 1, 1)
    assert {name: len(each) for name, each in speeds.items()} == {PUBLISHED: 1, ONNX: 1, TORCH: 1}
    made = {kind: np.asarray(Image.open(tmp_path / kind / "0.png")) for kind in ("onnx", "torch")}
    assert made["onnx"].shape == (1024, 1024)
    assert np.abs(made["onnx"].astype(int) - made["torch"]).max() <= 1
    assert np.asarray(Image.open(tmp_path / "published/0.png")).shape == (1024, 1024, 3)


def test_costs_are_told_as_they_are() -> None:
    """In tables, and as JSON under the names that are promised."""
    speeds = {PUBLISHED: [0.5, 0.5], ONNX: [4.0, 4.0], TORCH: [2.0, 2.0]}
    costs = Costs(3, speeds, start=0.5, loaded=110, added={256: 90, 512: 95}, disk=330)
    assert as_json(costs) == {
        "upscale_ratio": 8.0,
        "upscale_ratio_torch": 4.0,
        "start_cpu_seconds": 0.5,
        "peak_megabytes": {"256": 90, "512": 95},
        "disk_megabytes": 330,
    }
    told = text(costs)
    for row in (f"{ONNX} 8.0 (8.0 to 8.0) 0.25", "256x256 1024x1024 90", "512x512 2048x2048 95"):
        assert row in " ".join(told.replace("|", " ").split())
    for sentence in ("3 files", "0.50 s of CPU time", "Beyond the 110 MB", "takes 330 MB"):
        assert sentence in told


def test_the_base_installation_is_what_enhancing_requires() -> None:
    """Its largest library is within it; torch, which is an extra, is not."""
    libraries = Path(onnxruntime.__file__).parent.rglob("*.so*")
    assert sum(path.stat().st_size for path in libraries) / 2**20 < disk_megabytes() <= 350


def test_start_and_memory_are_those_of_processes(tmp_path: Path) -> None:
    """A start takes a part of a second at least; a larger image at least its own result more."""
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(image)
    assert 0.05 < start_seconds(image, 1) < 60
    small, large = (peak_megabytes(side)[1] for side in (64, 192))
    assert large > small
