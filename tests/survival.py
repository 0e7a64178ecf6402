"""Kill a training at random moments until it is done, and compare it with one that was left alone.

The tests do this a few times; `python -m tests.survival --kills 100` does it as often as wanted.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from srpipe.core.files import sha256
from srpipe.core.torch_file import load
from srpipe.data.packed import Pair, write_packed
from srpipe.imaging.resample import downsample
from tests.conftest import _make_image

ROOT = Path(__file__).resolve().parents[1]
OUTPUTS = (
    "models/generator.pt",
    "models/pixel.pt",
    "metrics/history.csv",
    "metrics/train.json",
    "metrics/train/losses.png",
)
SUBSETS = ("train",) * 4 + ("validation",) * 2 + ("test",)
# Two pixel epochs and an adversarial one of 8 steps each, so that every kind of state is met.
SMALL = {
    "epochs": 3,
    "batch_size": 4,
    "validation_images": 2,
    "precision": "fp32",
}
# A start that lives longer than this has ended, on a machine however slow.
LONG = 300.0
GENERATOR = {"features": 8, "blocks": 2}
CROPS = {"size": 32, "per_image": 8}
STEPS = 24
# The first parts of the names of the variables that the project and what it uses listen to.
FOREIGN = ("SRPIPE_", "PET_", "TORCHELASTIC_", "DVC_", "MLFLOW_")


@dataclass(frozen=True)
class Death:
    """One start of the training: after how many seconds it was killed, or None if it ended."""

    killed_after: float | None
    resumed: bool


def workspace(folder: Path, **train: Any) -> Path:
    """Make a folder in which `python -m stages.train` runs in seconds."""
    folder.mkdir(parents=True)
    pairs = []
    for index in range(len(SUBSETS)):
        hr = _make_image(index, 64, 80)
        pairs.append(Pair(f"{index}.png", f"p{index}", "", hr, downsample(hr, 4)))
    write_packed(folder / "data/packed", pairs, 4)
    names = [f"{index}.png" for index in range(len(SUBSETS))]
    patients = [f"p{index}" for index in range(len(SUBSETS))]
    table = pd.DataFrame({"image": names, "patient": patients, "subset": SUBSETS})
    table.to_csv(folder / "data/split.csv", index=False)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["train"] |= {**SMALL, **train}
    params["train"]["generator"] |= GENERATOR
    params["train"]["crops"] |= CROPS
    params["train"]["adversarial"] |= {"epochs": 1, "crops": CROPS}
    params["train"]["adversarial"]["discriminator"]["features"] = 4
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return folder


def environment_of_a_user() -> dict[str, str]:
    """Return the environment without what would change a training, its launch or its record.

    As many threads as this process computes with: another number rounds otherwise.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) and name not in ("RANK", "LOCAL_RANK")
    }


def start(folder: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start the training, in its own session, saving its state after every step."""
    given = {
        **environment_of_a_user(),
        "PYTHONPATH": str(ROOT),
        "SRPIPE_DEVICE": "cpu",
        "SRPIPE_CHECKPOINT_SECONDS": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error::UserWarning:srpipe", "-m", "stages.train"],
        cwd=folder,
        env=given | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(folder: Path, **environment: str) -> tuple[str, float]:
    """Train to the end; return what was printed and the seconds it took."""
    began = time.monotonic()
    process = start(folder, **environment)
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"training failed with {process.returncode}: {out}\n{err}")
    return out, time.monotonic() - began


def die_until_done(
    folder: Path, moment: Callable[[], float], kill: Callable[["subprocess.Popen[str]"], None]
) -> list[Death]:
    """Start and kill the training until one start reaches its end; check the state after each."""
    deaths: list[Death] = []
    while True:
        process = start(folder)
        after = moment()
        try:
            out, err = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            kill(process)
            out, err = process.communicate(timeout=60)
            deaths.append(Death(after, _went_on(out)))
            check_states(folder)
            continue
        if process.returncode:
            raise RuntimeError(f"a resumed training failed: {out}\n{err}")
        return [*deaths, Death(None, _went_on(out))]


def after_a_change(paths: Callable[[], Iterable[Path]], later: float) -> float:
    """Wait until one of the paths is written anew; return how long to wait from then."""

    def times() -> set[int]:
        return {path.stat().st_mtime_ns for path in paths() if path.exists()}

    before, began = times(), time.monotonic()
    while times() <= before and time.monotonic() - began < LONG:
        time.sleep(0.005)
    return later


def _went_on(out: str) -> bool:
    return "going on with an interrupted" in out or "done already" in out


def kill_session(process: "subprocess.Popen[str]") -> None:
    """End the process and all that it started, as the kernel does when memory runs out."""
    os.killpg(process.pid, signal.SIGKILL)


def check_states(folder: Path) -> None:
    """Refuse a state or an output that is torn: each must load as a whole."""
    for path in (*folder.glob(".ckpt/*/state.pt"), *folder.glob("models/*.pt")):
        load(path)


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every output."""
    return {name: sha256(folder / name) for name in OUTPUTS}


def told_epochs(folder: Path) -> list[tuple[int, int]]:
    """Return (epoch, how often MLflow was told its PSNR), over all runs of the folder."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        query = "SELECT step, COUNT(*) FROM metrics WHERE key = ? GROUP BY step ORDER BY step"
        told = database.execute(query, ("validation_psnr",))
        return [(int(step), int(count)) for step, count in told]


def _moment(folder: Path, dice: random.Random, seconds: float) -> float:
    """Return when to kill a start: anywhere from its beginning, or, as Python takes longer to start
    than all of this training takes, twice in three times from the first step on.
    """
    if dice.random() < 1 / 3:
        return dice.uniform(0, seconds)

    def written() -> list[Path]:
        return [*folder.glob(".ckpt/*/state.pt"), *folder.glob(".ckpt/*/finished.json")]

    return after_a_change(written, dice.uniform(0, seconds / 8))


def main() -> None:
    """Kill as often as asked for, over as many runs as that takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        whole = workspace(Path(name) / "whole")
        _, seconds = finish(whole)
        wanted = hashes(whole)
        print(f"left alone: {seconds:.1f} s", flush=True)
        kills = resumes = runs = 0
        while kills < options.kills:
            folder = workspace(Path(name) / f"run{runs}")
            starts = die_until_done(folder, partial(_moment, folder, dice, seconds), kill_session)
            kills += len(starts) - 1
            resumes += sum(each.resumed for each in starts)
            runs += 1
            if hashes(folder) != wanted or told_epochs(folder) != [(1, 1), (2, 1), (3, 1)]:
                raise SystemExit(f"run {runs} differs: {hashes(folder)}, {told_epochs(folder)}")
            print(f"{kills} kills, {resumes} resumes, {runs} runs: all bit-identical", flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
