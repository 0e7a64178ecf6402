"""Results come in order, however many workers there are."""

import functools
import operator
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from srpipe.core.errors import DataError, NotEnoughMemoryError
from srpipe.core.parallel import AHEAD, parallel, parallel_as_made


def slow_first(item: int) -> tuple[int, int]:
    """Return the item and this process; early items take longest."""
    time.sleep(0.02 * max(0, 3 - item))
    return item, os.getpid()


def faulty(item: int) -> int:
    """Fail on 3 as a damaged image does."""
    if item == 3:
        raise DataError("image 3 is damaged")
    return item


@pytest.mark.parametrize("workers", ["1", "2"])
def test_results_come_in_order(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """Whatever the number of workers, and however long each item takes."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    results = list(parallel(slow_first, range(12), what="packing"))
    assert [item for item, _ in results] == list(range(12))
    used = {process for _, process in results}
    assert (used == {os.getpid()}) is (workers == "1")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_fault_in_a_worker_is_raised_here(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """With its type and its message, after the results before it."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    results = parallel(faulty, range(6), what="packing")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="image 3 is damaged"):
        next(results)


def test_one_item_needs_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does none; a lambda shows that nothing was pickled."""
    monkeypatch.setenv("SRPIPE_WORKERS", "8")
    assert list(parallel(lambda item: item + 1, [1], what="x")) == [2]
    assert list(parallel(operator.neg, [], what="x")) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_items_are_made_here_as_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """In this process, few ahead of the results; a fault in making one is raised here."""
    monkeypatch.setenv("SRPIPE_WORKERS", workers)
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            if number == 40:
                raise DataError("item 40 cannot be made")
            made.append(number)
            yield number

    results = parallel_as_made(slow_first, items(), total=100, what="x")
    assert made == []
    assert next(results)[0] == 0
    assert len(made) <= 2 * AHEAD + 1
    with pytest.raises(DataError, match="item 40"):
        list(results)
    assert made == list(range(40))


def noted(item: tuple[Path, int]) -> int:
    """Leave a file that says that the item was worked on."""
    folder, number = item
    (folder / str(number)).touch()
    return number


def test_workers_do_not_run_far_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of 100,000 images do not pile up in memory while the first one is packed."""
    monkeypatch.setenv("SRPIPE_WORKERS", "2")
    results = parallel(noted, [(tmp_path, number) for number in range(60)], what="packing")
    assert next(results) == 0
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 2 * AHEAD < 60
    assert list(results) == list(range(1, 60))


def killed(item: int) -> int:
    """End this process as the kernel does when memory runs out."""
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_worker_that_the_system_kills_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the likely reason and the setting, instead of a traceback of Python's pool."""
    monkeypatch.setenv("SRPIPE_WORKERS", "2")
    told = "packing: one of 2 worker processes .* memory ran out. Set SRPIPE_WORKERS to less than 2"
    with pytest.raises(NotEnoughMemoryError, match=told):
        list(parallel(killed, range(6), what="packing"))


def total(weights: list[torch.Tensor], item: int) -> float:
    """Use all weights."""
    return item + float(sum(weight.sum() for weight in weights))


def test_workers_get_a_network_without_opening_a_file_for_each_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A generator has hundreds of tensors, which a system may allow fewer open files than."""
    monkeypatch.setenv("SRPIPE_WORKERS", "2")
    weights = [torch.ones(2) for _ in range(400)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        results = list(parallel(functools.partial(total, weights), range(20), what="x"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert results == [800 + item for item in range(20)]


SLEEPER = """
import sys
from tests.core.test_parallel import asleep
from srpipe.core.parallel import parallel

if __name__ == "__main__":
    list(parallel(asleep, [sys.argv[1]] * 6, what="sleeping"))
"""


def asleep(folder: str) -> None:
    """Leave this process's ID, and work for as long as a test may take."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def running(process: int) -> bool:
    """Say whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; say whether it came true."""
    end = time.monotonic() + seconds
    while not (there := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return there


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """In the middle of an item, too."""
    (tmp_path / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
    seen = tmp_path / "workers"
    seen.mkdir()
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "sleeper.py"), str(seen)],
        env={**os.environ, "SRPIPE_WORKERS": "2", "PYTHONPATH": root},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: len(list(seen.iterdir())) == 2, 120)
        workers = [int(path.name) for path in seen.iterdir()]
        assert all(map(running, workers))
    finally:
        process.kill()
        process.wait()
    assert until(lambda: not any(map(running, workers)), 10)
