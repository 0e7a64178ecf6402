"""The training benchmark measures real steps and loaders, in turn, and names its CPU."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import machine, predecessor, training
from benchmarks.training import Effort, figures, main, parts
from srpipe.core.errors import SettingsError
from srpipe.imaging.arrays import GreyImage
from srpipe.settings.params import load_params

TINY = Effort(rounds=2, loader_rounds=2, loader_seconds=0.005, images=2, copies=2)
KEYS = {
    "train_step_ratio",
    "pixel_step_ratio",
    "adversarial_step_ratio",
    "loader_ratio",
    "crops_per_second_per_core",
}


def small_images(count: int) -> list[GreyImage]:
    """Return made images of 64x64, in the place of phantoms of 1024x1024."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(count)]


def test_all_is_measured_and_told(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to the JSON, every part for real: figures above 0, and the CPU."""
    monkeypatch.setattr(training, "QUICK", TINY)
    monkeypatch.setattr(training, "phantoms", small_images)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    monkeypatch.setattr("sys.argv", ["training", "--quick", "--json", "found.json", "--full-nih"])
    main()
    found = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert set(found) == KEYS | {"cpu", "device"}
    assert all(found[key] > 0 for key in KEYS)
    assert (found["cpu"], found["device"]) == (machine.cpu(), "cpu")
    out = capsys.readouterr().out
    assert machine.cpu() in out
    for words in ("our pixel step", "our loader, whole images", "| download", "disk, all"):
        assert words in out


def test_the_mix_is_that_of_the_settings(tiny_folder: Path) -> None:
    """Of the HR pixels that training sees, five parts are pixel epochs' and one adversarial's; a
    mix takes the time of its parts.
    """
    given = load_params().train
    assert parts(given) == {"pixel": 5.0, "adversarial": 1.0}
    steps = {predecessor.NAME: [1.0, 1.0], "pixel": [10.0, 10.0], "adversarial": [2.0, 2.0]}
    loaders = {predecessor.NAME: [2.0, 4.0], "whole": [20.0, 40.0], "crops": [7.0, 9.0]}
    found = figures(given, steps, loaders)
    assert set(found) == KEYS
    assert found["train_step_ratio"].median == pytest.approx(6 / (5 / 10 + 1 / 2))
    assert found["loader_ratio"].median == 10
    assert found["crops_per_second_per_core"].median == 8


def test_too_little_gpu_memory_is_told() -> None:
    """With the batch that would fit."""
    with pytest.raises(SettingsError, match="give --images 8"), training.fits(16):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_batch_of_no_image_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As wrong usage."""
    monkeypatch.setattr("sys.argv", ["training", "--images", "0"])
    with pytest.raises(SystemExit):
        main()
    assert "--images is 0: must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("amx", [True, False])
def test_the_cpu_is_named_with_what_it_multiplies_with(
    monkeypatch: pytest.MonkeyPatch, amx: bool
) -> None:
    """A figure of one kind of CPU is none of another."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert ("with matrix units for bf16" in machine.cpu()) == amx
    assert ("without matrix units" in machine.cpu()) == (not amx)
    assert f"{torch.get_num_threads()} thread(s)" in machine.cpu()
