"""Image work by the workers of a Dask scheduler gives what this machine's processes give."""

import json
import operator
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from srpipe.core import cluster, parallel, paths
from srpipe.core.errors import DataError, NotEnoughMemoryError, SchedulerError
from srpipe.formats.raster import encode_png
from stages import baseline, downsample
from tests.conftest import MakeImage
from tests.staged import split_folder, work_in

distributed = pytest.importorskip("distributed", reason="needs pip install '.[dask]'")
# One scheduler serves all tests: with `pytest -n 2 --dist loadgroup` they stay together.
pytestmark = pytest.mark.xdist_group("cluster")
ROOT = Path(__file__).resolve().parents[2]
# The half that is scored is more than two workers have in flight.
IMAGES = 40
# Seconds that a process may take to start on a busy machine.
LONG = 120


class Cluster:
    """A scheduler and workers, as processes of this machine, started as its users start them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = ""

    def wait_for_the_address(self) -> None:
        """Wait until the scheduler has written all of its file."""
        end = time.monotonic() + LONG
        while not (self.file.exists() and self.file.read_bytes().rstrip().endswith(b"}")):
            assert time.monotonic() < end, (self.folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        self.address = str(json.loads(self.file.read_text(encoding="utf-8"))["address"])

    def have_two_workers(self) -> None:
        """Start workers until there are two."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:
            self.workers.append(self._start("worker", "--nthreads", "1", "--no-nanny"))
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=LONG)

    def kill_a_worker(self) -> None:
        """Kill one as the system does, and leave the other."""
        self.workers[0].kill()
        self.workers[0].wait()

    def close(self) -> None:
        """End all processes."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        given = ["--scheduler-file", str(self.file), "--no-dashboard"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command, *given],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a scheduler."""
    there = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        there.wait_for_the_address()
        yield there
    finally:
        there.close()


@pytest.fixture
def two(started: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return the scheduler with two workers, named in the environment."""
    started.have_two_workers()
    monkeypatch.setenv("SRPIPE_SCHEDULER", started.address)
    return started


def located(item: int) -> tuple[int, int, str]:
    """Return the item with this process and its working directory, the first items last."""
    time.sleep(0.1 if item < 2 else 0)
    return item, os.getpid(), os.getcwd()


def faulty(item: int) -> int:
    """Fail at one item."""
    if item == 3:
        raise DataError("image 3 is damaged")
    return item


def many(work: Callable[[int], Any], count: int = 12) -> list[Any]:
    """Do the work with numbers from 0."""
    return list(parallel.parallel(work, range(count), what="packing"))


def test_results_come_in_order_from_the_workers(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both, which work where this process works, whatever the number of its own workers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    results = many(located)
    assert [item for item, _, _ in results] == list(range(12))
    assert {process for _, process, _ in results} == {worker.pid for worker in two.workers}
    assert {folder for _, _, folder in results} == {str(tmp_path)}


def test_a_fault_in_a_worker_is_raised_here(two: Cluster) -> None:
    """With its type and its message, after the results before it."""
    results = parallel.parallel(faulty, range(6), what="packing")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="image 3 is damaged"):
        next(results)


def test_one_item_needs_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does none: a lambda shows that nothing was sent, and there is nobody at this address."""
    monkeypatch.setenv("SRPIPE_SCHEDULER", "tcp://127.0.0.1:1")
    assert list(parallel.parallel(lambda item: item + 1, [1], what="x")) == [2]
    assert many(operator.neg, 0) == []


def test_what_kills_every_worker_is_told(two: Cluster) -> None:
    """As a lack of memory, which it mostly is; Dask says so by this exception."""
    with pytest.raises(NotEnoughMemoryError, match=r"packing: workers of .*--memory-limit"):
        many(deadly)


def deadly(item: int) -> int:
    """Say what the scheduler says of an item whose workers all ended."""
    raise distributed.KilledWorker("item", SimpleNamespace(address="tcp://a:1"), 3)


def test_other_code_on_a_worker_is_refused(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It might give other outputs."""
    monkeypatch.setattr(cluster, "_code", lambda: "other")
    with pytest.raises(SchedulerError, match=r"has another version of srpipe .* give it the same"):
        many(operator.neg)


def test_workers_that_lack_the_files_are_refused(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here because the folder is gone; elsewhere because there is no shared file system."""
    monkeypatch.setattr(cluster.Path, "cwd", lambda: tmp_path / "elsewhere")
    with pytest.raises(SchedulerError, match=r"cannot enter .*elsewhere: No such file"):
        many(operator.neg)


def test_workers_of_several_threads_are_refused(
    two: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory and the number of a network's threads are a process's."""
    monkeypatch.setattr(
        distributed.Client, "nthreads", lambda self: {"tcp://a:1": 1, "tcp://b:2": 4}
    )
    with pytest.raises(
        SchedulerError, match=r"1 of 2 workers .* such as tcp://b:2: .*--nthreads 1"
    ):
        many(operator.neg)


def test_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to start one; there is no silent fall back to local processes."""
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    monkeypatch.setenv("SRPIPE_SCHEDULER", "tcp://127.0.0.1:1")
    with pytest.raises(SchedulerError, match=r"no scheduler answers there .* `dask scheduler`"):
        many(operator.neg)


def outputs() -> dict[str, bytes]:
    """Return what downsample and baseline wrote in the working directory."""
    files = [*paths.PACKED.iterdir(), paths.IMAGES, paths.DOWNSAMPLE_JSON]
    files += [paths.BASELINE_CSV, paths.BASELINE_JSON]
    return {file.as_posix(): file.read_bytes() for file in files}


def test_the_outputs_are_those_of_local_processes_though_a_worker_is_killed(
    two: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_image: MakeImage,
) -> None:
    """Byte for byte, of downsample and of baseline; the other worker does the items again."""
    work_in(tmp_path, monkeypatch)
    monkeypatch.delenv("SRPIPE_SCHEDULER")
    for seed in range(IMAGES):
        (tmp_path / "own" / f"p{seed}_0.png").write_bytes(encode_png(make_image(seed, 64, 80)))
    assert split_folder({}, test=0.5) is not None
    baseline.main()
    wanted = outputs()
    for folder in (paths.PACKED, paths.BASELINE_CSV.parent):
        shutil.rmtree(folder)
    killed = []
    progress = parallel.progress

    def killing(results: Iterable[Any], **shown: Any) -> Iterator[Any]:
        for index, result in enumerate(progress(results, **shown)):
            if index == 1:
                two.kill_a_worker()
                killed.append(shown["what"])
            yield result

    monkeypatch.setattr(parallel, "progress", killing)
    monkeypatch.setenv("SRPIPE_SCHEDULER", two.address)
    for stage in (downsample, baseline):
        two.have_two_workers()
        stage.main()
    assert killed == ["downsample", "baseline"]
    assert outputs() == wanted
