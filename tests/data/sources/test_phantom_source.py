"""The phantom source renders a cohort once, and again only when something is not as recorded."""

import csv
from pathlib import Path

import numpy as np
import pytest

from srpipe.data.sources import phantom
from srpipe.data.sources.manifest import open_source
from srpipe.formats.raster import read_grey
from srpipe.phantom.cohort import Exposure, plan_cohort
from srpipe.settings.datasets import Phantom

SETTINGS = Phantom(patients=3, max_images_per_patient=2, seed=5)


def drawn(exposure: Exposure) -> np.ndarray:
    """Stand in for the renderer, which takes seconds: a flat image that tells exposures apart."""
    return np.full((8, 8), exposure.patient * 10 + exposure.follow_up + exposure.seed, np.uint8)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render in this process with the stand-in."""
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    monkeypatch.setattr(phantom, "render", drawn)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return time of change and content of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_cohort_is_there_with_its_table(tmp_path: Path) -> None:
    """Every planned exposure has an image, a row in the manifest and a row in the table."""
    raw = tmp_path / "data/raw/phantom"
    phantom.fetch(SETTINGS, raw)
    cohort = plan_cohort(3, 2, 5)
    source = open_source(raw)
    assert [each.image for each in source.entries] == [each.image_name for each in cohort]
    assert [each.patient for each in source.entries] == [str(each.patient) for each in cohort]
    assert {each.list for each in source.entries} == {""}
    for entry, exposure in zip(source.entries, cohort, strict=True):
        image = read_grey(source.read(entry), entry.image, "minmax")
        assert np.array_equal(image, drawn(exposure))
    with (raw / "Data_Entry_2017.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Image Index"] for row in rows] == [each.image_name for each in cohort]
    assert [row["Patient ID"] for row in rows] == [str(each.patient) for each in cohort]


def test_the_folder_may_be_moved(tmp_path: Path) -> None:
    """The root is relative, so a copy of the repository finds its own images."""
    phantom.fetch(SETTINGS, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    source = open_source(tmp_path / "there")
    assert len(source.read(source.entries[0])) == source.entries[0].bytes


def test_a_second_fetch_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is whole is left as it is, without rendering."""
    phantom.fetch(SETTINGS, tmp_path / "raw")
    before = state(tmp_path / "raw")
    monkeypatch.setattr(phantom, "render", None)
    phantom.fetch(SETTINGS, tmp_path / "raw")
    assert state(tmp_path / "raw") == before
    assert "already there" in capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: next((raw / "images").iterdir()).unlink(),
        lambda raw: (raw / "images/00000001_000.png").write_bytes(b"cut"),
        lambda raw: (raw / "manifest.csv").unlink(),
        lambda raw: (raw / "source.json").write_text("{}"),
        lambda raw: (raw / "Data_Entry_2017.csv").write_text("edited"),
        lambda raw: (raw / "phantom.json").write_text("[]"),
    ],
)
def test_damage_is_mended(tmp_path: Path, damage: object) -> None:
    """Whatever is missing or changed, a fetch brings back the same bytes."""
    raw = tmp_path / "raw"
    phantom.fetch(SETTINGS, raw)
    before = {name: data for name, (_, data) in state(raw).items()}
    damage(raw)  # type: ignore[operator]
    phantom.fetch(SETTINGS, raw)
    assert {name: data for name, (_, data) in state(raw).items()} == before


def test_other_settings_make_another_cohort(tmp_path: Path) -> None:
    """A changed setting replaces the images, and leaves none of the former."""
    phantom.fetch(SETTINGS.model_copy(update={"patients": 4}), tmp_path / "raw")
    phantom.fetch(SETTINGS, tmp_path / "raw")
    names = {path.name for path in (tmp_path / "raw/images").iterdir()}
    assert names == {each.image_name for each in plan_cohort(3, 2, 5)}


def test_other_code_makes_the_cohort_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in the renderer's source may draw other images, so they are drawn."""
    phantom.fetch(SETTINGS, tmp_path / "raw")
    monkeypatch.setattr(phantom, "_code_sha256", lambda: "other")
    monkeypatch.setattr(phantom, "render", lambda exposure: drawn(exposure) + np.uint8(1))
    phantom.fetch(SETTINGS, tmp_path / "raw")
    source = open_source(tmp_path / "raw")
    image = read_grey(source.read(source.entries[0]), "first", "minmax")
    assert image[0, 0] == 10 + 5 + 1


def test_a_fault_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When rendering stops, the former cohort is whole and no temporary folder is left."""
    phantom.fetch(SETTINGS, tmp_path / "raw")
    before = state(tmp_path / "raw")

    def stops(exposure: Exposure) -> np.ndarray:
        if exposure.patient == 2:
            raise KeyboardInterrupt
        return drawn(exposure)

    monkeypatch.setattr(phantom, "render", stops)
    with pytest.raises(KeyboardInterrupt):
        phantom.fetch(SETTINGS.model_copy(update={"seed": 6}), tmp_path / "raw")
    assert state(tmp_path / "raw") == before
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
