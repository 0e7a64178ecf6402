"""A run is known by all that decides its result, and its folder is never half written or shared."""

import copy
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import srpipe
from srpipe.core import torch_file
from srpipe.core.errors import CheckpointError, OutputError, TrainingError
from srpipe.data.fingerprint import fingerprint
from srpipe.training import resume
from srpipe.training.resume import CODE, Store, code_digest, opened
from tests.imports import transitive_imports
from tests.training.small import settings

ROOT = Path(__file__).resolve().parents[2]
# What the loop imports and what cannot change what is computed: words, files, where things are.
HARMLESS = "core"

# As the train stage makes it.
IDENTITY: dict[str, Any] = {
    "settings": settings().model_dump(),
    "data": ("aa", "bb"),
    "train": [0, 1, 2],
    "validation": [3],
    "content": {"network": "efficientnet_lite0", "layer": "11", "weights": "cc"},
    "code": "dd",
}


# ------------------------------------------------------------------ what a run is


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in a nested identity that can change."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*place, key))
    else:
        yield place


def changed(place: tuple[Any, ...]) -> dict[str, Any]:
    """Return the identity with another value in one place."""
    identity = copy.deepcopy(IDENTITY)
    *above, last = place
    inner: Any = identity
    for key in above:
        inner = inner[key]
    inner[last] = {"another": "value"}
    return identity


def test_every_change_is_another_run() -> None:
    """Each setting by itself, each file of the data, the rows, the feature network, the code."""
    places = list(leaves(IDENTITY))
    assert {place[0] for place in places} == IDENTITY.keys()
    assert ("settings", "generator", "blocks") in places
    found = {fingerprint(changed(place)) for place in places} | {fingerprint(IDENTITY)}
    assert len(found) == len(places) + 1
    for data in (("aa", "bc"), ("bb", "aa")):
        assert fingerprint({**IDENTITY, "data": data}) not in found
    for rows in ([0, 1], [0, 2, 1], [0, 1, 2, 3]):
        assert fingerprint({**IDENTITY, "train": rows}) not in found


def test_the_same_run_is_the_same_anywhere() -> None:
    """Neither the order of keys nor tuple or list makes a difference; it names a folder."""
    identity = {key: IDENTITY[key] for key in reversed(IDENTITY)} | {"data": ["aa", "bb"]}
    assert fingerprint(identity) == fingerprint(IDENTITY)
    assert len(fingerprint(IDENTITY)) == 16
    assert int(fingerprint(IDENTITY), 16) >= 0


def test_the_code_that_counts_is_all_that_the_loop_imports() -> None:
    """An edit of anything that decides what is computed starts training anew."""
    loop = Path("srpipe/training/loop.py")
    needed = {path.relative_to("srpipe") for path in {loop} | transitive_imports(ROOT, loop)}
    counted = {path for path in needed if path.parts[0] != HARMLESS}
    assert [path for path in counted if not any(path.is_relative_to(part) for part in CODE)] == []
    assert [part for part in CODE if not any(path.is_relative_to(part) for path in counted)] == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the package, whose digest is taken instead."""
    folder = tmp_path / "srpipe"
    shutil.copytree(
        Path(srpipe.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(srpipe, "__file__", str(folder / "__init__.py"))
    return folder


@pytest.mark.parametrize("part", CODE)
def test_an_edit_of_each_part_is_another_digest(package: Path, part: str) -> None:
    """Of its last file, if it is a package; undone, it is the first digest again."""
    before = code_digest()
    files = sorted((package / part).rglob("*.py")) or [package / part]
    source = files[-1].read_bytes()
    files[-1].write_bytes(source + b"# edited\n")
    assert code_digest() != before
    files[-1].write_bytes(source)
    assert code_digest() == before


def test_harmless_edits_are_the_same_digest(package: Path) -> None:
    """What is printed may change while a training is interrupted; compiled files do not count."""
    before = code_digest()
    for file in (package / HARMLESS).glob("*.py"):
        file.write_text("raise SystemExit\n")
    (package / "training" / "__pycache__").mkdir()
    (package / "training" / "__pycache__" / "loop.pyc").write_bytes(b"compiled")
    assert code_digest() == before


def test_a_renamed_file_is_another_digest(package: Path) -> None:
    """And so is one that was added or removed: what it defines may stand in for another."""
    before = code_digest()
    (package / "training" / "steps.py").rename(package / "training" / "steps2.py")
    renamed = code_digest()
    (package / "training" / "new.py").write_text("")
    assert len({before, renamed, code_digest()}) == 3


def test_another_torch_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels decide the bits."""
    before = code_digest()
    monkeypatch.setattr(torch, "__version__", "9.9.9")
    assert code_digest() != before


# ------------------------------------------------------------------ the folder


def test_a_new_run_has_no_state(tmp_path: Path) -> None:
    """Its folder says what it is of."""
    with opened(tmp_path / "deep" / "ckpt", IDENTITY) as store:
        assert not store.exists()
        assert store.load() is None
    assert store.folder == tmp_path / "deep" / "ckpt" / fingerprint(IDENTITY)
    assert '"per_image": 3' in (store.folder / "identity.json").read_text()


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    """In the next process, and the last one that was saved."""
    with opened(tmp_path, IDENTITY) as store:
        store.save({"epoch": 1, "sums": {"total": torch.tensor(0.1)}})
        store.save({"epoch": 2, "sums": {"total": torch.tensor(0.2)}})
    with opened(tmp_path, IDENTITY) as again:
        assert again.exists()
        state = again.load()
    assert state is not None
    assert state["epoch"] == 2
    assert torch.equal(state["sums"]["total"], torch.tensor(0.2))


@pytest.mark.parametrize("place", [("settings", "epochs"), ("data",), ("code",)])
def test_another_run_starts_anew(tmp_path: Path, place: tuple[Any, ...]) -> None:
    """It does not see the state of the first, and leaves it as it is."""
    with opened(tmp_path, IDENTITY) as store:
        store.save({"epoch": 7})
    with opened(tmp_path, changed(place)) as other:
        assert other.load() is None
        other.save({"epoch": 1})
    with opened(tmp_path, IDENTITY) as store:
        state = store.load()
    assert state is not None
    assert state["epoch"] == 7


def truncate(path: Path) -> None:
    """Cut the file in half."""
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    """Change one bit of the weights."""
    content = bytearray(path.read_bytes())
    content[content.index(b"\x3f" * 64)] ^= 1
    path.write_bytes(content)


def of_another_run(path: Path) -> None:
    """Put another run's state there."""
    state = torch_file.load(path)
    torch_file.save(path, {**state, "fingerprint": "0" * 16})


def of_another_version(path: Path) -> None:
    """Put the state of an unknown format there."""
    state = torch_file.load(path)
    torch_file.save(path, {**state, "format": "srpipe-training-0"})


def empty(path: Path) -> None:
    """Leave nothing in the file."""
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_bit, of_another_run, of_another_version, empty]
)
def test_a_damaged_state_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It neither starts anew in silence nor goes on from something else; the folder to remove is
    named, and once it is removed training starts.
    """
    with opened(tmp_path, IDENTITY) as store:
        weights = torch.frombuffer(bytearray(b"\x3f" * 4000), dtype=torch.float32)
        store.save({"epoch": 2, "weights": weights})
    damage(store.folder / "state.pt")
    with (
        opened(tmp_path, IDENTITY) as store,
        pytest.raises(CheckpointError, match=rf"cannot go on: .*Remove {store.folder} to start"),
    ):
        store.load()
    shutil.rmtree(store.folder)
    with opened(tmp_path, IDENTITY) as store:
        assert store.load() is None


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    """The files that were to replace others; the state itself and other runs' files stay."""
    with opened(tmp_path, IDENTITY) as store:
        store.save({"epoch": 2})
    other = tmp_path / "0123456789abcdef"
    other.mkdir()
    torn = [store.folder / ".state.pt.x1.tmp", store.folder / ".identity.json.x2.tmp"]
    for path in (*torn, other / ".state.pt.x3.tmp"):
        path.write_bytes(b"half")
    with opened(tmp_path, IDENTITY) as store:
        assert sorted(os.listdir(store.folder)) == ["identity.json", "lock", "state.pt"]
        state = store.load()
    assert state is not None
    assert state["epoch"] == 2
    assert os.listdir(other) == [".state.pt.x3.tmp"]


def test_finished_runs_of_others_are_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's own last state stays, so that it is found done; what others finished is of no use."""
    with opened(tmp_path, IDENTITY) as store:
        store.save({"epoch": 4})
        store.finish()
    with opened(tmp_path, IDENTITY) as store:
        state = store.load()
    assert state is not None
    assert state["epoch"] == 4
    with opened(tmp_path, changed(("code",))) as other:
        assert os.listdir(tmp_path) == [other.folder.name]
    assert capsys.readouterr().out == ""


def test_interrupted_runs_of_others_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stay, because their settings may come back; how many and how large is said each time."""
    for place in (("settings", "seed"), ("code",)):
        with opened(tmp_path, changed(place)) as other:
            other.save({"weights": torch.zeros(750_000)})
    (tmp_path / "mlflow.lock").touch()
    capsys.readouterr()
    with opened(tmp_path, IDENTITY):
        said = capsys.readouterr().out
    assert said.startswith("2 other interrupted training(s), with other settings, data or code, ")
    assert f"are kept in {tmp_path} (6 MB)" in said
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3


def test_a_run_that_trains_now_is_not_called_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody shall be asked to remove what another process writes, until that has ended."""
    with opened(tmp_path, changed(("code",))) as other:
        other.save({"weights": torch.zeros(1000)})
        with opened(tmp_path, IDENTITY):
            pass
    assert capsys.readouterr().out == ""
    with opened(tmp_path, IDENTITY):
        pass
    assert "1 other interrupted training(s)" in capsys.readouterr().out


# ------------------------------------------------------------------ one process a run

HOLD = """\
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_trained_once_at_a_time(tmp_path: Path) -> None:
    """A second process is told which lock is held and that it may go on later; other runs are free.
    When the first is killed, the kernel frees the lock.
    """
    with opened(tmp_path, {"run": 1}) as store:
        lock = store.folder / "lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(TrainingError, match=rf"runs already \(it holds {lock}\): wait for it"),
            opened(tmp_path, {"run": 1}),
        ):
            pytest.fail("both have it")
        with opened(tmp_path, {"run": 2}) as other:
            other.save({"epoch": 1})
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    with opened(tmp_path, {"run": 1}) as store:
        store.save({"epoch": 1})


def test_a_fault_frees_the_run(tmp_path: Path) -> None:
    """In one process too: what failed can be tried again."""
    for _ in range(2):
        with pytest.raises(TrainingError, match="nan"), opened(tmp_path, IDENTITY):
            raise TrainingError("the loss is nan")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As every output that cannot be written."""
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(OutputError, match=r"cannot write .*identity\.json"),
        opened(tmp_path / "file", IDENTITY),
    ):
        pytest.fail("the work began")


def test_a_state_that_cannot_be_written_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told, and what was saved before is whole."""

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path, IDENTITY) as store:
        store.save({"epoch": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail)
            with pytest.raises(OutputError, match="No space left"):
                store.save({"epoch": 2})
        state = store.load()
    assert state is not None
    assert state["epoch"] == 1
    assert sorted(os.listdir(store.folder)) == ["identity.json", "lock", "state.pt"]


def test_a_store_is_its_folder(tmp_path: Path) -> None:
    """`state.pt` there is all that is gone on from: it can be looked for without opening it."""
    store = Store(tmp_path, "0" * 16)
    assert not store.exists()
    store.save({})
    assert store.exists()
    assert resume.STATE in os.listdir(tmp_path)


def test_a_run_has_a_name_of_its_own(tmp_path: Path) -> None:
    """The same after an interruption, and another where somebody else trains the same: two people
    with one MLflow server do not write into one run.
    """
    names = []
    for person in ("a", "a", "b"):
        with opened(tmp_path / person, IDENTITY) as store:
            names.append(store.name)
    assert names[0] == names[1] != names[2]
    assert {name.rpartition("-")[0] for name in names} == {fingerprint(IDENTITY)}
