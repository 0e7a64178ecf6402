"""What a command costs: wall time, CPU time and memory of its process and all that it starts."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from srpipe.core.errors import SrpipeError

# Seconds between two looks at the processes: the CPU time of a process between the last look and
# its end is missed.
INTERVAL = 0.05
# Lines of a failed command's output in the message.
TOLD = 15


class CommandError(SrpipeError):
    """A measured command failed."""


@dataclass(frozen=True)
class Cost:
    """Of a command and all processes that it started, summed.

    Attributes:
        seconds: wall time.
        cpu: seconds of CPU time.
        memory: most bytes at a time, without pages of mapped files, which the system may drop.
    """

    seconds: float
    cpu: float
    memory: float


def measured(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    until: Callable[[], bool] = lambda: False,
) -> Cost:
    """Run a command in a folder and return its cost.

    Args:
        command: program and arguments.
        folder: its working directory.
        environment: its environment variables, all of them.
        log: receives what it prints.
        until: looked at often; the command is killed once it is true, which is no failure.

    Raises:
        CommandError: it failed.
    """
    used: dict[tuple[int, float], float] = {}
    memory = 0
    with log.open("wb") as out:
        start = time.perf_counter()
        process = psutil.Popen(
            command, cwd=folder, env=dict(environment), stdout=out, stderr=subprocess.STDOUT
        )
        stopped = False
        while process.poll() is None:
            memory = max(memory, _look(process, used))
            stopped = until()
            if stopped:
                for each in (*process.children(recursive=True), process):
                    each.kill()
                break
            time.sleep(INTERVAL)
        code = process.wait()
        seconds = time.perf_counter() - start
    if code != 0 and not stopped:
        told = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TOLD:]
        raise CommandError(f"{' '.join(command)} ended with {code}:\n" + "\n".join(told))
    return Cost(seconds, sum(used.values()), float(memory))


def _look(process: psutil.Process, used: dict[tuple[int, float], float]) -> int:
    """Note the CPU time that each process has used; return the memory of all in bytes."""
    memory = 0
    try:
        processes = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for each in processes:
        try:
            with each.oneshot():
                times, held = each.cpu_times(), each.memory_info()
                used[each.pid, each.create_time()] = times.user + times.system
                # "shared" are pages of files, on Linux; elsewhere they count as memory.
                memory += held.rss - getattr(held, "shared", 0)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return memory


def clean_environment(**more: str) -> dict[str, str]:
    """Return this environment without what would change a run of the pipeline, and with more."""
    ours = ("DVC_", "MLFLOW_", "SRPIPE_", "GIT_", "XDG_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | more
