"""The training benchmark measures real steps and loaders, in turn, and names its CPU."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from benchmarks import full_nih, predecessor, training
from benchmarks.full_nih import Rates
from benchmarks.training import Effort, figures, main
from benchmarks.turns import cpu
from srpipe.core.errors import SettingsError
from srpipe.imaging.arrays import GreyImage
from srpipe.settings.params import load_params

ROOT = Path(__file__).resolve().parents[2]
TINY = Effort(rounds=2, loader_rounds=2, loader_seconds=0.005, images=2, copies=2)
KEYS = [
    "train_step_ratio",
    "pixel_step_ratio",
    "adversarial_step_ratio",
    "loader_ratio",
    "crops_per_second_per_core",
]


def small_images(count: int) -> list[GreyImage]:
    """Return made images of 64x64, in the place of phantoms of 1024x1024."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 64), dtype=np.uint8) for _ in range(count)]


def test_all_is_measured_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line to the JSON, every part for real: figures above 0, and the CPU."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    train = params["train"]
    train["batch_size"] = 2
    train["crops"]["size"] = train["adversarial"]["crops"]["size"] = 32
    train["generator"].update(features=4, blocks=1)
    train["adversarial"]["discriminator"]["features"] = 4
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "QUICK", TINY)
    monkeypatch.setattr(training, "phantoms", small_images)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    monkeypatch.setattr("sys.argv", ["training", "--quick", "--json", "found.json", "--full-nih"])
    main()
    found = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert set(found) == {*KEYS, "cpu", "device"}
    assert all(found[key] > 0 for key in KEYS)
    assert (found["cpu"], found["device"]) == (cpu(), "cpu")
    out = capsys.readouterr().out
    assert cpu() in out
    for words in ("our pixel step", "our loader, whole images", "| download", "disk, all", "A100"):
        assert words in out


def test_the_mix_is_that_of_the_settings() -> None:
    """Of the HR pixels that training sees, five parts are pixel epochs' and one adversarial's; a
    mix takes the time of its parts.
    """
    given = load_params().train
    steps = {predecessor.NAME: [1.0, 1.0], "pixel": [10.0, 10.0], "adversarial": [2.0, 2.0]}
    loaders = {predecessor.NAME: [2.0, 4.0], "whole": [20.0, 40.0], "crops": [7.0, 9.0]}
    found = {name: value.median for name, value in figures(given, steps, loaders).items()}
    assert found == dict(zip(KEYS, [6 / (5 / 10 + 1 / 2), 10, 2, 10, 8], strict=True))


def test_the_costs_of_all_of_nih_follow_from_the_speeds() -> None:
    """Stages of independent images share the cores; training sees the crops of the settings; the
    disk holds the zip, 117.6 GB of HR and a sixteenth of it of LR. It is told as tables.
    """
    rates = Rates(
        prepare=0.05, baseline=2.0, upscale=2.5, score=0.5, train=0.5, cores=2, on_cpu=True
    )
    given = load_params()
    params = given.model_copy(update={"split": given.split.model_copy(update={"validation": 0.1})})
    seconds = full_nih.seconds(rates, params)
    assert seconds["downsample"] == 112_120 * 0.05 / 2
    assert seconds["baseline"] == 25_596 * 2.0 / 2
    assert seconds["evaluate"] == 25_596 * (2.5 + 0.5) / 2
    # A GPU and the cores work at the same time: the slower of the two counts.
    for upscale, an_image in ((2.5, 2.5), (0.1, 0.25)):
        gpu = dataclasses.replace(rates, upscale=upscale, on_cpu=False)
        assert full_nih.seconds(gpu, params)["evaluate"] == 25_596 * an_image
    assert seconds["train"] == pytest.approx(77_008 * 16 * 6 * 96**2 / 1e6 / 0.5)
    disk = {name: round(value / 1e9, 1) for name, value in full_nih.disk(4).items()}
    assert disk == {"zip": 42.0, "packed HR": 117.6, "packed LR": 7.3}
    text = full_nih.text(rates, params)
    for words in ("112,120 x 50 ms / 2 cores |", "166.9 GB |", "| machines of 2 cores | "):
        assert words in text
    # What a machine costs an hour is another thing at each of its lenders.
    hours = sum(seconds.values()) / 3600
    assert f"| cost, machine hours | {hours:,.0f} |" in " ".join(text.split())


def test_several_machines_share_image_work_alone() -> None:
    """Until the scheduler has no time for more; download and training stay on one."""
    rates = Rates(
        prepare=0.04, baseline=1.6, upscale=2.5, score=0.5, train=0.5, cores=2, on_cpu=True
    )
    params = load_params()
    one, four, many = (full_nih.seconds(rates, params, machines) for machines in (1, 4, 16))
    assert one == full_nih.seconds(rates, params)
    for stage in ("download", "train"):
        assert one[stage] == four[stage] == many[stage]
    for stage in ("baseline", "evaluate"):
        assert one[stage] == pytest.approx(4 * four[stage]) == pytest.approx(16 * many[stage])
    assert one["downsample"] == pytest.approx(4 * four["downsample"])
    assert many["downsample"] == 112_120 * full_nih.SCHEDULER_SECONDS
    # One GPU makes the SR images, and more cores score them no faster than it does.
    gpu = dataclasses.replace(rates, upscale=0.1, on_cpu=False)
    assert [full_nih.seconds(gpu, params, machines)["evaluate"] for machines in (1, 4)] == [
        25_596 * 0.25,
        25_596 * 0.1,
    ]


def test_a_batch_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of no image, as wrong usage; too large for the GPU, with the batch that would fit."""
    with pytest.raises(SettingsError, match="give --images 8"), training.fits(16):
        raise torch.OutOfMemoryError("CUDA out of memory")
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
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    wanted = "with matrix units for bf16 (AMX)" if amx else "without matrix units (AVX2)"
    assert f", {wanted}, {torch.get_num_threads()} thread(s)" in cpu()
