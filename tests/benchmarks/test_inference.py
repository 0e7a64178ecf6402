"""Both parts of the benchmark are told in one run, and written as one JSON."""

import json
from pathlib import Path

import pytest

from benchmarks import enhancing, inference, networks, turns
from benchmarks.enhancing import ONNX, TORCH, Costs
from benchmarks.networks import PUBLISHED, Figures
from benchmarks.turns import Spread


def test_networks_and_files_are_told_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was measured is not measured again here: the parts have tests of their own."""
    one = Spread(2.0, 1.5, 2.5)
    figures = Figures(one, one, one, memory=3.0, peak_bytes=1e8, published_bytes=3e8)
    speeds = {PUBLISHED: [0.5], ONNX: [4.0], TORCH: [2.0]}
    costs = Costs(4, speeds, start=0.5, loaded=110, added={256: 90}, disk=330)
    monkeypatch.setattr(networks, "measure", lambda weights, quick: dict.fromkeys(weights, figures))
    monkeypatch.setattr(enhancing, "measure", lambda quick: costs)
    out = tmp_path / "found.json"
    monkeypatch.setattr("sys.argv", ["inference", "--quick", "--json", str(out)])
    inference.main()
    found = json.loads(out.read_text())
    assert found["cpu_time_ratio_bf16"] == 2.0
    assert found["upscale_ratio"] == 8.0
    assert found["cpu"] == turns.cpu()
    told = capsys.readouterr().out
    for part in ("plain_sr_small_x4", ONNX, turns.cpu()):
        assert part in told
