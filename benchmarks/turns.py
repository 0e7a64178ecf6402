"""Things run in turn, the ratios of their speeds, and the CPU that these hold for.

What a machine does beside the benchmark slows whatever runs at that moment. Within a round
everything runs once, one after the other, so that a round's ratios compare like with like; over the
rounds they have a median and a spread. An absolute speed is another one an hour later.
"""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

# Gives its own speed, in units a second, each time that it is called.
Case = Callable[[], float]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """Return "median (low to high)"."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles; with two rounds the quartiles lie between them.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("there must be at least one round")
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Spread(float(middle), float(low), float(high))


def in_turn(cases: Mapping[Key, Case], rounds: int) -> dict[Key, list[float]]:
    """Call every case once a round, every other round in reversed order; return their speeds.

    Reversing cancels what grows over a round: none is always measured before another.
    """
    speeds: dict[Key, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        order = list(cases)
        for name in reversed(order) if number % 2 else order:
            speeds[name].append(cases[name]())
    return speeds


def ratios(of: Sequence[float], over: Sequence[float]) -> Spread:
    """Return how many times faster `of` is than `over`, round by round."""
    return spread([one / other for one, other in zip(of, over, strict=True)])


def mixed(parts: Mapping[str, float], speeds: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the speed of a job, round by round, that does each part with another case.

    The parts say how much of the job each case does; they need not sum to 1.
    """
    total = sum(parts.values())
    rounds = zip(*(speeds[name] for name in parts), strict=True)
    return [
        total / sum(part / speed for part, speed in zip(parts.values(), each, strict=True))
        for each in rounds
    ]


def timed(work: Callable[[], object], amount: float, device: str) -> Case:
    """Return a case that does `work` once, which is `amount` units of it."""

    def run() -> float:
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        return amount / (time.perf_counter() - start)

    return run


def for_seconds(work: Callable[[], int], seconds: float) -> Case:
    """Return a case that does `work` again and again, at least so long.

    `work` runs on the CPU and returns how many units it did.
    """

    def run() -> float:
        start, done = time.perf_counter(), 0
        while True:
            done += work()
            passed = time.perf_counter() - start
            if passed >= seconds:
                return done / passed

    return run


def synchronise(device: str) -> None:
    """Wait until the device has done all it was asked for; a CPU always has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()


def cpu() -> str:
    """Return the CPU's model, what it multiplies with, and how many threads torch uses."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor() or platform.machine())
    units = (
        "with matrix units for bf16 (AMX)"
        if torch.cpu._is_amx_tile_supported()
        else f"without matrix units ({torch.backends.cpu.get_cpu_capability()})"
    )
    return f"{model}, {units}, {torch.get_num_threads()} thread(s)"
