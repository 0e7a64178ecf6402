"""Arrays and record come back as they were written, and damage is found."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from srpipe.core.errors import CheckpointError, OutputError
from srpipe.models.safetensors_file import KEY, SHA256, digest, read_arrays, write_arrays

RECORD: dict[str, Any] = {
    "scale": 4,
    "data": "88 radiographs, \u00fcber all",
    "training": {"seed": 0, "content": None, "shifts": True, "rate": 5e-4},
}


Arrays = dict[str, npt.NDArray[Any]]


def arrays() -> Arrays:
    """Return arrays of several types and shapes, a scalar and an empty one too."""
    numbers = np.random.default_rng(0)
    return {
        "weight": numbers.random((3, 2, 5, 5), np.float32),
        "bias": np.array([0.0, -0.0, 3e38], np.float32),
        "count": np.array(12345678901),
        "half": numbers.random(4).astype(np.float16),
        "none": np.zeros((0, 3)),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with these arrays and the record."""
    write_arrays(tmp_path / "a.safetensors", arrays(), RECORD)
    return tmp_path / "a.safetensors"


def test_what_was_written_comes_back(path: Path) -> None:
    """Names, types, shapes and every bit; the record too, with the arrays' SHA-256."""
    found, record = read_arrays(path)
    assert found.keys() == arrays().keys()
    for name, value in arrays().items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()
    assert record == {**RECORD, SHA256: digest(arrays())}


def test_torchs_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    """Exactly, the largest and smallest numbers too: numpy has no such type."""
    values = torch.tensor([[1.0, -2.5, 3e38], [1e-38, -0.0, torch.inf]]).to(torch.bfloat16)
    save_tensors({"half": values}, tmp_path / "a.safetensors")
    found, _ = read_arrays(tmp_path / "a.safetensors")
    assert found["half"].dtype == np.float32
    assert found["half"].tobytes() == values.float().numpy().tobytes()


def test_arrays_of_other_types_are_refused(tmp_path: Path) -> None:
    """By the name of the type."""
    save_tensors({"x": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"holds arrays of the type 'C64'"):
        read_arrays(tmp_path / "a.safetensors")


def test_others_read_it_without_our_code(path: Path) -> None:
    """The safetensors library gives the arrays, and the record as JSON under one key."""
    with safe_open(path, "np") as file:
        assert set(file.keys()) == set(arrays())
        metadata = file.metadata()
    assert list(metadata) == [KEY]
    assert json.loads(metadata[KEY])["training"] == RECORD["training"]


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    """Whatever the file's name, the order of names and the layout in memory."""
    again = tmp_path / "elsewhere.safetensors"
    given = dict(reversed(arrays().items()))
    given["weight"] = np.asfortranarray(given["weight"])
    write_arrays(again, given, dict(reversed(RECORD.items())))
    assert again.read_bytes() == path.read_bytes()
    write_arrays(again, given, {**RECORD, "scale": 2})
    assert again.read_bytes() != path.read_bytes()


def changed(**others: npt.NDArray[Any]) -> Arrays:
    """Return the arrays with others in their places."""
    return {**arrays(), **others}


@pytest.mark.parametrize(
    "other",
    [
        changed(count=np.array(12345678902)),
        changed(bias=np.array([0.0, 0.0, 3e38], np.float32)),
        changed(none=np.zeros((3, 0))),
        changed(weight=arrays()["weight"].reshape(2, 3, 5, 5)),
        changed(half=arrays()["half"].view(np.int16)),
        {name: value for name, value in arrays().items() if name != "none"},
        {("gewicht" if name == "weight" else name): each for name, each in arrays().items()},
    ],
)
def test_the_digest_is_over_all_that_arrays_are(other: Arrays) -> None:
    """Values, a sign of zero, shapes, types and names."""
    assert digest(arrays()) == digest(dict(reversed(arrays().items())))
    assert digest(other) != digest(arrays())


def test_a_damaged_byte_is_found(path: Path) -> None:
    """Anywhere in the arrays: the format itself would not notice."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for place in range(start, len(data), 17):
        spoilt = bytearray(data)
        spoilt[place] ^= 1
        path.write_bytes(bytes(spoilt))
        with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged.*Fetch it again"):
            read_arrays(path)


def test_a_record_without_its_digest_is_refused(tmp_path: Path) -> None:
    """It is not taken for a whole file of ours."""
    path = tmp_path / "a.safetensors"
    save_file(arrays(), path, {KEY: json.dumps(RECORD)})
    with pytest.raises(CheckpointError, match="is damaged"):
        read_arrays(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    """Wherever it is cut."""
    data = path.read_bytes()
    for length in [*range(0, len(data), len(data) // 25), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"a\.safetensors is no safetensors file"):
            read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"hello world\n", bytes(1000), b"PK\x03\x04" * 50])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty files, text and other formats."""
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="no safetensors file that can be read"):
        read_arrays(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", ["{", "not json"])
def test_a_record_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    """One message, no traceback."""
    save_file(arrays(), tmp_path / "a.safetensors", {KEY: text})
    with pytest.raises(CheckpointError, match="no safetensors file that can be read"):
        read_arrays(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", ["[1, 2]", "3", '"text"'])
def test_a_record_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    """JSON it is, but none of ours."""
    save_file(arrays(), tmp_path / "a.safetensors", {KEY: text})
    with pytest.raises(CheckpointError):
        read_arrays(tmp_path / "a.safetensors")


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(CheckpointError, match=r"gone\.safetensors does not exist"):
        read_arrays(tmp_path / "gone.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"folder\.safetensors"):
        read_arrays(tmp_path / "folder.safetensors")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_foreign_file_has_no_record(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """Its arrays are read all the same."""
    save_file(arrays(), tmp_path / "a.safetensors", metadata)
    found, record = read_arrays(tmp_path / "a.safetensors")
    assert record is None
    assert digest(found) == digest(arrays())


def test_a_failed_write_keeps_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, OutputError is raised and the old arrays are still there."""
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            write_arrays(path, changed(count=np.array(0)), RECORD)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
