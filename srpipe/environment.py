"""What the machine gives: device, worker processes, threads.

Hardware is no parameter: it comes from the environment, so that another machine does not make DVC
train again.

    SRPIPE_DEVICE   auto (default), cpu, cuda, cuda:1, mps
    SRPIPE_WORKERS  processes for image work; default: the CPUs this process may use
"""

import os

from srpipe.errors import SettingsError


def workers() -> int:
    """Return the number of worker processes (>= 1).

    Raises:
        SettingsError: SRPIPE_WORKERS is not a whole number of at least 1.
    """
    given = os.environ.get("SRPIPE_WORKERS")
    if given is None:
        return available_cpus()
    if not (given.isascii() and given.isdigit()) or int(given) < 1:
        raise SettingsError(
            f"SRPIPE_WORKERS is {given!r}: allowed is a whole number of at least 1. "
            "Correct it or unset it to use every CPU."
        )
    return int(given)


def available_cpus() -> int:
    """Return the CPUs this process may run on; a container's quota of CPU time is not seen."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_name() -> str:
    """Return the torch device to use: SRPIPE_DEVICE, or the best that is there.

    Raises:
        SettingsError: the device asked for is not there.
    """
    import torch  # here, so that the stages without a network do not load it

    given = os.environ.get("SRPIPE_DEVICE", "auto")
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
            f"SRPIPE_DEVICE is {given!r}: this machine has {allowed}. "
            "Correct it or unset it to choose by itself."
        )
    return given
