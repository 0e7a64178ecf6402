"""Folders as people have them: split by patient by the settings that the guide names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from srpipe.formats.raster import encode_png
from srpipe.settings.datasets import PATTERNS
from tests.staged import split_folder, work_in

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guide.md").read_text(encoding="utf-8")
# The rows of its table of data sets, by the first words.
ROWS = {
    cells[1].strip(): [cell.strip() for cell in cells[2:4]]
    for line in GUIDE.splitlines()
    if "`patient_" in line and len(cells := re.split(r"(?<!\\)\|", line)) == 5
}
UUID = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384{:03d}"

# Of each data set: images and their patients, as the row's example is named; then tables.
LAYOUTS: dict[str, dict[str, str]] = {
    "NIH ChestX-ray14, unpacked": {
        f"images_{p:03d}/images/{p:08d}_{n:03d}.png": f"{p}" for p in range(1, 7) for n in range(2)
    },
    "CheXpert": {
        f"{side}/patient{p:05d}/study{study}/view{view}.jpg": f"{p}"
        for p, side in enumerate(["train"] * 5 + ["valid"] * 2)
        for study in (1, 2)
        for view in ("1_frontal", "2_lateral")
    },
    "MIMIC-CXR-JPG": {
        f"files/p1{p % 2}/p1{p % 2}00003{p}/s5041426{n}/{UUID.format(10 * p + n)}.jpg": f"{p}"
        for p in range(6)
        for n in range(2)
    },
    "MIMIC-CXR-JPG in one folder": {
        f"{UUID.format(10 * p + n)}.jpg": f"{p}" for p in range(6) for n in range(2)
    },
    "PadChest": {
        f"{n}/21684011136690731{p}_00-007-00{n}.png": f"{p}" for p in range(6) for n in range(2)
    },
    "VinDr-CXR": {
        f"{side}/{p:032x}.dicom.png": f"{p}" for p, side in enumerate(["train"] * 5 + ["test"] * 2)
    },
    "a folder for each patient": {
        f"{name}/{what}.png": name
        for name in ("anna", "bo", "cy", "di")
        for what in ("thorax", "b")
    },
    "anything else": {f"{name}_{n}.png": name for name in ("anna", "bo", "cy") for n in (1, 2)},
}
TABLES = {
    "PadChest": ("ImageID,PatientID", "{0}"),
    "MIMIC-CXR-JPG in one folder": ("dicom_id,subject_id", "{1}"),
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder of a working directory."""
    work_in(tmp_path / "work", monkeypatch)
    return tmp_path / "work" / "own"


def put(own: Path, images: Mapping[str, int | str], same: Mapping[str, str] | None = None) -> None:
    """Write images of different noise, but for those that are the same as another."""
    for seed, name in enumerate(images):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 256, (32, 40), np.uint8)
        (own / name).write_bytes(encode_png(noise))
    for name, other in (same or {}).items():
        (own / name).write_bytes((own / other).read_bytes())


def documented(row: str) -> tuple[str, dict[str, Any]]:
    """Return a row's example path, and the settings that it names."""
    (found,) = (cells for name, cells in ROWS.items() if name == row or name.startswith(f"{row} ("))
    spans = re.findall(r"`([a-z_]+: [^`]+)`", found[1])
    return found[0].strip("`"), {k: v for span in spans for k, v in yaml.safe_load(span).items()}


def test_the_guides_table_and_these_layouts_are_the_same() -> None:
    assert [name.split(" (")[0] for name in ROWS] == list(LAYOUTS)


@pytest.mark.parametrize("row", LAYOUTS)
def test_a_layout_is_split_by_the_settings_of_its_row(own: Path, row: str) -> None:
    """Each patient of the data set is one, on one side; the example is such a path."""
    example, settings = documented(row)
    truth = LAYOUTS[row]
    put(own, truth)
    if row in TABLES:
        head, form = TABLES[row]
        files = [name.rpartition("/")[2] for name in truth]
        names = [form.format(file, file.rpartition(".")[0]) for file in files]
        rows = [f"{name},{who}" for name, who in zip(names, truth.values(), strict=True)]
        (own / settings["patient_table"]).write_text("\n".join([head, *rows]), encoding="utf-8")
    split = split_folder(settings)
    assert split is not None
    assert sorted(split["image"]) == sorted(truth)
    table = split.assign(truth=split["image"].map(truth))
    assert table.groupby("truth")["patient"].nunique().eq(1).all()
    assert table.groupby("patient")["truth"].nunique().eq(1).all()
    assert table.groupby("truth")["subset"].nunique().eq(1).all()
    if pattern := settings.get("patient_pattern"):
        assert re.search(PATTERNS.get(pattern, pattern), example)


# ------------------------------------------------------------------ what went wrong for people


def test_lists_of_png_files_are_followed_for_jpg_files(own: Path) -> None:
    """The patients of the test list are the test set, no others."""
    names = [f"{patient:08d}_{number:03d}" for patient in range(1, 9) for number in (0, 1)]
    put(own, {f"images/{name}.jpg": name for name in names})
    (own / "test_list.txt").write_text("\n".join(f"{name}.png" for name in names[:6]))
    (own / "train_val_list.txt").write_text("\n".join(f"{name}.png" for name in names[6:]))
    split = split_folder({}, use_lists=True)
    assert split is not None
    tests = split["image"][split["subset"] == "test"]
    assert list(tests) == [f"images/{name}.jpg" for name in names[:6]]


def test_chexpert_by_the_default_pattern_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its views are no patients; the message has the pattern that would do."""
    put(own, LAYOUTS["CheXpert"])
    assert split_folder({}) is None
    assert "to chexpert, for instance, which finds 7 patients" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_an_unpacked_nih_folder_follows_its_lists(own: Path, encoding: str) -> None:
    """With a byte order mark, too."""
    put(own, LAYOUTS["NIH ChestX-ray14, unpacked"])
    files = [name.rpartition("/")[2] for name in LAYOUTS["NIH ChestX-ray14, unpacked"]]
    (own / "test_list.txt").write_text("\n".join(files[:4]), encoding=encoding)
    (own / "train_val_list.txt").write_text("\n".join(files[4:]), encoding=encoding)
    split = split_folder({"patient_pattern": "nih"}, use_lists=True)
    assert split is not None
    assert set(split["patient"][split["subset"] == "test"]) == {"00000001", "00000002"}


# The same bytes under two patients, p1 and q1.
TWINS = {f"p{patient}_0.png": f"p{patient}" for patient in range(1, 8)}


def test_twins_on_two_sides_stop_the_run(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are named, with what can be done; followed, it is done."""
    put(own, TWINS, {"q1_0.png": "p1_0.png"})
    (own / "test_list.txt").write_text("q1_0.png\np2_0.png\n")
    (own / "train_val_list.txt").write_text("\n".join(f"p{p}_0.png" for p in (1, 3, 4, 5, 6, 7)))
    assert split_folder({}, use_lists=True) is None
    message = capsys.readouterr().err
    assert "p1_0.png (patient p1) and q1_0.png (patient q1)" in message
    assert "split.same_image: merge" in message
    assert "with split.use_lists: false" in message
    split = split_folder({}, use_lists=False, same_image="merge")
    assert split is not None
    assert split.set_index("image").loc[["p1_0.png", "q1_0.png"], "subset"].nunique() == 1


def test_twins_on_one_side_are_reported(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They do no harm there, but may come of wrong IDs."""
    put(own, TWINS, {"q1_0.png": "p1_0.png"})
    done = 0
    for seed in range(6):
        split = split_folder({}, use_lists=False, same_image="refuse", seed=seed)
        told = capsys.readouterr().err
        if split is not None:
            done += 1
            assert split.set_index("image").loc[["p1_0.png", "q1_0.png"], "subset"].nunique() == 1
            assert "such as p1_0.png and q1_0.png, on one side of the split" in told
        else:
            assert "on two sides of the split" in told
    assert 0 < done < 6
