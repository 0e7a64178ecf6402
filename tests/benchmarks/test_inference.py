"""The figures of time and memory are told as they are, and memory is measured where it is used."""

import json
import os
from pathlib import Path

import pytest
import torch

from benchmarks import inference, machine
from benchmarks.inference import PUBLISHED, Figures, as_json, measure, peak_memory, text
from benchmarks.turns import Spread
from srpipe.models.checkpoint import LoadedGenerator, save_released
from srpipe.models.plain_sr import PlainSR

ROOT = Path(__file__).resolve().parents[2]
FIGURES = Figures(
    bf16=Spread(12.5, 11.0, 13.0),
    fp32=Spread(4.25, 4.0, 4.5),
    memory=8.0,
    peak_bytes=1.25e8,
    published_bytes=1e9,
)


@pytest.fixture(autouse=True)
def modules_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes find the benchmarks from any folder."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


def released(path: Path, features: int) -> Path:
    """Write a small generator of so many features."""
    arguments = {"features": features, "blocks": 1, "scale": 4}
    model = PlainSR(**arguments)
    arguments |= {"channels": 1, "bicubic_skip": True}
    save_released(path, LoadedGenerator(model, "plain_sr", arguments, 4, {}), {})
    return path


def test_the_json_has_medians_and_quartiles() -> None:
    """Under the names that the README gives them, and nothing that JSON cannot hold."""
    found = json.loads(json.dumps(as_json(FIGURES)))
    assert {key: found[key] for key in found if "ratio" in key} == {
        "cpu_time_ratio_bf16": 12.5,
        "cpu_time_ratio_fp32": 4.25,
        "peak_memory_ratio": 8.0,
    }
    assert found["quartiles"] == {
        "bf16": {"median": 12.5, "low": 11.0, "high": 13.0},
        "fp32": {"median": 4.25, "low": 4.0, "high": 4.5},
    }
    assert found["cpu"] == machine.cpu()


def test_the_table_tells_how_many_times_better() -> None:
    """A row a generator, the published one last, and what was measured where."""
    lines = text({"ours": FIGURES}).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:4]]
    assert rows == [
        ["ours", "12.5 (11.0 to 13.0)", "4.2 (4.0 to 4.5)", "8.0", "125"],
        [PUBLISHED, "1", "1", "1", "1000"],
    ]
    assert machine.cpu() in lines[-1]


def test_memory_grows_with_the_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One real pass in a process of its own, whatever the process holds that starts it: ten times
    the maps are several times the memory, and at least what two of them take.
    """
    monkeypatch.setattr(inference, "LR_SIDE", 192)
    wide = peak_memory(released(tmp_path / "wide.safetensors", 160), 1)
    thin = peak_memory(released(tmp_path / "thin.safetensors", 16), 1)
    assert 2 * thin < wide
    assert 0.9 < wide / (2 * 160 * 192**2 * 4) < 1.5
    assert thin > 0


def test_all_is_measured_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images and few rounds: ratios of both arithmetics, and of memory."""
    monkeypatch.setattr(inference, "LR_SIDE", 16)
    monkeypatch.setattr(inference, "ROUNDS", {True: 2})
    asked: list[Path | None] = []

    def made_up(path: Path | None, runs: int) -> float:
        asked.append(path)
        return 9e8 if path is None else 3e8

    monkeypatch.setattr(inference, "peak_memory", made_up)
    path = released(tmp_path / "ours.safetensors", 8)
    threads = torch.get_num_threads()
    found = measure({"ours": path}, quick=True)
    assert torch.get_num_threads() == threads
    assert list(found) == ["ours"]
    ours = found["ours"]
    assert asked == [None, path]
    assert (ours.memory, ours.peak_bytes, ours.published_bytes) == (3.0, 3e8, 9e8)
    assert ours.bf16.low <= ours.bf16.median <= ours.bf16.high
    assert ours.fp32.median > 0
