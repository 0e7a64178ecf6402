"""What one forward pass of a generator costs on the CPU, against the published Swift-SRGAN.

One LR radiograph of 256x256 becomes one of 1024x1024, on one thread. The published generator is the
predecessor's own network, in its own form (RGB, 9x9 convolution at the SR image's size), and in
whichever memory layout it is faster (its memory: channels last, as ours); weights do not change
what it costs, so random ones serve. Time: the forward pass, in turn, in rounds of which each gives
a ratio; bf16 is autocast, for both, and left out where the CPU emulates it. On ONNX Runtime, which
runs released models on the CPU, ours is measured against the published one in float32 on torch.
Memory: the most that one forward pass of torch needs beyond what the process held before it, in a
process of its own.
"""

import os
import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import predecessor
from benchmarks.turns import Spread, cpu, in_turn, ratios, timed
from srpipe.core import console
from srpipe.core.environment import emulates_bf16
from srpipe.evaluation.tables import aligned_table
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.models.weights import Weights
from srpipe.runtime.session import session

SCALE = 4
LR_SIDE = 256
PUBLISHED = "published Swift-SRGAN"
LAYOUTS = (torch.channels_last, torch.contiguous_format)
ROUNDS = {True: 5, False: 15}
MEMORY_RUNS = {True: 3, False: 7}


@dataclass(frozen=True)
class Figures:
    """What one generator costs beside the published one.

    Times are published over ours (how many times faster), and so is the memory; bytes are absolute.
    There is no bf16 where the CPU emulates it.
    """

    bf16: Spread | None
    fp32: Spread
    onnx: Spread
    memory: float
    peak_bytes: float
    published_bytes: float


def measure(weights: Mapping[str, Path], *, quick: bool) -> dict[str, Figures]:
    """Return the figures of generators by their names, all measured in one run."""
    # Emulated bf16 would take minutes a pass, and tell nothing.
    precisions = (False,) if emulates_bf16("cpu") else (True, False)
    cases: dict[tuple[str, bool | None], Callable[[], object]] = {
        (PUBLISHED, bf16): _fastest_published(bf16) for bf16 in precisions
    }
    for name, path in weights.items():
        loaded = load_generator(path)
        require_scale(loaded, SCALE, path)
        for bf16 in precisions:
            cases[name, bf16] = _forward(loaded.model, bf16, torch.channels_last)
        cases[name, None] = _on_onnx_runtime(loaded.weights)
    console.say("times ...")
    speeds = in_turn({key: timed(work, 1, "cpu") for key, work in cases.items()}, ROUNDS[quick])
    console.say("memory ...")
    runs = MEMORY_RUNS[quick]
    published = peak_memory(None, runs)
    result = {}
    for name, path in weights.items():
        times = {bf16: ratios(speeds[name, bf16], speeds[PUBLISHED, bf16]) for bf16 in precisions}
        peak = peak_memory(path, runs)
        onnx = ratios(speeds[name, None], speeds[PUBLISHED, False])
        result[name] = Figures(
            times.get(True), times[False], onnx, published / peak, peak, published
        )
    return result


def _forward(model: nn.Module, bf16: bool, layout: torch.memory_format) -> Callable[[], Tensor]:
    """Return a forward pass, warmed up."""
    model = model.eval().to(memory_format=layout)
    lr = _image(model, LR_SIDE, layout)

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return model(lr)  # type: ignore[no-any-return]

    run()
    return run


def _on_onnx_runtime(weights: Weights) -> Callable[[], object]:
    """Return the same on ONNX Runtime, on one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a session starts
    run, lr = session(weights), np.random.default_rng(0).random((LR_SIDE, LR_SIDE), np.float32)
    run(lr)
    return lambda: run(lr)


def _fastest_published(bf16: bool) -> Callable[[], Tensor]:
    """Return the published generator's forward pass in the memory layout that suits it better."""
    forms = [_forward(predecessor.Generator(), bf16, layout) for layout in LAYOUTS]
    return max(forms, key=lambda work: timed(work, 1, "cpu")())


def _image(model: nn.Module, side: int, layout: torch.memory_format) -> Tensor:
    channels = model.channels if isinstance(model, SRGenerator) else 3
    return torch.rand((1, channels, side, side)).contiguous(memory_format=layout)


def peak_memory(weights: Path | None, runs: int) -> float:
    """Return the median of the bytes that one float32 forward pass adds to a process at its peak.

    Without weights it is the published generator's. Each run is a process of its own.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        return statistics.median(processes.map(_added, [weights] * runs, [LR_SIDE] * runs))


def _added(weights: Path | None, side: int) -> int:
    """Return what a pass adds to this process; a small one before it loads the libraries."""
    torch.set_num_threads(1)
    model = load_generator(weights).model if weights else predecessor.Generator().eval()
    model = model.to(memory_format=torch.channels_last)
    small, whole = (_image(model, length, torch.channels_last) for length in (32, side))
    with torch.inference_mode():
        model(small)
        # Linux alone can set the peak back to what is held now; elsewhere that of imports counts.
        clear = Path("/proc/self/clear_refs")
        if clear.exists():
            clear.write_text("5")
        before = _peak()
        model(whole)
    return _peak() - before


def _peak() -> int:
    """Return the most memory that this process held since it was set back, in bytes.

    Not by getrusage on Linux: its peak is at least that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def as_json(figures: Figures) -> dict[str, object]:
    """Return the medians, and the quartiles of the times beside them."""
    times = {"bf16": figures.bf16, "fp32": figures.fp32, "onnx": figures.onnx}
    measured = {name: each for name, each in times.items() if each is not None}
    return {
        **{f"cpu_time_ratio_{name}": each.median for name, each in measured.items()},
        "peak_memory_ratio": figures.memory,
        "quartiles": {name: asdict(each) for name, each in measured.items()},
    }


def text(found: dict[str, Figures]) -> str:
    """Return a Markdown table, and how it is to be read."""
    times = [f"times faster, {how}" for how in ("bf16", "fp32", "ONNX Runtime")]
    head = ["generator", *times, "less memory", "peak (MB)"]
    rows = [
        [
            name,
            *(how.text(1) if how else "emulated" for how in (each.bf16, each.fp32, each.onnx)),
            f"{each.memory:.1f}",
            _mb(each.peak_bytes),
        ]
        for name, each in found.items()
    ]
    rows.append([PUBLISHED, "1", "1", "1", "1", _mb(next(iter(found.values())).published_bytes)])
    measured = f"One 256x256 image; published over ours, median (quartiles). {cpu()}"
    return f"{aligned_table(head, rows)}\n\n{measured}"


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f}"
