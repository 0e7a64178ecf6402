"""Several processes train what one does, and one that dies is told and gone on from.

The workspaces are those of `tests.survival`; two processes agree with one to rounding, which is
stated where it is asserted.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
import torch.distributed as dist
import torch.distributed.run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from srpipe.core.errors import SettingsError, TrainingError
from srpipe.data.packed import open_packed
from srpipe.settings.train import Train
from srpipe.training import loop, processes, watch
from srpipe.training.history import EpochRecord
from srpipe.training.loop import TrainingResult, train
from srpipe.training.processes import Group, joined, launched, needed, translated_errors, wanted
from srpipe.training.state import Hardware
from srpipe.training.task import Task
from stages import train as stage
from tests import survival
from tests.training.pair import in_two
from tests.training.small import SETTINGS, settings

# They share the training that was left alone with the tests of survival.
pytestmark = [pytest.mark.xdist_group("trainings"), pytest.mark.usefixtures("alone")]


# ------------------------------------------------------------------ what the environment asks for


def test_one_process_needs_no_other() -> None:
    """Nothing is launched or joined; the group of one is the first and speaks."""
    assert not needed()
    assert not launched()
    assert wanted() == 1
    with joined("cuda") as (group, device):
        assert group == Group(0, 1)
        assert group.first
        assert device == "cuda"
    assert not dist.is_initialized()


def test_several_processes_are_launched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the process that was started by hand, not again by each of them."""
    monkeypatch.setenv("SRPIPE_PROCESSES", "3")
    assert needed()
    assert wanted() == 3
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    monkeypatch.setenv("RANK", "0")
    assert launched()
    assert not needed()


def test_a_rank_alone_is_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedulers set RANK for purposes of their own."""
    monkeypatch.setenv("RANK", "0")
    assert not launched()


@pytest.mark.parametrize(("machines", "expected"), [("1", 2), ("4", 8), ("1:3", 6)])
def test_machines_count_too(monkeypatch: pytest.MonkeyPatch, machines: str, expected: int) -> None:
    """Each has as many processes; of a range the most count. One process of several is launched."""
    monkeypatch.setenv("PET_NNODES", machines)
    assert needed()
    monkeypatch.setenv("SRPIPE_PROCESSES", "2")
    assert wanted() == expected


@pytest.mark.parametrize("machines", ["", "0", "two", "-1", "1.5", "1:", "²"])
def test_a_wrong_number_of_machines_is_refused(
    monkeypatch: pytest.MonkeyPatch, machines: str
) -> None:
    """The message says what is allowed."""
    monkeypatch.setenv("PET_NNODES", machines)
    with pytest.raises(SettingsError, match=r"PET_NNODES is .*: allowed is the number of machines"):
        wanted()


def test_processes_are_launched_with_an_equal_part_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By torchrun's engine, on this machine alone unless its variables name others; threads that
    were set by hand stay.
    """
    given: list[Any] = []
    monkeypatch.setattr(torch.distributed.run, "run", given.append)
    monkeypatch.setenv("SRPIPE_PROCESSES", "2")
    monkeypatch.setattr(processes.environment, "available_cpus", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS")
    processes.launch("stages.train")
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PET_NNODES", "2")
    processes.launch("stages.train")
    assert os.environ["OMP_NUM_THREADS"] == "1"
    for each, standalone, nodes in zip(given, (True, False), ("1:1", "2"), strict=True):
        assert (each.module, each.training_script) == (True, "stages.train")
        assert (each.nproc_per_node, each.standalone, each.nnodes) == ("2", standalone, nodes)


# ------------------------------------------------------------------ who is told of


def fault(
    monkeypatch: pytest.MonkeyPatch, codes: dict[int, int], first: int = 0
) -> TrainingError | SystemExit:
    """Return what a launcher raises whose processes ended with these codes.

    Args:
        monkeypatch: replaces torchrun's engine.
        codes: of those that failed, by rank.
        first: the rank of this machine's first process.
    """
    failures = {
        rank: ProcessFailure(rank - first, pid=1, exitcode=code, error_file="")
        for rank, code in codes.items()
    }

    def fail(_: Any) -> None:
        raise ChildFailedError("stages.train", failures)

    monkeypatch.setattr(torch.distributed.run, "run", fail)
    with pytest.raises((TrainingError, SystemExit)) as caught:
        processes.launch("stages.train")
    return caught.value


@pytest.mark.parametrize(
    ("codes", "rank", "name"),
    [
        ({1: -9}, 1, "SIGKILL"),
        ({0: -15, 1: -9}, 1, "SIGKILL"),
        ({0: 1, 2: -11, 3: -15}, 2, "SIGSEGV"),
        ({3: -9, 1: -6}, 1, "SIGABRT"),
    ],
)
def test_the_process_that_was_killed_is_told(
    monkeypatch: pytest.MonkeyPatch, codes: dict[int, int], rank: int, name: str
) -> None:
    """Not those that the engine then ended with SIGTERM, or that failed because it was gone."""
    found = fault(monkeypatch, codes)
    assert isinstance(found, TrainingError)
    assert f"training process {rank} was ended by {name}, " in str(found)
    assert "Run the same command again" in str(found)
    assert "SRPIPE_PROCESSES" in str(found)
    assert ("memory ran out" in str(found)) is (name == "SIGKILL")


@pytest.mark.parametrize(
    ("codes", "first", "code"),
    [({0: 1}, 0, 1), ({0: 130, 1: -15}, 0, 130), ({0: 1, 1: 1}, 0, 1), ({2: 1, 3: -15}, 2, 1)],
)
def test_what_the_first_process_told_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    codes: dict[int, int],
    first: int,
    code: int,
) -> None:
    """Its exit code is handed on: 1 for a fault, 130 for an interrupt. On the second machine that
    is the first process there.
    """
    found = fault(monkeypatch, codes, first)
    assert isinstance(found, SystemExit)
    assert found.code == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("codes", "wanted"),
    [
        ({1: 1}, "training process 1 failed (exit code 1), so"),
        ({0: -15, 1: 1}, "training process 1 failed (exit code 1), so"),
        ({0: -15}, "training process 0 was ended by SIGTERM, so"),
        ({0: -15, 1: -15}, "training process 0 was ended by SIGTERM, so"),
    ],
)
def test_what_no_process_told_is_told(
    monkeypatch: pytest.MonkeyPatch, codes: dict[int, int], wanted: str
) -> None:
    """The first one was ended before it could say anything: no training fails in silence."""
    found = fault(monkeypatch, codes)
    assert isinstance(found, TrainingError)
    assert str(found).startswith(wanted)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_launcher_that_is_told_to_stop_stops(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """Ctrl-C is no bug with a traceback; the first process has said what there is to say."""

    def stop(_: Any) -> None:
        raise SignalException("told to stop", sigval=number)

    monkeypatch.setattr(torch.distributed.run, "run", stop)
    with pytest.raises(SystemExit) as caught:
        processes.launch("stages.train")
    assert caught.value.code == code


def test_what_is_told_stands_below_the_progress_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first process, if killed, has left it open."""
    fault(monkeypatch, {0: -signal.SIGKILL, 1: -signal.SIGTERM})
    assert capsys.readouterr().err == "\n"


@pytest.mark.parametrize(
    "message",
    [
        "[gloo/transport/tcp/pair.cc:538] Read error: Connection reset by peer",
        "NCCL communicator was aborted on rank 1",
        "The client socket has timed out: TCPStore",
    ],
)
def test_a_lost_connection_is_a_training_error(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    """With what to do, after the launcher has had its time to tell more."""
    waited: list[float] = []
    monkeypatch.setattr(processes.time, "sleep", waited.append)
    with (
        pytest.raises(TrainingError, match=r"is lost \(.*same command\s+again"),
        translated_errors(),
    ):
        raise RuntimeError(f"{message}\nand a trace of C++")
    assert waited == [processes.GRACE]


def test_another_fault_keeps_its_traceback() -> None:
    """A bug is no lost connection."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), translated_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


# ------------------------------------------------------------------ the group


def test_a_group_of_one_keeps_everything() -> None:
    """Without any message: what is shared is all, what is meant is what there is."""
    group = Group()
    values = {"loss": torch.tensor(0.5)}
    assert group.share([3, 1, 2]) == [3, 1, 2]
    assert group.gather([3, 1, 2], 3) == [3, 1, 2]
    assert group.from_first(lambda: "made") == "made"
    means = group.means(values)
    values["loss"].add_(1)
    assert means == {"loss": torch.tensor(0.5)}, "a copy: the sums go on"


def exchange(group: Group) -> dict[str, Any]:
    """Use every message of a group, with what differs between the processes."""
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(group.rank)
        return {"from": group.rank, "sums": torch.tensor([1.5])}

    share = group.share(list("abcde"))
    values = {"b": torch.tensor(1.0 + group.rank), "a": torch.tensor(10.0 * group.rank)}
    given = values if group.first else dict(reversed(list(values.items())))
    found: dict[str, Any] = {
        "first": group.first,
        "share": share,
        "gathered": group.gather([each.upper() for each in share], 5),
        "gathered_none": group.gather([], 0),
        "means": group.means(given),
        "no_means": group.means({}),
        "from_first": group.from_first(make),
        "made": made,
    }
    try:
        found["refused"] = group.from_first(refuse)
    except SettingsError as error:
        found["refused"] = str(error)
    return found


def refuse() -> None:
    """Fail as a damaged checkpoint does."""
    raise SettingsError("not this one")


def test_a_group_of_two_agrees(tmp_path: Path) -> None:
    """Shares make up the whole and come back in order; means are over both, by name; what the
    first one makes, and it alone, both have; where it fails, the other does not wait for ever.
    """
    first, second = in_two(exchange, tmp_path)
    assert (first["first"], second["first"]) == (True, False)
    assert (first["share"], second["share"]) == (["a", "c", "e"], ["b", "d"])
    assert (first["made"], second["made"]) == ([0], [])
    assert (first["refused"], second["refused"]) == ("not this one", None)
    for found in (first, second):
        assert found["gathered"] == list("ABCDE")
        assert found["gathered_none"] == []
        assert {name: float(value) for name, value in found["means"].items()} == {"a": 5, "b": 1.5}
        assert found["no_means"] == {}
        assert found["from_first"] == {"from": 0, "sums": torch.tensor([1.5])}


def compare(group: Group) -> str:
    """Compare tasks that are the same, then tasks that are not; return what is said."""
    group.require_same("0123")
    try:
        group.require_same(f"task {group.rank}")
    except SettingsError as error:
        return str(error)
    return "it did not notice"


def test_processes_with_other_tasks_are_refused(tmp_path: Path) -> None:
    """Two machines with different settings would drift apart in silence: all of them are told."""
    for told in in_two(compare, tmp_path):
        assert told.startswith("training process 1 has other settings, data or code than process 0")
        assert "give every machine the same params.yaml" in told


def test_full_memory_of_a_gpu_is_no_lost_connection() -> None:
    """It passes through, to be told as what it is."""
    with pytest.raises(torch.OutOfMemoryError), translated_errors():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a")


def lose(group: Group) -> str:
    """Let the second process die while the first one waits for it."""
    processes.GRACE = 0.0
    if not group.first:
        os._exit(0)
    try:
        group.means({"loss": torch.tensor(1.0)})
    except TrainingError as error:
        return str(error)
    return "it did not notice"


def test_a_process_whose_other_is_lost_says_so(tmp_path: Path) -> None:
    """At once, not after ten minutes, and with what to do; as on another machine than the other."""
    told, nothing = in_two(lose, tmp_path)
    assert nothing is None
    assert "the connection to another training process is lost" in told
    assert "it goes on from the last checkpoint" in told


# ------------------------------------------------------------------ training together

# One discriminator full of BatchNorms, and one without any but with spectral norms; both with
# clipping, whose norm must be that of the whole batch's gradient.
TOGETHER: dict[str, dict[str, Any]] = {
    "swift": {"epochs": 2, "gradient_clip": 0.1},
    "unet": {
        "epochs": 2,
        "gradient_clip": 0.1,
        "generator": {**SETTINGS["generator"], "name": "srgan", "channels": 3},
        "adversarial__discriminator": {**SETTINGS["adversarial"]["discriminator"], "name": "unet"},
        "adversarial__form": "hinge",
    },
}
# Two processes sum in another order than one, and float32 rounds otherwise then: by 1e-7 as a rule,
# and by 1e-4 where an activation next to 0 falls on the other side of a LeakyReLU, which depends on
# the CPU. So they are compared in float64, where the same code differs by 1e-15, and what is wrong
# by more than rounding by far more than this fraction.
EQUAL = 1e-12


def train_tiny(group: Group, folder: Path, given: Train) -> TrainingResult:
    """Train on the packed images of a folder."""
    told: list[EpochRecord] = []
    task = Task(open_packed(folder), [0, 1, 2, 3], [4, 5, 0], given, None)
    hardware = Hardware(group=group, save_seconds=1e6)
    result = train(task, hardware, None, told.append)
    assert told == (result.history if group.first else [])
    return result


def train_all(group: Group, folder: Path) -> dict[str, Any]:
    """Train with each of the settings, in float64; return histories and weights."""
    torch.set_default_dtype(torch.float64)
    found = {}
    for name, changes in TOGETHER.items():
        result = train_tiny(group, folder, settings(**changes))
        history = [vars(record) for record in result.history]
        found[name] = {"history": history, "state": result.generator.state_dict()}
    return found


def differences(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> dict[tuple[int, str], float]:
    """Return the relative difference of each number of two histories that are not the same."""
    assert [set(row) for row in ours] == [set(row) for row in theirs]
    found = {}
    for epoch, (row, other) in enumerate(zip(ours, theirs, strict=True), 1):
        for name, value in row.items():
            if isinstance(value, float) and value != other[name]:
                found[epoch, name] = abs(value - other[name]) / max(abs(other[name]), 1e-3)
            elif not isinstance(value, float):
                assert value == other[name], (epoch, name)
    return found


def test_two_processes_train_what_one_does(tmp_path: Path, packed_folder: Path) -> None:
    """Through both stages, for both discriminators: losses, norms, predictions, validation scores
    and weights agree to rounding; the two processes hold the same bits.
    """
    both = in_two(train_all, tmp_path, packed_folder)
    (one,) = in_two(train_all, tmp_path, packed_folder, count=1)
    for name, alone in one.items():
        ours, theirs = (each[name] for each in both)
        assert ours["history"] == theirs["history"]
        for key, value in ours["state"].items():
            assert torch.equal(value, theirs["state"][key]), key
            assert torch.allclose(value, alone["state"][key], rtol=EQUAL, atol=EQUAL), key
        found = differences(ours["history"], alone["history"])
        assert max(found.values(), default=0.0) < EQUAL, found


def train_with_muon(group: Group, folder: Path) -> dict[str, Any]:
    """Train for fidelity with Muon, in float64; return history and weights."""
    torch.set_default_dtype(torch.float64)
    wide = {**SETTINGS["generator"], "name": "plain_sr", "features": 16}
    given = settings(epochs=2, adversarial__epochs=0, optimizer="muon", generator=wide)
    result = train_tiny(group, folder, given)
    history = [vars(record) for record in result.history]
    return {"history": history, "state": result.generator.state_dict()}


def test_two_processes_stay_together_with_muon(tmp_path: Path, packed_folder: Path) -> None:
    """They hold the same bits; to one process they are as near as Muon's bfloat16 lets them: where
    one of its numbers is rounded otherwise, a weight's step is off by 2^-8 of itself.
    """
    ours, theirs = in_two(train_with_muon, tmp_path, packed_folder)
    (alone,) = in_two(train_with_muon, tmp_path, packed_folder, count=1)
    assert ours["history"] == theirs["history"]
    steps, rate = 6, settings().learning_rate
    for key, value in ours["state"].items():
        assert torch.equal(value, theirs["state"][key]), key
        assert torch.allclose(value, alone["state"][key], atol=steps * rate * 2**-8), key


def spoil(group: Group, folder: Path) -> str:
    """Train, with a loss that is no number in the second process alone; return what is told."""
    processes.GRACE, watch.REPORT_EVERY = 0.0, 1
    real = loop.pixel_step

    def step(*arguments: Any) -> Any:
        found = dict(real(*arguments))
        return found if group.first else {**found, "total": found["total"] * torch.nan}

    loop.pixel_step = step
    try:
        train_tiny(group, folder, settings(epochs=2))
    except TrainingError as error:
        return str(error)
    return "it did not notice"


def test_a_nan_in_any_process_is_told_by_the_first(tmp_path: Path, packed_folder: Path) -> None:
    """The others end in silence, so none of them may find it in the first one's place."""
    first, second = in_two(spoil, tmp_path, packed_folder)
    assert "the total loss is nan in epoch 1: lower train.learning_rate" in first
    assert "the connection to another training process is lost" in second


# ------------------------------------------------------------------ the stage


def history_of(folder: Path) -> pd.DataFrame:
    """Return the history that a training wrote."""
    return pd.read_csv(folder / "metrics" / "history.csv")


def assert_agree(ours: Path, theirs: Path) -> None:
    """Assert that two trainings in float64 agree, to the eight digits that the history holds."""
    a, b = history_of(ours), history_of(theirs)
    assert a["stage"].tolist() == b["stage"].tolist() == ["pixel", "pixel", "adversarial"]
    for name in a.select_dtypes("number"):
        assert a[name].to_numpy() == pytest.approx(b[name].to_numpy(), rel=1e-7, nan_ok=True), name


@pytest.fixture(scope="module")
def float64(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which every Python process computes in float64 (see EQUAL)."""
    folder = tmp_path_factory.mktemp("float64")
    (folder / "sitecustomize.py").write_text(
        "import torch\n\ntorch.set_default_dtype(torch.float64)\n"
    )
    path = os.pathsep.join((str(folder), str(survival.ROOT)))
    return {"PYTHONPATH": path, "SRPIPE_MLFLOW": "off"}


@pytest.fixture(scope="module")
def alone_in_float64(tmp_path_factory: pytest.TempPathFactory, float64: dict[str, str]) -> Path:
    """Return the workspace of a training in float64 by one process, which nobody killed."""
    folder = survival.workspace(tmp_path_factory.mktemp("trainings") / "float64")
    survival.finish(folder, SRPIPE_PROCESSES="1", **float64)
    return folder


def test_the_stage_starts_its_processes(
    tmp_path: Path, alone_in_float64: Path, float64: dict[str, str]
) -> None:
    """`SRPIPE_PROCESSES=2 python -m stages.train` is all that is needed: one voice, one history,
    and the result of one process to rounding.
    """
    folder = survival.workspace(tmp_path / "two")
    said, _ = survival.finish(folder, SRPIPE_PROCESSES="2", **float64)
    first, *epochs, last = said.splitlines()
    assert "swift_srgan 4x on cpu (2 processes" in first
    assert [line[:10] for line in epochs] == [f"epoch {epoch}/3 " for epoch in (1, 2, 3)]
    assert last.startswith("validation PSNR")
    assert_agree(folder, alone_in_float64)


def test_what_cannot_be_trained_is_refused_before_anything_is_launched(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of 4 for 3 processes, counted over all machines: one message, exit code 1."""
    monkeypatch.chdir(left_alone)
    monkeypatch.setattr(processes, "launch", lambda module: pytest.fail("it was launched"))
    for name, value in (("SRPIPE_PROCESSES", "3"), ("PET_NNODES", "3")):
        monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            stage.main()
        assert caught.value.code == 1
        told = capsys.readouterr().err
        assert "train.batch_size is 4, which" in told
        assert "processes cannot share equally" in told
    assert "which 9 processes" in told


def ranks(launcher: int) -> dict[int, psutil.Process]:
    """Return the training processes that a launcher started, by rank."""
    found = {}
    for child in psutil.Process(launcher).children(recursive=True):
        rank = child.environ().get("RANK")
        if rank is not None:
            found[int(rank)] = child
    return found


@pytest.fixture
def interrupted(
    tmp_path: Path, float64: dict[str, str]
) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Yield a workspace and its training in two processes, some steps after it started."""
    folder = survival.workspace(tmp_path / "two")
    process = survival.start(folder, SRPIPE_PROCESSES="2", **float64)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob(".ckpt/*/state.pt")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield folder, process
    finally:
        if process.poll() is None:
            survival.kill_session(process)
            process.communicate()


def test_a_killed_process_is_told_once_and_gone_on_from(
    interrupted: tuple[Path, subprocess.Popen[str]],
    alone_in_float64: Path,
    float64: dict[str, str],
) -> None:
    """The others stop; one message names the process, the signal and what to do. Doing it, with
    one process, takes up the training where two left it, and ends as if there had been no death.
    """
    folder, process = interrupted
    started = ranks(process.pid)
    assert set(started) == {0, 1}
    started[1].send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not any(each.is_running() for each in started.values())
    # Beside the progress bar, whose speed is in steps a second or, if slow, in seconds a step.
    told = [each for each in err.splitlines() if each.strip() and not each.startswith("epoch ")]
    assert len(told) == 1
    assert told[0].startswith("error: training process 1 was ended by SIGKILL, ")
    assert "Run the same command again: it goes on from the last checkpoint" in told[0]
    said, _ = survival.finish(folder, SRPIPE_PROCESSES="1", **float64)
    assert "on cpu (1 process;" in said
    assert "going on with an interrupted training: epoch " in said
    assert_agree(folder, alone_in_float64)


def test_processes_whose_launcher_was_killed_stop(
    interrupted: tuple[Path, subprocess.Popen[str]],
) -> None:
    """They do not train on unseen, so that the next start finds nobody in its place."""
    _, process = interrupted
    started = ranks(process.pid)
    process.kill()
    _, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(started.values(), timeout=30)
    assert not alive
    assert "the process that started the training processes is gone" in err
