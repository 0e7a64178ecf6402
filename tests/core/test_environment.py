"""Device, processes and all else of the machine come from the environment; a wrong one is told."""

import os
import platform
from pathlib import Path

import pytest
import torch

from srpipe.core import environment
from srpipe.core.errors import SettingsError


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any of the variables."""
    for name in ("WORKERS", "SCHEDULER", "DEVICE", "PROCESSES", "COMPILE", "CHECKPOINT_SECONDS"):
        monkeypatch.delenv(f"SRPIPE_{name}", raising=False)


def have(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    """Make torch say what accelerators there are."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_workers_are_the_cpus_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the machine: a container often gives fewer."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert environment.workers() == 3


def test_without_affinity_the_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no affinity; where even the count is unknown, there is one worker."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert environment.workers() == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert environment.workers() == 1


def test_workers_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than there are CPUs is the user's choice."""
    monkeypatch.setenv("SRPIPE_WORKERS", "200")
    assert environment.workers() == 200


@pytest.mark.parametrize(
    ("workers", "processes", "threads"),
    [("1", "1", 1), ("6", "1", 6), ("128", "1", 8), ("16", "8", 2)],
)
def test_threads_that_cut_crops_are_shared_and_few(
    monkeypatch: pytest.MonkeyPatch, workers: str, processes: str, threads: int
) -> None:
    """Each training process of a machine has its part; more than eight only hold memory."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert environment.crop_threads() == threads


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_wrong_workers_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """The message repeats what was given."""
    monkeypatch.setenv("SRPIPE_WORKERS", given)
    with pytest.raises(SettingsError, match=f"SRPIPE_WORKERS is '{given}': allowed is"):
        environment.workers()


@pytest.mark.parametrize("given", [None, "tcp://node0:8786", "tls://[::1]:80"])
def test_a_scheduler_is_named_by_its_address(
    monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """Without one there is none."""
    if given is not None:
        monkeypatch.setenv("SRPIPE_SCHEDULER", given)
    assert environment.scheduler() == given


@pytest.mark.parametrize("given", ["", "node0", "node0:8786", "tcp://node0", "tcp://a b:1"])
def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Nothing is guessed of a protocol or a port."""
    monkeypatch.setenv("SRPIPE_SCHEDULER", given)
    with pytest.raises(
        SettingsError, match=f"SRPIPE_SCHEDULER is '{given}': allowed is an address"
    ):
        environment.scheduler()


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
@pytest.mark.parametrize("given", [None, "auto"])
def test_auto_takes_the_best_there_is(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str, given: str | None
) -> None:
    """CUDA before MPS before the CPU."""
    have(monkeypatch, cuda=cuda, mps=mps)
    if given:
        monkeypatch.setenv("SRPIPE_DEVICE", given)
    assert environment.device_name() == expected


@pytest.mark.parametrize("given", ["cpu", "cuda", "cuda:1"])
def test_a_device_that_is_there_is_taken_as_given(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """With its number."""
    have(monkeypatch, cuda=True, mps=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("SRPIPE_DEVICE", given)
    assert environment.device_name() == given


@pytest.mark.parametrize("given", ["cuda", "cuda:1", "mps", "tpu", ""])
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """There is no silent fall back to the CPU; the message says what there is."""
    have(monkeypatch, cuda=False, mps=False)
    monkeypatch.setenv("SRPIPE_DEVICE", given)
    with pytest.raises(SettingsError, match=f"SRPIPE_DEVICE is '{given}': this machine has cpu"):
        environment.device_name()


@pytest.mark.parametrize(("name", "value"), [("SRPIPE_WORKERS", "²"), ("SRPIPE_DEVICE", "cpu:a")])
def test_odd_values_are_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Digits that are no number, and an index where none belongs, are SettingsErrors."""
    monkeypatch.setenv(name, value)
    ask = environment.workers if name == "SRPIPE_WORKERS" else environment.device_name
    with pytest.raises(SettingsError, match=name):
        ask()


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", 1), ("mps", 1), ("cuda", 3), ("cuda:1", 1)]
)
def test_there_is_one_training_process_a_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, expected: int
) -> None:
    """Or one, on the CPU and where one GPU was asked for by its number."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert environment.processes(device) == expected


def test_processes_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU to any number; on GPUs to fewer than there are."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("SRPIPE_PROCESSES", "2")
    assert environment.processes("cpu") == environment.processes("cuda") == 2


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 3), ("cuda:1", 1)])
def test_more_processes_than_gpus_are_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int
) -> None:
    """Two processes on one GPU are no mistake that passes in silence."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("SRPIPE_PROCESSES", "4")
    with pytest.raises(
        SettingsError, match=rf"SRPIPE_PROCESSES is 4, but {device} has {gpus} GPU\(s\)"
    ):
        environment.processes(device)


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "", "²"])
def test_wrong_processes_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """The message repeats what was given."""
    monkeypatch.setenv("SRPIPE_PROCESSES", given)
    with pytest.raises(SettingsError, match=f"SRPIPE_PROCESSES is '{given}': allowed is"):
        environment.processes("cpu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, None), ("off", None), ("on", "default"), ("cudagraphs", "reduce-overhead")],
)
def test_compiling_is_off_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str | None
) -> None:
    """Each word is a mode of torch.compile."""
    if given is not None:
        monkeypatch.setenv("SRPIPE_COMPILE", given)
    assert environment.compile_mode() == expected


@pytest.mark.parametrize("given", ["", "1", "ON", "max-autotune"])
def test_another_word_for_compiling_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """The message lists the words."""
    monkeypatch.setenv("SRPIPE_COMPILE", given)
    with pytest.raises(
        SettingsError, match=f"SRPIPE_COMPILE is '{given}': allowed are off, on, cudagraphs"
    ):
        environment.compile_mode()


@pytest.mark.parametrize(
    ("given", "expected"), [(None, 60), ("0", 0), ("0.5", 0.5), ("1e3", 1000), ("600", 600)]
)
def test_seconds_between_saves(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: float
) -> None:
    """A minute, or any number from 0 (after every step) on."""
    if given is not None:
        monkeypatch.setenv("SRPIPE_CHECKPOINT_SECONDS", given)
    assert environment.checkpoint_seconds() == expected


@pytest.mark.parametrize("given", ["", "-1", "inf", "nan", "1 min", "-0.001"])
def test_wrong_seconds_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Neither never nor before now; the message repeats what was given."""
    monkeypatch.setenv("SRPIPE_CHECKPOINT_SECONDS", given)
    with pytest.raises(SettingsError, match=f"SRPIPE_CHECKPOINT_SECONDS is '{given}': allowed is"):
        environment.checkpoint_seconds()


def test_bf16_is_emulated_where_the_cpu_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """x86 with AVX-512 multiplies it (natively or by its units for float32), with less it does not;
    of GPUs it is told by CUDA, and emulation does not count.
    """
    info = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and info.exists():
        flags = next(line for line in info.read_text().splitlines() if line.startswith("flags"))
        assert environment.emulates_bf16("cpu") is ("avx512bw" not in flags.split())
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert environment.emulates_bf16("cpu")
    assert not environment.emulates_bf16("mps")
    for there in (True, False):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, there=there: there
        )
        assert environment.emulates_bf16("cuda:1") is not there
