"""The download stage hands each data set its own section, and says what is there."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from srpipe.core.errors import CredentialsError
from srpipe.data.sources import nih
from srpipe.data.sources.manifest import open_source
from srpipe.formats.raster import encode_png
from srpipe.settings.datasets import Folder, Nih, Phantom
from stages import download
from tests.conftest import MakeImage
from tests.mixed import MIXED_COUNTS, MIXED_LEFT_OUT, put_mixed

PHANTOM = Phantom(patients=3, max_images_per_patient=1, seed=1)
FOLDER = Folder(
    path="own",
    patient_pattern="file_name",
    patient_table=None,
    image_column="Image Index",
    patient_column="Patient ID",
    accept_patients=False,
)
NIH = Nih(archive=None)
NIH_SAMPLE = Nih(archive="sample.zip")


def choose(monkeypatch: pytest.MonkeyPatch, name: str, scale: int = 4) -> None:
    """Stand in for params.yaml."""
    params = SimpleNamespace(
        data=SimpleNamespace(name=name),
        datasets=SimpleNamespace(phantom=PHANTOM, folder=FOLDER, nih=NIH, nih_sample=NIH_SAMPLE),
        downsample=SimpleNamespace(scale=scale, sixteen_bit="minmax", damaged="refuse"),
        split=SimpleNamespace(use_lists=True),
    )
    monkeypatch.setattr(download, "load_params", lambda: params)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("SRPIPE_WORKERS", "1")


def test_images_and_patients_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line tells how many images of how many patients are where."""
    Path("own").mkdir()
    for name in ("a_1.png", "a_2.png", "b_1.png"):
        Path("own", name).write_bytes(encode_png(np.zeros((64, 64), np.uint8)))
    choose(monkeypatch, "folder")
    download.main()
    assert capsys.readouterr().out == "folder: 3 images of 2 patients, in data/raw/folder\n"


def test_a_mixed_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_image: MakeImage
) -> None:
    """Images of less usual endings are listed; the other files are counted by kind, in the last
    line and in source.json.
    """
    put_mixed(Path("own"), make_image)
    choose(monkeypatch, "folder")
    download.main()
    assert capsys.readouterr().out == (
        f"folder: 3 images of 3 patients, in data/raw/folder; {MIXED_LEFT_OUT}\n"
    )
    assert [each.image for each in open_source(Path("data/raw/folder")).entries] == [
        "a.png",
        "b.jfif",
        "e.jpe",
    ]
    written = json.loads(Path("data/raw/folder/source.json").read_text(encoding="utf-8"))
    assert written == {
        "kind": "folder",
        "root": "repository:own",
        "left_out": MIXED_COUNTS,
    }


def test_the_scale_reaches_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image too small for the chosen scale ends the stage with one message and code 1."""
    Path("own").mkdir()
    Path("own/a_1.png").write_bytes(encode_png(np.zeros((64, 64), np.uint8)))
    choose(monkeypatch, "folder", scale=8)
    with pytest.raises(SystemExit) as caught:
        download.main()
    assert caught.value.code == 1
    assert "error: 1 of 1 image(s) cannot be used" in capsys.readouterr().err


def test_phantom_and_nih_get_their_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """`data.name` decides who fetches, with which section, into which folder."""
    called: list[tuple[object, ...]] = []

    def fetch(section: object, raw_dir: Path, *edition: object) -> None:
        called.append((section, raw_dir, *edition))
        raise CredentialsError("far enough")

    for name in ("phantom", "nih", "nih_sample"):
        choose(monkeypatch, name)
        monkeypatch.setattr(getattr(download, name.removesuffix("_sample")), "fetch", fetch)
        with pytest.raises(SystemExit):
            download.main()
    assert called == [
        (PHANTOM, Path("data/raw/phantom")),
        (NIH, Path("data/raw/nih")),
        (NIH_SAMPLE, Path("data/raw/nih_sample"), nih.SAMPLE),
    ]
