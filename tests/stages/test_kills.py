"""A stage that is killed leaves no process and nothing half-written; the same command goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from srpipe.formats.raster import encode_png
from tests.stages.finished import ROOT, change_params, outputs, stage_main

# For machines however slow.
LONG = 300.0


def until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait for a condition while a process runs."""
    end = time.monotonic() + LONG
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.002)


def killed(stage: str, moment: Callable[[psutil.Process], bool]) -> None:
    """Start a stage with two workers and kill it, and nothing else, at a moment.

    All that it started must end by itself.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        env={**os.environ, "SRPIPE_WORKERS": "2", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started: list[psutil.Process] = []
    try:
        known = psutil.Process(process.pid)
        until(lambda: moment(known), process)
        started = known.children(recursive=True)
        assert len(workers_of(started)) == 2
    finally:
        process.kill()
        process.wait()
    # A worker that still imports what it needs, notices when it has.
    _, alive = psutil.wait_procs(started, timeout=LONG)
    assert alive == []


def workers_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that another of these started: by the fork server."""
    ids = {process.pid for process in processes}
    return [process for process in processes if process.ppid() in ids]


def workers_are_up(process: psutil.Process) -> bool:
    return len(workers_of(process.children(recursive=True))) == 2


def add_images() -> None:
    """Add images that take a while to decode."""
    rng = np.random.default_rng(0)
    for number in range(20):
        noise = rng.integers(0, 256, (1200, 1200), np.uint8)
        Path(f"own/x{number}_1.png").write_bytes(encode_png(noise))


def test_listing_is_done_again(workspace: Path) -> None:
    """Killed among the images that it checks, download leaves the old list."""
    shutil.copytree("data/raw", "before")
    add_images()
    stage_main("download")()
    wanted = outputs()
    shutil.rmtree("data/raw")
    shutil.copytree("before", "data/raw")
    old = outputs()
    killed("download", workers_are_up)
    assert outputs() == old
    stage_main("download")()
    assert outputs() == wanted


def test_downsample_goes_on_where_it_was(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed among its images, it makes only the others, and every output has the same bytes."""
    add_images()
    stage_main("download")()
    stage_main("downsample")()
    wanted = outputs()
    log = Path("data/.packed.unfinished.tmp/done.jsonl")
    killed("downsample", lambda _: log.exists() and log.read_bytes().count(b"\n") >= 8)
    assert outputs() == wanted
    done = log.read_bytes().count(b"\n")
    capsys.readouterr()
    stage_main("downsample")()
    assert f"going on with an interrupted run: {done} of 25 done" in capsys.readouterr().out
    assert outputs() == wanted
    assert not log.parent.exists()


@pytest.mark.parametrize("stage", ["baseline", "evaluate"])
def test_scoring_is_done_again(workspace: Path, stage: str) -> None:
    """Killed with its workers up, it leaves the old outputs, and makes the same ones again."""
    split = pd.read_csv("data/split.csv")
    split["subset"] = ["train", "train", "validation", "test", "test"]
    split.to_csv("data/split.csv", index=False)
    change_params(lambda params: params["evaluate"].update(bootstrap_samples=100))
    stage_main("baseline")()
    if stage == "evaluate":
        stage_main(stage)()
    wanted = outputs()
    killed(stage, workers_are_up)
    assert outputs() == wanted
    stage_main(stage)()
    assert outputs() == wanted


# Runs a stage that is killed when an output is written, before that gets its name.
DIE_HALFWAY = """
import os, runpy, signal, sys
from pathlib import Path

def die(event, arguments):
    if event == "os.rename" and Path(sys.argv[2]) in map(Path, arguments[:2]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
runpy.run_module(f"stages.{sys.argv[1]}", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("stage", "output"), [("split", "data/split.csv"), ("download", "data/raw/folder")]
)
def test_what_is_half_written_is_removed_by_the_next_run(
    workspace: Path, stage: str, output: str
) -> None:
    """Killed while it writes, a stage leaves the old output; its next run makes the same again, and
    removes the half one.
    """
    wanted = outputs()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DIE_HALFWAY, stage, output]
    died = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    left = {str(path) for path in Path(output).parent.glob(".*.srpipe.tmp")}
    assert left
    found = outputs().items()
    assert {name: digest for name, digest in found if ".srpipe.tmp" not in name} == wanted
    command = [sys.executable, "-m", f"stages.{stage}"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    assert outputs() == wanted
    assert not list(Path(output).parent.glob(".*"))
