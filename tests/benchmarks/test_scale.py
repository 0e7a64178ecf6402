"""The scale benchmark makes sets that the pipeline takes, and tells how costs grow."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import scale
from benchmarks.cost import CommandError, Cost
from srpipe.data.likeness import alike, look
from srpipe.formats.raster import read_file


def test_the_images_are_links_and_patients_differ(tmp_path: Path) -> None:
    """So the split neither refuses nor warns: one picture a patient, under several names."""
    scale.make_images(tmp_path, 400)
    files = sorted(tmp_path.rglob("*.png"))
    patients = sorted(path.name for path in tmp_path.iterdir())
    assert (len(files), len(patients)) == (400, 110)
    assert len({path.stat().st_ino for path in files}) == len(patients)
    with Image.open(files[0]) as image:
        assert image.size == (scale.SIDE, scale.SIDE)
    looks = [look(read_file(tmp_path / name / "000.png", "minmax")) for name in patients]
    assert list(alike(looks, looks)) == [(index, index) for index in range(len(looks))]


def test_a_stage_runs_in_a_scratch_copy(tmp_path: Path) -> None:
    """As a process, on the images; DVC, which has no record there, finds something to do."""
    scale.make_images(tmp_path / "images", 100)
    (tmp_path / "logs").mkdir()
    workspace = scale.Workspace(tmp_path / "repository", tmp_path / "logs")
    workspace.make(scale.settings(tmp_path / "images"))
    assert workspace.run("download").cpu > 0
    assert "100 images of 27 patients" in (tmp_path / "logs/download.log").read_text()
    with pytest.raises(CommandError, match=r"dvc status, no-op found something to do"):
        workspace.run(scale.STATUS)


def test_growth_is_told_by_image(tmp_path: Path) -> None:
    """In tables and in a picture: what takes 2 ms and 3 KB an image does so at every count."""
    found = {
        count: {name: Cost(9.0, 1 + 0.002 * count, 5e8 + 3000 * count) for name in scale.ROWS}
        for count in (1000, 10_000, 100_000)
    }
    told = scale.page(found)
    assert "| 1,000 to 10,000 | 10,000 to 100,000 |" in told
    row = next(line for line in reversed(told.splitlines()) if line.startswith("| split"))
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["2.00 ms, 3.0 KB", "2.00 ms, 3.0 KB"]
    scale.draw(tmp_path / "plot.png", found)
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    """A benchmark of hours that was stopped goes on where it was."""
    kept = {name: {"seconds": 1.0, "cpu": 2.0, "memory": 3.0} for name in scale.ROWS}
    (tmp_path / "costs.json").write_text(json.dumps(kept), encoding="utf-8")
    assert scale.costs(tmp_path, 1000) == dict.fromkeys(scale.ROWS, Cost(1.0, 2.0, 3.0))
