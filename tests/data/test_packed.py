"""What is packed comes back byte for byte, or not at all."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import DataError, ImageError
from srpipe.data.packed import (
    Packed,
    Pair,
    open_packed,
    packed_pair,
    read_manifest,
    write_packed,
)
from srpipe.imaging.resample import downsample

SIZES = ((8, 12), (16, 4), (4, 4))
NAMES = ("b.png", "NA", "a.png")
PATIENTS = ("00000002", "null", "00000001")
LISTS = ("test", "", "train_val")


def pairs(seed: int = 0) -> list[Pair]:
    """Return three pairs at 2x; names and patients look like numbers and missing values."""
    rng = np.random.default_rng(seed)
    made = []
    for size, name, patient, listed in zip(SIZES, NAMES, PATIENTS, LISTS, strict=True):
        hr = rng.integers(0, 256, size, dtype=np.uint8)
        made.append(Pair(name, patient, listed, hr, downsample(hr, 2)))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a packed folder of the three pairs."""
    write_packed(tmp_path / "packed", pairs(), 2)
    return tmp_path / "packed"


def assert_holds(packed: Packed, expected: list[Pair]) -> None:
    """Assert that each row gives the pair that was written."""
    for row, pair in enumerate(expected):
        assert np.array_equal(packed.hr(row), pair.hr)
        assert np.array_equal(packed.lr(row), pair.lr)


def test_images_of_different_sizes_come_back(folder: Path) -> None:
    """Each HR and each LR image is what was written, in the order written."""
    packed = open_packed(folder)
    assert packed.scale == 2
    assert_holds(packed, pairs())


def assert_is(pair: Pair, wanted: Pair) -> None:
    """Assert that a pair is the one that was written."""
    who = (pair.image, pair.patient, pair.listed)
    assert who == (wanted.image, wanted.patient, wanted.listed)
    assert np.array_equal(pair.hr, wanted.hr)
    assert np.array_equal(pair.lr, wanted.lr)


def test_a_row_is_a_pair(folder: Path) -> None:
    """With its name, patient and list, as text; the images are views, as `hr` and `lr` give."""
    packed = open_packed(folder)
    for row, wanted in enumerate(pairs()):
        pair = packed.pair(row)
        assert_is(pair, wanted)
        assert np.shares_memory(pair.hr, packed.hr(row))
        assert np.shares_memory(pair.lr, packed.lr(row))


def test_a_worker_finds_a_pair_by_folder_and_row(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to where it is, too: the same name elsewhere is another folder."""
    write_packed(tmp_path / "other" / "packed", pairs(seed=1), 2)
    for place, seed in ((tmp_path, 0), (tmp_path / "other", 1), (tmp_path, 0)):
        monkeypatch.chdir(place)
        for row, wanted in enumerate(pairs(seed)):
            assert_is(packed_pair(Path("packed"), row), wanted)


def test_a_worker_opens_a_folder_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of 100,000 images: the manifest alone takes longer than one."""
    packed_pair(folder, 0)
    monkeypatch.setattr("srpipe.data.packed.open_packed", None)
    assert_is(packed_pair(folder, 2), pairs()[2])


def test_a_worker_is_told_of_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing: run the downsample stage first"):
        packed_pair(tmp_path / "none", 0)


def test_the_manifest_keeps_text_as_text(folder: Path) -> None:
    """Zeros at the front, "NA" and "null" survive the CSV; sizes and offsets are whole numbers."""
    manifest = read_manifest(folder)
    assert tuple(manifest["image"]) == NAMES
    assert tuple(manifest["patient"]) == PATIENTS
    assert tuple(manifest["list"]) == LISTS
    assert manifest[["height", "width", "offset"]].to_numpy().tolist() == [
        [8, 12, 0],
        [16, 4, 96],
        [4, 4, 160],
    ]


def test_images_that_are_not_contiguous_are_written_right(tmp_path: Path) -> None:
    """A cropped or turned view is packed as it looks, not as it lies in memory."""
    base = np.arange(400, dtype=np.uint16).astype(np.uint8).reshape(20, 20)
    cropped = base[2:10, 3:15]
    turned = cropped.copy().T
    expected = [Pair(str(i), "1", "", hr, hr[::2, ::2]) for i, hr in enumerate((cropped, turned))]
    write_packed(tmp_path / "p", expected, 2)
    assert_holds(open_packed(tmp_path / "p"), expected)


def test_images_are_read_only_views(folder: Path) -> None:
    """Nothing is copied and nobody can write into the data set."""
    packed = open_packed(folder)
    first = packed.hr(0)
    assert np.shares_memory(first, packed.hr(0))
    for view in (first, packed.lr(1)):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1


def test_rows_follow_the_names_given(folder: Path) -> None:
    """Names are looked up in the order asked for."""
    packed = open_packed(folder)
    assert packed.rows(["a.png", "b.png", "NA"]) == [2, 0, 1]
    assert packed.rows([]) == []


def test_a_name_that_is_not_there_is_told(folder: Path) -> None:
    """The message counts the missing names and gives the first."""
    with pytest.raises(DataError, match=r"2 image\(s\).*first is x\.png: run the split stage"):
        open_packed(folder).rows(["a.png", "x.png", "y.png"])


def test_the_same_pairs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """DVC sees no change where there is none."""
    write_packed(tmp_path / "again", pairs(), 2)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


def test_digests_are_those_of_the_files(folder: Path) -> None:
    """The SHA-256 of HR and of LR, known without reading the files again."""
    wanted = tuple(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("hr.bin", "lr.bin")
    )
    assert open_packed(folder).digests == wanted
    assert len(set(wanted)) == 2


def test_how_lr_was_recorded_is_kept(tmp_path: Path) -> None:
    how = {"noise": 2.0, "jpeg": 90}
    write_packed(tmp_path / "p", pairs(), 2, acquisition=how)
    assert open_packed(tmp_path / "p").acquisition == how


def test_digests_tell_data_sets_apart(folder: Path, tmp_path: Path) -> None:
    """One grey level of one pixel of one LR image is another data set."""
    first, second, third = pairs()
    lr = second.lr.copy()
    lr[0, 0] ^= 1
    write_packed(tmp_path / "other", [first, replace(second, lr=lr), third], 2)
    (hr, lr), (other_hr, other_lr) = (
        open_packed(each).digests for each in (folder, tmp_path / "other")
    )
    assert hr == other_hr
    assert lr != other_lr


@pytest.mark.parametrize("lost", ["hr", "lr", "scale"])
def test_a_folder_without_digests_is_refused(folder: Path, lost: str) -> None:
    """As an earlier version wrote it; the message names the missing key and how to make it."""
    info = json.loads((folder / "packed.json").read_text())
    del info[lost]
    (folder / "packed.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=f"'{lost}'.*Run `dvc repro --force downsample`"):
        open_packed(folder)


def test_packing_again_replaces_all(folder: Path) -> None:
    """A second data set leaves nothing of the first."""
    fewer = pairs(seed=1)[:1]
    write_packed(folder, fewer, 2)
    packed = open_packed(folder)
    assert len(packed.manifest) == 1
    assert_holds(packed, fewer)


def test_a_fault_while_packing_leaves_the_old_folder(folder: Path) -> None:
    """An unreadable image in the middle stops the work and loses nothing."""

    def faulty() -> Iterator[Pair]:
        yield pairs(seed=1)[0]
        raise ImageError("x.png is damaged")

    with pytest.raises(ImageError, match="damaged"):
        write_packed(folder, faulty(), 2)
    assert_holds(open_packed(folder), pairs())
    assert os.listdir(folder.parent) == [folder.name]


def test_nothing_to_pack_is_refused(tmp_path: Path) -> None:
    """An empty data set is an error here, not in training."""
    with pytest.raises(DataError, match="no image to pack"):
        write_packed(tmp_path / "p", [], 2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["manifest.csv", "packed.json", "hr.bin", "lr.bin"])
def test_a_missing_file_is_told(folder: Path, name: str) -> None:
    """The message names the file and the stage that makes it."""
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing: run the downsample stage"):
        open_packed(folder)


@pytest.mark.parametrize("name", ["hr.bin", "lr.bin"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_wrong_length_is_refused(folder: Path, name: str, change: int) -> None:
    """One byte too few or too many is noticed when the folder is opened."""
    path = folder / name
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(DataError, match="is damaged"):
        open_packed(folder)


@pytest.mark.parametrize("file", ["packed.json", "manifest.csv"])
@pytest.mark.parametrize("text", ["", "{}", "a,b\n1,2\n"])
def test_damaged_descriptions_are_told(tmp_path: Path, file: str, text: str) -> None:
    """A damaged manifest or info file is one DataError that says how to make it again."""
    black = np.zeros((16, 16), np.uint8)
    write_packed(tmp_path / "p", [Pair("a", "1", "", black, black[:4, :4])], 4)
    (tmp_path / "p" / file).write_text(text)
    with pytest.raises(DataError, match="dvc repro --force downsample"):
        open_packed(tmp_path / "p")


@pytest.mark.parametrize("name", ["hr.bin", "lr.bin"])
def test_a_flipped_bit_is_found(folder: Path, name: str) -> None:
    """By its SHA-256; an intact folder passes."""
    open_packed(folder).verify()
    data = bytearray((folder / name).read_bytes())
    data[5] ^= 16
    (folder / name).write_bytes(data)
    packed = open_packed(folder)
    with pytest.raises(DataError, match=f"{name} is not what was written.*--force downsample"):
        packed.verify()
