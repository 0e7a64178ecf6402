"""Two real processes that are joined as torchrun joins them, for functions of a test module."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing

from srpipe.training.processes import joined


def in_two(work: Callable[..., Any], folder: Path, *arguments: Any, count: int = 2) -> list[Any]:
    """Return what `work(group, *arguments)` returns in each of two processes on the CPU.

    Args:
        work: a module-level function; what it returns is loaded without running code.
        folder: an empty one, for what is returned.
        arguments: further ones of `work`.
        count: of processes, where one shall do what two do.
    """
    # Forked from a process that has torch loaded, which takes longer than most of the work.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["srpipe.training.state", "torch._dynamo"])
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(
        _run, (work, folder, port, count, arguments), nprocs=count, start_method="forkserver"
    )
    paths = [folder / f"{rank}.pt" for rank in range(count)]
    return [
        torch.load(path, weights_only=True)["result"] if path.exists() else None for path in paths
    ]


def _run(
    rank: int,
    work: Callable[..., Any],
    folder: Path,
    port: int,
    count: int,
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    with joined("cpu") as (group, device):
        assert (group.rank, group.size) == (rank, count)
        assert device == "cpu"
        torch.save({"result": work(group, *arguments)}, folder / f"{rank}.pt")
