"""Packing that is interrupted goes on where it was, and ends as if it had not been."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import DataError, OutputError
from srpipe.data import likeness
from srpipe.data.packed import Pair, write_packed
from srpipe.data.pairs import Notes
from srpipe.data.preparation import CODE, opened
from srpipe.data.sources.manifest import Entry
from srpipe.imaging.resample import downsample
from tests.conftest import _make_image
from tests.disk import tmpfs
from tests.imports import transitive_imports

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("a", "b", "bad", "c", "d")
ENTRIES = [Entry(name, f"p{name}", "", name, 1, "0") for name in NAMES]
NOTES = Notes("PNG L", 8, 60, 40, 100.25, "alpha dropped", "")
IDENTITY = {"settings": {"scale": 2}, "images": "some"}

Made = tuple[Pair, Notes] | str


def one(entry: Entry) -> Made:
    """Make a pair, or say why there is none."""
    if entry.image == "bad":
        return "bad is damaged"
    hr = _make_image(ord(entry.image), 40, 60)
    return Pair(entry.image, entry.patient, "", hr, downsample(hr, 2)), NOTES


class Killed(BaseException):
    """Stands for the end of the process."""


def dying_after(count: int) -> Callable[[Sequence[Entry]], Iterator[Made]]:
    """Return what makes so many images, and then dies."""

    def make(entries: Sequence[Entry]) -> Iterator[Made]:
        yield from map(one, entries[:count])
        raise Killed

    return make


def run(
    folder: Path,
    make: Callable[[Sequence[Entry]], Iterator[Made]] = lambda entries: map(one, entries),
    identity: dict[str, object] = IDENTITY,
) -> list[str]:
    """Pack all; return the names of those that were made now."""
    names: list[str] = []

    def noted(entries: Sequence[Entry]) -> Iterator[Made]:
        names.extend(entry.image for entry in entries)
        return make(entries)

    with opened(folder, identity, len(ENTRIES)) as begun:
        found = list(begun.results(ENTRIES, noted))
        begun.writer.finish(2, {})
    assert found == [NOTES, NOTES, "bad is damaged", NOTES, NOTES]
    return names


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """Return the files that packing in one go writes."""
    made = [result[0] for result in map(one, ENTRIES) if not isinstance(result, str)]
    write_packed(tmp_path / "whole", made, 2, likeness.describe)
    return content(tmp_path / "whole")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where to pack, beside nothing else."""
    return tmp_path / "data" / "packed"


@pytest.mark.parametrize("count", range(len(NAMES) + 1))
def test_it_goes_on_where_it_was(
    folder: Path, whole: dict[str, bytes], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """After any number of images: only the others are made, and the bytes are the same."""
    with pytest.raises(Killed):
        run(folder, dying_after(count))
    assert not folder.exists()
    assert run(folder) == list(NAMES[count:])
    assert content(folder) == whole
    assert list(folder.parent.iterdir()) == [folder]
    told = f"going on with an interrupted run: {count} of 5 done\n" if count else ""
    assert capsys.readouterr().out == told


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["packed/hr.bin", "packed/lr.bin", "done.jsonl", "identity.json"])
def test_what_is_torn_or_damaged_is_made_again(
    folder: Path, whole: dict[str, bytes], name: str, damage: Callable[[Path], None]
) -> None:
    """Half a write, a flipped bit, a lost file: nothing is trusted without its checksum."""
    with pytest.raises(Killed):
        run(folder, dying_after(4))
    left = folder.parent / ".packed.unfinished.tmp"
    (left / "packed" / ".manifest.csv.abc.tmp").write_text("torn")
    damage(left / name)
    assert "c" in run(folder)
    assert content(folder) == whole


def test_other_images_or_settings_start_anew(folder: Path, whole: dict[str, bytes]) -> None:
    """Nothing of another data set is mixed in."""
    with pytest.raises(Killed):
        run(folder, dying_after(3), {**IDENTITY, "images": "others"})
    assert run(folder) == list(NAMES)
    assert content(folder) == whole


def test_other_code_starts_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so do other versions of what computes."""
    with pytest.raises(Killed):
        run(folder, dying_after(3))
    monkeypatch.setattr(np, "__version__", "9.9.9")
    assert run(folder) == list(NAMES)


def test_the_old_folder_is_there_until_all_is_done(folder: Path, whole: dict[str, bytes]) -> None:
    """And all of it is replaced then."""
    folder.mkdir(parents=True)
    (folder / "hr.bin").write_bytes(b"old")
    with pytest.raises(Killed):
        run(folder, dying_after(4))
    assert content(folder) == {"hr.bin": b"old"}
    run(folder)
    assert content(folder) == whole


def test_two_at_once(folder: Path, whole: dict[str, bytes]) -> None:
    """The second says so and disturbs nothing."""

    def interrupted(entries: Sequence[Entry]) -> Iterator[Made]:
        yield one(entries[0])
        with pytest.raises(DataError, match="the same images are packed already"):
            run(folder)
        yield from map(one, entries[1:])

    assert run(folder, interrupted) == list(NAMES)
    assert content(folder) == whole


def test_the_code_that_counts_is_all_that_decides_what_an_image_becomes() -> None:
    """But for settings, whose values count, and for what only tells."""
    pairs = Path("srpipe/data/pairs.py")
    parts = {path.parts[1] for path in {pairs} | transitive_imports(ROOT, pairs)}
    assert parts - {"__init__.py", "core", "settings"} == set(CODE)


def test_a_full_disk_keeps_what_is_packed(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """One message; with room again, it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with tmpfs(disk, "20k"):
        folder = disk / "packed"
        with pytest.raises(OutputError, match=r"cannot write .*packed: No space left on device"):
            run(folder)
        assert not folder.exists()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert run(folder) == ["d"]
        assert content(folder) == whole
