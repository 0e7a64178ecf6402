"""One training process against several, with the same batch and as many threads in all.

Both groups of processes live as long as the comparison and take turns; while one works the other
waits for a line. Run as a module this is one such process: it joins the others as `stages.train`
does, and takes as many steps as each line on its input says.
"""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.turns import Contender, Speeds, in_turn, synchronise
from srpipe.core.errors import TrainingError
from srpipe.settings.params import load_params
from srpipe.training.content import load_content
from srpipe.training.crops.batches import Batch
from srpipe.training.processes import joined
from srpipe.training.state import Hardware


@dataclass(frozen=True)
class Compared:
    """Crops a second of each group, a number a round, and the largest peak memory of a process."""

    speeds: Speeds
    peak_memory: float


@dataclass(frozen=True)
class _Group:
    """Processes that train together."""

    members: list["subprocess.Popen[str]"]

    def take_steps(self, steps: int) -> list[str]:
        """Let every process take steps, and return what each says then."""
        for member in self.members:
            with contextlib.suppress(BrokenPipeError):  # a dead one gives no answer either
                _pipe(member.stdin).write(f"{steps}\n")
                _pipe(member.stdin).flush()
        answers = [_pipe(member.stdout).readline() for member in self.members]
        if not all(answers):
            raise TrainingError("a process of the benchmark ended; what it said stands above")
        return answers


def compare(
    counts: tuple[int, ...],
    device: str,
    *,
    threads: int,
    steps: int,
    rounds: int,
    adversarial: bool,
) -> Compared:
    """Measure groups of so many processes in turn, each with the batch that params.yaml sets.

    Raises:
        TrainingError: a process died.
    """
    batch = load_params().train.batch_size
    with contextlib.ExitStack() as stack:
        groups = {
            str(count): stack.enter_context(_started(count, device, threads, adversarial))
            for count in counts
        }
        memory = [0.0]

        def contender(group: _Group) -> Contender:
            def run() -> float:
                start = time.perf_counter()
                answers = group.take_steps(steps)
                passed = time.perf_counter() - start
                memory.extend(float(answer) for answer in answers)
                return batch * steps / passed

            return run

        for group in groups.values():
            group.take_steps(2)  # imports, first use of memory
        contenders = {name: contender(group) for name, group in groups.items()}
        return Compared(in_turn(contenders, rounds), max(memory))


@contextlib.contextmanager
def _started(count: int, device: str, threads: int, adversarial: bool) -> Iterator[_Group]:
    """Start a group of processes; end them when the block ends."""
    common = {**os.environ, "OMP_NUM_THREADS": str(max(1, threads // count))}
    if count > 1:
        common |= {
            "TORCHELASTIC_RUN_ID": "benchmark",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(count),
        }
    command = [sys.executable, "-m", "benchmarks.processes", device]
    if adversarial:
        command.append("adversarial")
    members: list[subprocess.Popen[str]] = []
    with contextlib.ExitStack() as ends:
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
            member = subprocess.Popen(
                command,
                env={**common, **place},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ends.callback(_end, member)
            members.append(member)
        yield _Group(members)
        for member in members:
            _pipe(member.stdin).close()
        for member in members:
            member.wait()


def _end(member: "subprocess.Popen[str]") -> None:
    """End a process, if it has not ended by itself, and let go of what it held."""
    member.kill()
    with contextlib.suppress(BrokenPipeError):
        _pipe(member.stdin).close()
    _pipe(member.stdout).close()
    member.wait()


def main() -> None:
    """Be one process of a group until the input ends."""
    device, *rest = sys.argv[1:]
    params = load_params()
    settings, scale = params.train, params.downsample.scale
    adversarial = bool(rest)
    with joined(device) as (group, own_device):
        content = load_content(settings.content) if adversarial else None
        job = ours.job(settings, scale, own_device, adversarial=adversarial)
        step = ours.ready(job, Hardware(own_device, group), content)
        count, crop = settings.batch_size // group.size, settings.crop
        pinned = own_device.startswith("cuda")
        lr, hr = (_bytes(count, side, pinned) for side in (crop // scale, crop))
        batch = Batch(lr, hr, torch.zeros((count, 4), dtype=torch.uint8))
        for line in sys.stdin:
            for _ in range(int(line)):
                step(batch)
            synchronise(own_device)
            print(_peak_memory(), flush=True)


def _bytes(count: int, side: int, pinned: bool) -> Tensor:
    made = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)
    return made.pin_memory() if pinned else made


def _peak_memory() -> int:
    """Return the most memory that this process had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _pipe(pipe: "IO[str] | None") -> "IO[str]":
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe


if __name__ == "__main__":
    main()
