"""Tensors come back as they were saved, and a bad file is refused without running anything."""

import argparse
import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from srpipe.core.errors import CheckpointError, OutputError
from srpipe.core.torch_file import load, save

CONTENT = {
    "weights": {"a": torch.arange(600.0).view(20, 30) / 7, "count": torch.tensor(12345678901)},
    "epoch": 3,
    "names": ["a", None],
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a file with tensors and plain values."""
    save(tmp_path / "w.pt", CONTENT)
    return tmp_path / "w.pt"


def test_what_was_saved_comes_back(saved: Path) -> None:
    """Tensors of every type bit by bit, plain values as they were."""
    found = load(saved)
    for name, value in CONTENT["weights"].items():
        assert found["weights"][name].dtype == value.dtype
        assert torch.equal(found["weights"][name], value)
    assert (found["epoch"], found["names"]) == (3, ["a", None])


def test_the_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    """Neither the file's name nor the time shows: DVC sees no change where there is none."""
    save(tmp_path / "deep" / "other.pt", CONTENT)
    assert (tmp_path / "deep" / "other.pt").read_bytes() == saved.read_bytes()
    save(tmp_path / "deep" / "other.pt", {**CONTENT, "epoch": 4})
    assert (tmp_path / "deep" / "other.pt").read_bytes() != saved.read_bytes()


def test_a_failed_save_keeps_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, OutputError is raised and the old file is whole and alone."""
    before = saved.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            save(saved, {"epoch": 4})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_file_does_not_run(tmp_path: Path, how: str) -> None:
    """A checkpoint that carries code is refused, and the code stays asleep."""
    path, trap = tmp_path / "g.pt", tmp_path / "trap"
    content = {"model": {}, "extra": Malicious(trap)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match="loaded safely"):
        load(path)
    assert not trap.exists()
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())
    assert trap.exists(), "the trap itself must work"


def test_a_file_that_needs_code_is_told_whose(tmp_path: Path) -> None:
    """Not how to run it all the same, which is what torch's own message is about."""
    torch.save({"model": {}, "options": argparse.Namespace(rate=1)}, tmp_path / "g.pt")
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "g.pt")
    message = str(caught.value)
    assert "(it needs the code of argparse.Namespace): give a file of tensors" in message
    assert "weights_only" not in message


def test_a_truncated_file_is_refused(saved: Path, tmp_path: Path) -> None:
    """Wherever the file is cut."""
    data = saved.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in [*range(0, len(data), len(data) // 25), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pt is no checkpoint"):
            load(cut)


@pytest.mark.parametrize("data", [b"", b"hello world\n", b"PK\x03\x04", b"\x80\x02}", bytes(1000)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    """Empty files, text and beginnings of other formats."""
    (tmp_path / "g.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"such as torch\.save\(network"):
        load(tmp_path / "g.pt")


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    """The message says which of the two it is."""
    with pytest.raises(CheckpointError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    ("content", "told"), [(torch.zeros(3), "holds a Tensor"), ([1, 2], "holds a list")]
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    """A readable file that is no checkpoint is told as what it is."""
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=rf"w\.pt {told}, not a checkpoint"):
        load(tmp_path / "w.pt")


def test_a_flipped_bit_is_found(saved: Path) -> None:
    """One bit of one number changed on disk does not load in silence."""
    data = bytearray(saved.read_bytes())
    place = bytes(data).index(CONTENT["weights"]["a"].numpy().tobytes())
    data[place + 100] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"w\.pt is no checkpoint .*is damaged"):
        load(saved)
