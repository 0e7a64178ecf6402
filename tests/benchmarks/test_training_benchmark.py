"""The commands measure, write JSON, print tables and draw; here on tiny networks and images."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import loading, measure, options, processes, training
from benchmarks.material import written
from benchmarks.options import Effort
from benchmarks.turns import ratios
from srpipe.core.errors import SettingsError, TrainingError
from srpipe.imaging.resample import GreyImage
from srpipe.settings.params import Params

ROOT = Path(__file__).resolve().parents[2]
WANTED = {"train_step_ratio", "loader_ratio", "crops_per_second_per_core"}


def made(count: int) -> list[GreyImage]:
    """Return noise, in place of synthetic radiographs."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (128, 128), dtype=np.uint8) for _ in range(count)]


@pytest.fixture
def in_tiny(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tiny_effort: Effort, tmp_path: Path
) -> Path:
    """Stand in the folder of tiny settings; return a folder for what is written."""
    monkeypatch.chdir(tiny_folder)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    monkeypatch.setattr(options, "QUICK", tiny_effort)
    monkeypatch.setattr(training, "phantoms", made)
    monkeypatch.setattr(loading, "phantoms", made)
    monkeypatch.setattr(measure, "LOOP_STEPS", {"cpu": 1})
    small = measure.ceilings.Sizes(fp32=32, bf16=32, copy=1 << 12)
    monkeypatch.setattr(measure.ceilings, "CPU", small)
    return tmp_path


def test_training_tells_what_it_measured(
    in_tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run: the JSON has the ratios and their quartiles, the tables name every step."""
    json_file, picture = in_tiny / "found.json", in_tiny / "found.png"
    command = ["training", "--quick", "--full-nih", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", [*command, "--json", str(json_file), "--figure", str(picture)])
    training.main()
    found = json.loads(json_file.read_text(encoding="utf-8"))
    assert set(found) >= WANTED
    assert set(found["quartiles"]) >= WANTED
    for name in WANTED:
        low, high = found["quartiles"][name]
        assert 0 < low <= found[name] <= high
    for name in ("pixel", "adversarial", "train"):
        assert found[f"{name}_step_ratio"] > 0
        assert found[f"{name}_step_ratio_published_form"] > 0
        assert found[f"{name}_step_ratio_batch_as_in_params_yaml"] > 0
    assert set(found["ceilings"]) == {"fp32_gflops", "bf16_gflops", "copy_gb_per_second"}
    assert found["rounds"] == 2
    assert any("torch.compile" in note for note in found["not_measured"])
    assert any("one thread" in note for note in found["not_measured"])
    text = capsys.readouterr().out
    for words in (
        "**ours, 5:1 of them**",
        "adversarial, NCHW",
        "depthwise, backward",
        "downsample",
    ):
        assert words in text
    assert "train_step_ratio" in text.splitlines()[-3]
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"


def test_loading_tells_what_it_measured(
    in_tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --markdown, nothing but the table is on the standard output."""
    json_file = in_tiny / "found.json"
    monkeypatch.setattr("sys.argv", ["loading", "--quick", "--markdown", "--json", str(json_file)])
    loading.main()
    found = json.loads(json_file.read_text(encoding="utf-8"))
    assert set(found) >= WANTED - {"train_step_ratio"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 11
    assert all(line.startswith("|") and line.endswith("|") for line in lines)


def test_the_loaders_ratio_is_that_of_whole_images(
    tiny_params: Params, tiny_effort: Effort
) -> None:
    """Ours one by one over the predecessor's, round by round."""
    with written(made(2), 2, 4) as material:
        found = loading.measure(material, tiny_params.train, tiny_effort)
    speeds = found.speeds
    assert found.ratio == ratios(speeds["whole, 1 a batch"], speeds["predecessor"])
    assert (found.side, found.crop, found.batch, found.default_crop) == (128, 128, 2, 32)


def test_the_material_is_in_both_forms_and_goes() -> None:
    """PNG files of the images, packed copies moved sideways; afterwards nothing is left."""
    images = made(2)
    with written(images, 2, 4) as material:
        assert material.rows == [0, 1, 2, 3]
        with Image.open(material.pngs[1]) as picture:
            assert np.array_equal(np.asarray(picture), images[1])
        assert np.array_equal(material.packed.hr(1), images[1])
        assert np.array_equal(material.packed.hr(3), np.roll(images[1], 64, axis=1))
    assert not material.pngs[0].parent.exists()


def test_processes_train_together_and_take_turns(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    """Two of them join, take the steps that they are told to, and say how much memory they took."""
    monkeypatch.chdir(tiny_folder)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = processes.compare((2,), "cpu", threads=2, steps=1, rounds=2, adversarial=False)
    assert list(found.speeds) == ["2"]
    assert len(found.speeds["2"]) == 2
    assert found.peak_memory > 1e7


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> None:
    """Not waited for."""
    monkeypatch.chdir(tiny_folder)
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(TrainingError, match="a process of the benchmark ended"):
        processes.compare((1,), "cpu", threads=1, steps=1, rounds=1, adversarial=False)


def test_a_gpu_that_is_too_small_is_told() -> None:
    """With what to try next."""
    with (
        pytest.raises(SettingsError, match="16 whole images: give --images 8"),
        training.told_to_fit(16),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("given", [["--images", "0"], ["--rounds", "3"]])
def test_options_that_make_no_sense_are_refused(given: list[str]) -> None:
    """With exit code 2, as argparse does."""
    with pytest.raises(SystemExit, match="2"):
        options.read_options("text", training=True, arguments=["--device", "cpu", *given])


def test_the_batch_of_the_predecessor_follows_from_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One image on a CPU unless told otherwise."""
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    arguments = ["--quick", "--device", "cpu"]
    assert options.read_options("text", training=True, arguments=arguments).images == 1
    arguments += ["--images", "3"]
    assert options.read_options("text", training=True, arguments=arguments).images == 3
