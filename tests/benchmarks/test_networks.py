"""The figures of time and memory are told as they are, and memory is measured where it is used."""

import json
from pathlib import Path

import pytest

from benchmarks import networks
from benchmarks.networks import PUBLISHED, Figures, as_json, measure, peak_memory, text
from benchmarks.turns import Spread, cpu
from srpipe.core.environment import emulates_bf16
from srpipe.models.checkpoint import LoadedGenerator, save_released
from srpipe.models.plain_sr import PlainSR


def released(path: Path, features: int) -> Path:
    """Write a small generator of so many features."""
    arguments = {"features": features, "blocks": 1, "scale": 4}
    model = PlainSR(**arguments)
    arguments |= {"channels": 1, "bicubic_skip": True}
    save_released(path, LoadedGenerator(model, "plain_sr", arguments, 4, {}), {})
    return path


def test_figures_are_how_many_times_better_and_name_the_cpu() -> None:
    """In JSON, under the names that are promised; in the table, the published one last."""
    times = Spread(12.5, 11.0, 13.0), Spread(4.25, 4.0, 4.5), Spread(6.0, 5.5, 6.5)
    figures = Figures(*times, memory=8.0, peak_bytes=1.25e8, published_bytes=1e9)
    assert json.loads(json.dumps(as_json(figures))) == {
        "cpu_time_ratio_bf16": 12.5,
        "cpu_time_ratio_fp32": 4.25,
        "cpu_time_ratio_onnx": 6.0,
        "peak_memory_ratio": 8.0,
        "quartiles": {
            "bf16": {"median": 12.5, "low": 11.0, "high": 13.0},
            "fp32": {"median": 4.25, "low": 4.0, "high": 4.5},
            "onnx": {"median": 6.0, "low": 5.5, "high": 6.5},
        },
    }
    lines = text({"ours": figures}).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]
    assert rows == [
        ["ours", "12.5 (11.0 to 13.0)", "4.2 (4.0 to 4.5)", "6.0 (5.5 to 6.5)", "8.0", "125"],
        [PUBLISHED, "1", "1", "1", "1", "1000"],
    ]
    assert cpu() in lines[-1]


def test_bf16_that_is_emulated_is_said_to_be() -> None:
    """It is in neither the table nor the JSON as a figure."""
    times = Spread(4.25, 4.0, 4.5), Spread(6.0, 5.5, 6.5)
    figures = Figures(None, *times, memory=8.0, peak_bytes=1.25e8, published_bytes=1e9)
    assert "| ours " in text({"ours": figures})
    assert " emulated |" in text({"ours": figures})
    found = as_json(figures)
    assert "cpu_time_ratio_bf16" not in found
    assert found["cpu_time_ratio_fp32"] == 4.25


def test_memory_grows_with_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One real pass in a process of its own, whatever the process holds that starts it: ten times
    the maps are several times the memory, and at least what two of them take.
    """
    monkeypatch.setattr(networks, "LR_SIDE", 192)
    wide = peak_memory(released(tmp_path / "wide.safetensors", 160), 1)
    thin = peak_memory(released(tmp_path / "thin.safetensors", 16), 1)
    assert 0 < 2 * thin < wide
    assert 0.9 < wide / (2 * 160 * 192**2 * 4) < 1.5


def test_all_is_measured_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images, few rounds: ratios of the precisions that the CPU has, and of memory."""
    monkeypatch.setattr(networks, "LR_SIDE", 16)
    monkeypatch.setattr(networks, "ROUNDS", {True: 2})
    monkeypatch.setattr(networks, "peak_memory", lambda path, runs: 3e8 if path else 9e8)
    found = measure({"ours": released(tmp_path / "ours.safetensors", 8)}, quick=True)
    assert list(found) == ["ours"]
    ours = found["ours"]
    assert (ours.memory, ours.peak_bytes, ours.published_bytes) == (3.0, 3e8, 9e8)
    assert (ours.bf16 is None) is emulates_bf16("cpu")
    for times in (ours.bf16 or ours.fp32, ours.fp32, ours.onnx):
        assert 0 < times.low <= times.median <= times.high
