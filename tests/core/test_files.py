"""Outputs are written whole or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from srpipe.core.errors import OutputError
from srpipe.core.files import replacing, replacing_folder, rounded, write_csv, write_json
from tests.disk import tmpfs


def names(folder: Path) -> list[str]:
    """Return everything in a folder, hidden files too."""
    return sorted(os.listdir(folder))


def fail_halfway(path: Path, fault: BaseException) -> None:
    """Write half a file and raise."""
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise fault


def fail_halfway_in_folder(path: Path, fault: BaseException) -> None:
    """Write one file of a folder and raise."""
    with replacing_folder(path) as temporary:
        (temporary / "new").write_text("half")
        raise fault


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a real file system of 64 KiB; skip where this user may not."""
    place = tmp_path / "disk"
    place.mkdir()
    with tmpfs(place, "64k"):
        yield place


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path: Path) -> None:
    """The new content is there, missing parent folders are made, nothing else is left."""
    path = tmp_path / "a" / "b" / "x.txt"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert names(path.parent) == ["x.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """While the block runs, readers see the old content."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("fault", [ValueError("bug"), KeyboardInterrupt()])
def test_a_fault_leaves_the_old_file(tmp_path: Path, fault: BaseException) -> None:
    """Any exception passes through unchanged, the old file stays, the temporary one goes."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(type(fault)) as caught:
        fail_halfway(path, fault)
    assert caught.value is fault
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_full_device_is_told_as_output_error(tmp_path: Path) -> None:
    """An OSError of writing becomes OutputError that names the target and the reason."""
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"x\.txt: No space left") as caught, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_missing_input_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    """An OSError about a file elsewhere keeps its type: it is not about writing."""
    elsewhere = tmp_path / "inputs" / "gone.txt"
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "out" / "x.txt"):
        elsewhere.read_text()


def test_a_parent_that_is_a_file_is_told(tmp_path: Path) -> None:
    """Where no folder can be made, the message names the target."""
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="cannot write"), replacing(tmp_path / "x" / "y"):
        pass


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    """Outputs follow the umask, not the private mode of temporary files."""
    mask = os.umask(0o027)
    try:
        with replacing(tmp_path / "x"):
            pass
        with replacing_folder(tmp_path / "d"):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750


def test_a_full_disk_keeps_the_old_file(small_disk: Path) -> None:
    """On a disk that is really full, OutputError is raised and the old file is as it was."""
    path = small_disk / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises(OutputError, match="No space left"):
        write_json(path, {"new": "x" * 100_000})
    assert json.loads(path.read_text()) == {"old": 1}
    assert names(small_disk) == ["x.json"]


def test_a_full_disk_keeps_the_old_folder(small_disk: Path) -> None:
    """The same for a folder."""
    path = small_disk / "d"
    with replacing_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with (
        pytest.raises(OutputError, match="No space left"),
        replacing_folder(path) as temporary,
    ):
        (temporary / "new").write_bytes(bytes(100_000))
    assert names(small_disk) == ["d"]
    assert (path / "old").read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing of the old folder is left in the new one, and nothing beside it."""
    path = tmp_path / "d"
    for name in ("first", "second"):
        with replacing_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert names(tmp_path) == ["d"]
    assert names(path) == ["second"]


@pytest.mark.parametrize("fault", [ValueError("bug"), KeyboardInterrupt()])
def test_a_fault_leaves_the_old_folder(tmp_path: Path, fault: BaseException) -> None:
    """Any exception passes through unchanged and the old folder stays."""
    path = tmp_path / "d"
    with replacing_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(type(fault)):
        fail_halfway_in_folder(path, fault)
    assert names(tmp_path) == ["d"]
    assert names(path) == ["old"]


def test_json_keeps_the_order_given(tmp_path: Path) -> None:
    """Metrics stay in the order that the stage wrote them, and the file ends in a newline."""
    write_json(tmp_path / "x.json", {"b": 1, "a": {"c": 0.5}})
    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": {\n    "c": 0.5\n  }\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_no_json_has(tmp_path: Path, value: float) -> None:
    """NaN and infinity raise, and the old file stays."""
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": value})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}


def test_csv_has_no_index_and_unix_line_ends(tmp_path: Path) -> None:
    """The bytes are the same on every system."""
    write_csv(tmp_path / "x.csv", pd.DataFrame({"a": [1, 2], "b": ["x", ""]}))
    assert (tmp_path / "x.csv").read_bytes() == b"a,b\n1,x\n2,\n"


def test_csv_brings_texts_back_as_they_were(tmp_path: Path) -> None:
    """With any line end, comma or quote in them."""
    texts = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "=1+1", " a ", "'a"]
    write_csv(tmp_path / "x.csv", pd.DataFrame({"text": texts, "number": range(8)}))
    found = pd.read_csv(tmp_path / "x.csv", keep_default_na=False)
    assert found["text"].tolist() == texts
    assert found["number"].tolist() == list(range(8))


def test_rounded_keeps_four_digits_and_refuses_nan() -> None:
    """A metric has four digits after the point unless told otherwise, and is finite."""
    assert rounded(1.23456) == 1.2346
    assert rounded(1.23456, 2) == 1.23
    for value in (float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="finite"):
            rounded(value)


def test_relative_outputs_are_explained_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline's paths are relative: a folder in the way is still an OutputError."""
    monkeypatch.chdir(tmp_path)
    Path("metrics/x.json").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write metrics/x\.json"):
        write_json(Path("metrics/x.json"), {"a": 1})
    Path("file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot write"):
        write_json(Path("file/below/x.json"), {"a": 1})


def test_a_folder_that_cannot_be_swapped_in_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the second rename fails, the old folder is where it was, and nothing lies about."""
    path = tmp_path / "d"
    with replacing_folder(path) as temporary:
        (temporary / "old").write_text("old")
    real = os.replace

    def fails_once(source: Path, target: Path) -> None:
        if Path(target) == path and Path(source).suffix == ".tmp":
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(OutputError), replacing_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert names(tmp_path) == ["d"]
    assert names(path) == ["old"]


# Begins to write a file and a folder, and waits to be killed.
HALFWAY = """
import sys
from pathlib import Path
from srpipe.core.files import replacing, replacing_folder

with replacing(Path("x")) as file, replacing_folder(Path("d")) as folder:
    file.write_text("half")
    (folder / "y").write_text("half")
    print("there", flush=True)
    sys.stdin.read()
"""
# Writes another file.
WHOLE = """
from pathlib import Path
from srpipe.core.files import replacing

with replacing(Path("z")) as file:
    file.write_text("whole")
"""


def test_what_a_kill_left_is_removed_by_the_next_process(tmp_path: Path) -> None:
    """That writes into the folder, but nothing of a process that still writes, or of a user."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    (tmp_path / ".x.mine.tmp").write_text("a user's")

    def write() -> None:
        subprocess.run([sys.executable, "-c", WHOLE], cwd=tmp_path, env=environment, check=True)

    with subprocess.Popen(
        [sys.executable, "-c", HALFWAY],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"there\n"
        half = [name for name in names(tmp_path) if name.endswith(".srpipe.tmp")]
        assert [name[:3] for name in half] == [".d.", ".x."]
        write()
        assert set(half) < set(names(tmp_path))
        writer.kill()
    write()
    assert names(tmp_path) == [".x.mine.tmp", "z"]
