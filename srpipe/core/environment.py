"""Hardware settings: device, worker processes, threads.

Hardware is not a parameter: it comes from the environment, so that DVC does not retrain on another
machine.

    SRPIPE_DEVICE              auto (default), cpu, cuda, cuda:1, mps
    SRPIPE_WORKERS             processes for image work, threads for cutting crops; default: the
                               CPUs this process may use
    SRPIPE_SCHEDULER           address of a Dask scheduler, such as tcp://node0:8786, whose workers
                               do the image work; default: none, this machine's processes do it
    SRPIPE_PROCESSES           training processes on this machine; default: one per GPU, or one
    SRPIPE_COMPILE             off (default), on, or cudagraphs: torch.compile of the generator
    SRPIPE_CHECKPOINT_SECONDS  seconds between saves of the training state; default 60
"""

import math
import os
import re
from importlib.util import find_spec

from srpipe.core import extras
from srpipe.core.errors import SettingsError


def workers() -> int:
    """Return the number of worker processes (>= 1).

    Raises:
        SettingsError: SRPIPE_WORKERS is not a whole number of at least 1.
    """
    return _count("SRPIPE_WORKERS", available_cpus(), "to use every CPU")


def scheduler() -> str | None:
    """Return the address of the Dask scheduler whose workers do image work; None: there is none.

    Raises:
        SettingsError: SRPIPE_SCHEDULER is not an address.
    """
    given = os.environ.get("SRPIPE_SCHEDULER")
    if given is not None and re.fullmatch(r"[a-z]+://[^\s/]+:\d+", given) is None:
        raise SettingsError(
            f"SRPIPE_SCHEDULER is {given!r}: allowed is an address with protocol and port, such as "
            "tcp://node0:8786. Correct it or unset it to use this machine's processes."
        )
    return given


def processes(device: str) -> int:
    """Return the number of training processes on this machine (>= 1).

    Raises:
        SettingsError: SRPIPE_PROCESSES is not a whole number of at least 1, or exceeds the GPUs.
    """
    import torch

    gpus = torch.cuda.device_count() if device == "cuda" else 1
    count = _count("SRPIPE_PROCESSES", gpus, "for one a GPU, or one on the CPU")
    if device.startswith("cuda") and count > gpus:
        raise SettingsError(
            f"SRPIPE_PROCESSES is {count}, but {device} has {gpus} GPU(s): lower it, or unset it "
            "for one a GPU"
        )
    return count


def crop_threads() -> int:
    """Return the number of crop threads for one training process: its share of the workers, 1 to 8.

    Eight cut crops faster than any device tested consumes them; more only take memory.
    """
    return min(8, max(1, workers() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def compile_mode() -> str | None:
    """Return the torch.compile mode, or None for off.

    Raises:
        SettingsError: SRPIPE_COMPILE is not one of the allowed values.
    """
    modes = {"off": None, "on": "default", "cudagraphs": "reduce-overhead"}
    given = os.environ.get("SRPIPE_COMPILE", "off")
    if given not in modes:
        raise SettingsError(f"SRPIPE_COMPILE is {given!r}: allowed are {', '.join(modes)}")
    return modes[given]


def checkpoint_seconds() -> float:
    """Return the seconds between two saves of the training state (>= 0; 0: every step).

    Raises:
        SettingsError: SRPIPE_CHECKPOINT_SECONDS is not a number of at least 0.
    """
    given = os.environ.get("SRPIPE_CHECKPOINT_SECONDS", "60")
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(
            f"SRPIPE_CHECKPOINT_SECONDS is {given!r}: allowed is a number of at least 0 (0: save "
            "after every step). Correct it or unset it for 60."
        )
    return seconds


def _count(name: str, default: int, unset: str) -> int:
    given = os.environ.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit()) or int(given) < 1:
        raise SettingsError(
            f"{name} is {given!r}: allowed is a whole number of at least 1. "
            f"Correct it or unset it {unset}."
        )
    return int(given)


def threads() -> int:
    """Return the threads of a network in one process: OMP_NUM_THREADS, or every CPU it may use.

    As OpenMP does, of a list its first number is taken, and what is no number is ignored.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    known = given.isascii() and given.isdigit() and int(given) >= 1
    return int(given) if known else available_cpus()


def available_cpus() -> int:
    """Return the number of CPUs this process may run on, ignoring a container's CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_name(wanted: str | None = None) -> str:
    """Return the torch device to use: `wanted`, SRPIPE_DEVICE, or the best available.

    Raises:
        SettingsError: the requested device is not available.
        MissingPackageError: it needs torch, which is not installed.
    """
    given = wanted or os.environ.get("SRPIPE_DEVICE", "auto")
    if given == "cpu" or (given == "auto" and find_spec("torch") is None):
        return "cpu"
    extras.require("torch", f"the device {given!r}")
    import torch  # here, so that stages without a network do not load it

    if given == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = given.partition(":")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    devices = torch.cuda.device_count() if kind == "cuda" else 0
    indexed = index.isascii() and index.isdigit() and int(index) < devices
    if not there.get(kind, False) or (":" in given and not indexed):
        allowed = ", ".join(name for name, present in there.items() if present)
        if devices:
            allowed += f" (cuda:0 to cuda:{devices - 1})"
        raise SettingsError(
            f"{'the device' if wanted else 'SRPIPE_DEVICE'} is {given!r}: this machine has "
            f"{allowed}. Correct it or unset it to choose by itself."
        )
    return given


def emulates_bf16(device: str) -> bool:
    """Return whether a torch device has no bfloat16 arithmetic, and torch emulates it.

    On a CPU with AVX2 alone that took a network of dense convolutions 8 times as long as float32,
    one of depthwise convolutions 20 times.
    """
    import torch

    if device.startswith("cuda"):
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return not (there and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False
