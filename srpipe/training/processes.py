"""Several training processes: started by torchrun's engine, joined by torch.distributed.

The number of processes is hardware, so it comes from the environment (`environment.processes`, and
torchrun's own PET_* variables for several machines) and changes neither dvc.yaml nor the result
beyond rounding.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from srpipe.core import environment
from srpipe.core.errors import SettingsError, TrainingError

T = TypeVar("T")

# How long a process waits for the others: longer than rank 0 needs to write a checkpoint.
PATIENCE = timedelta(minutes=10)
# Seconds before a process reports that another one is lost. On the machine where that one died, the
# launcher knows why, and has ended this process by then.
GRACE = 5.0


@dataclass(frozen=True)
class Group:
    """The training processes, seen from one of them; `size` 1 needs no torch.distributed.

    `launcher` is the id of the process that started this one, if there are several.
    """

    rank: int = 0
    size: int = 1
    launcher: int | None = None

    @property
    def first(self) -> bool:
        """Say whether this process reports and writes for all."""
        return self.rank == 0

    def require_same(self, what: str) -> None:
        """Refuse to train if the processes have different tasks.

        Args:
            what: the fingerprint of this process's task.

        Raises:
            SettingsError: another process has a different one.
        """
        if self.size == 1:
            return
        given: list[str] = [""] * self.size
        with translated_errors():
            dist.all_gather_object(given, what)
        other = [rank for rank, each in enumerate(given) if each != given[0]]
        if other:
            raise SettingsError(
                f"training process {other[0]} has other settings, data or code than process 0: "
                "give every machine the same params.yaml, data/packed, data/split.csv and commit"
            )

    def require_launcher(self) -> None:
        """Stop if the process that started this one is gone: nobody waits for the result.

        Raises:
            TrainingError: it is gone.
        """
        if self.launcher is not None and os.getppid() != self.launcher:
            raise TrainingError(
                "the process that started the training processes is gone, so they stop too. Run "
                "the same command again: it goes on from the last checkpoint."
            )

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's part of items."""
        return list(items[self.rank :: self.size])

    def gather(self, part: Sequence[T], total: int) -> list[T]:
        """Return the results of all items, in order, from each process's results of its share."""
        if self.size == 1:
            return list(part)
        parts: list[list[T]] = [[] for _ in range(self.size)]
        with translated_errors():
            dist.all_gather_object(parts, list(part))
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def means(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the means of scalars over the processes."""
        if self.size == 1 or not values:
            return {name: value.clone() for name, value in values.items()}
        stacked = torch.stack([values[name] for name in sorted(values)])
        with translated_errors():
            dist.all_reduce(stacked)
        return dict(zip(sorted(values), stacked / self.size, strict=True))

    def from_first(self, make: Callable[[], T]) -> T:
        """Return in all processes what `make` returns in the first one.

        Raises:
            TrainingError: `make` failed in the first process, which reported why.
        """
        if self.size == 1:
            return make()
        made: list[Any] = [None]
        try:
            if self.first:
                made = [make()]
        finally:
            with translated_errors():
                dist.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[no-any-return]


def launched() -> bool:
    """Say whether this process was started as one of several (by torchrun's engine)."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def needed() -> bool:
    """Say whether the environment asks for several processes that are not running yet."""
    if launched():
        return False
    return environment.processes(environment.device_name()) > 1 or "PET_NNODES" in os.environ


def wanted() -> int:
    """Return the number of training processes on all machines together."""
    machines = os.environ.get("PET_NNODES", "1").rpartition(":")[2]
    if not machines.isdecimal() or int(machines) < 1:
        raise SettingsError(
            f"PET_NNODES is {machines!r}: allowed is the number of machines, as a whole number"
        )
    return int(machines) * environment.processes(environment.device_name())


def launch(module: str) -> None:
    """Run `python -m module` in as many processes as the environment asks for, until all end.

    Each process gets an equal share of the CPUs. torchrun's own variables (PET_NNODES,
    PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT, ...) are followed.

    Raises:
        TrainingError: a process died.
        SystemExit: a process ended with an error that it reported, with that exit code, or this one
            received a signal to stop.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    count = environment.processes(environment.device_name())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, environment.available_cpus() // count)))
    # Its warnings repeat, in many lines, the one message below.
    for name in ("torch.distributed", "torch.distributed.elastic.agent.server.api"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options = ["--nproc-per-node", str(count), "--module", module]
    if "PET_NNODES" not in os.environ:
        options = ["--standalone", *options]
    try:
        run(get_args_parser().parse_args(options))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        first = min(rank - failure.local_rank for rank, failure in error.failures.items())
        if codes.get(first, 0) < 0:
            print(file=sys.stderr)  # it left its progress bar open
        raise _fault(codes, first) from error
    except dist.DistError as error:
        raise TrainingError(
            f"the other machines cannot be reached ({str(error).splitlines()[0]}): start this on "
            "all of them within ten minutes, and check PET_MASTER_ADDR and PET_MASTER_PORT"
        ) from error
    except SignalException as error:
        # The engine has passed the signal on.
        raise SystemExit(128 + error.sigval) from error


def _fault(codes: dict[int, int], first: int = 0) -> BaseException:
    """Return the exception to raise.

    Args:
        codes: the exit codes of this machine's processes that failed, by rank.
        first: the rank of the process that reports errors common to all of this machine's.
    """
    # SIGTERM is how the engine ends the others.
    killed = [rank for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM]
    if not killed and codes.get(first, 0) > 0:
        return SystemExit(codes[first])
    rank = min(killed) if killed else max(codes, key=lambda each: codes[each])
    code = codes[rank]
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed (exit code {code})"
    hint = (
        " (SIGKILL often means that memory ran out: then lower train.batch_size or the number of "
        "processes.)"
    )
    return TrainingError(
        f"training process {rank} {how}, so the others stopped too. Run the same command again: it "
        "goes on from the last checkpoint, also with another SRPIPE_PROCESSES."
        + (hint if -code == signal.SIGKILL else "")
    )


@contextlib.contextmanager
def joined(device: str) -> Iterator[tuple[Group, str]]:
    """Join the other processes, if there are any; yield the group and this process's device.

    Raises:
        TrainingError: the others cannot be reached, now or later.
    """
    cuda = device.startswith("cuda")
    if device == "cuda" and launched():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if ":" in device:
        # Events and object collectives use the current device.
        torch.cuda.set_device(device)
    if not launched():
        yield Group(), device
        return
    parent = os.getppid()
    with translated_errors():
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            timeout=PATIENCE,
            device_id=torch.device(device) if cuda else None,
        )
    yield Group(dist.get_rank(), dist.get_world_size(), parent), device
    # Not after an error: NCCL would wait for the others before it is reported.
    dist.destroy_process_group()


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn a connection error into a TrainingError."""
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        if not _of_the_connection(error):
            raise
        time.sleep(GRACE)
        raise TrainingError(
            "the connection to another training process is lost "
            f"({(str(error).splitlines() or [type(error).__name__])[0]}). Run the same command "
            "again: it goes on from the last checkpoint."
        ) from error


def _of_the_connection(error: Exception) -> bool:
    signs = ("gloo", "NCCL", "Connection", "connection", "TCPStore", "Socket")
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in signs)
