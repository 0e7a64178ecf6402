"""How fast and how lean a generator is on the CPU, against the published Swift-SRGAN.

    python -m benchmarks.inference [--quick] [--json OUT] [--weights NAME|FILE ...] [--threads N]

One LR radiograph of 256x256 becomes one of 1024x1024. The published generator is the predecessor's
own network, in its own form (RGB, 9x9 convolution at the SR image's size), and in whichever memory
layout it is faster (its memory: channels last, as ours); weights do not change what it costs, so
random ones serve. Time: the forward pass, in turn, in rounds of which each gives a ratio; bf16 is
autocast, for both. Memory: the most that one forward pass needs beyond what the process held before
it, in a process of its own. What is printed holds for the CPU that it names.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import machine, predecessor
from benchmarks.turns import Spread, in_turn, ratios, timed
from srpipe.core import console
from srpipe.core.files import write_json
from srpipe.evaluation.tables import aligned_table
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.models.released import weights_file

SCALE = 4
LR_SIDE = 256
PUBLISHED = "published Swift-SRGAN"
LAYOUTS = {"nhwc": torch.channels_last, "nchw": torch.contiguous_format}
ROUNDS = {True: 7, False: 25}
MEMORY_RUNS = {True: 3, False: 7}


@dataclass(frozen=True)
class Figures:
    """What one generator costs beside the published one.

    Times are published over ours (how many times faster), and so is the memory; bytes are absolute.
    """

    bf16: Spread
    fp32: Spread
    memory: float
    peak_bytes: float
    published_bytes: float


@console.entry_point
def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about a minute")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the medians as JSON")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["plain_sr_x4", "plain_sr_small_x4", "swift_srgan_x4"],
        metavar="NAME|FILE",
        help="generators; the JSON is about the first (default: the released ones)",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch (default: 1)")
    given = parser.parse_args()
    if given.threads < 1:
        parser.error(f"--threads is {given.threads}: must be at least 1")
    torch.set_num_threads(given.threads)
    files = {Path(name).name: weights_file(name) for name in given.weights}
    if len(files) < len(given.weights):
        parser.error("--weights: two files have one name; give them different ones")
    found = measure(files, quick=given.quick)
    print(text(found))
    if given.json:
        write_json(given.json, as_json(next(iter(found.values()))))


def measure(weights: Mapping[str, Path], *, quick: bool) -> dict[str, Figures]:
    """Return the figures of generators by their names, all measured in one run."""
    cases = {_name(PUBLISHED, bf16): _fastest_published(bf16) for bf16 in (True, False)}
    for name, path in weights.items():
        loaded = load_generator(path)
        require_scale(loaded, SCALE, path)
        model = loaded.model
        for bf16 in (True, False):
            cases[_name(name, bf16)] = _forward(model, model.channels, bf16, "nhwc")
    console.say("times ...")
    speeds = in_turn({name: timed(work, 1, "cpu") for name, work in cases.items()}, ROUNDS[quick])
    console.say("memory ...")
    runs = MEMORY_RUNS[quick]
    published = peak_memory(None, runs)
    result = {}
    for name, path in weights.items():
        times = {}
        for bf16 in (True, False):
            times[bf16] = ratios(speeds[_name(name, bf16)], speeds[_name(PUBLISHED, bf16)])
        peak = peak_memory(path, runs)
        result[name] = Figures(times[True], times[False], published / peak, peak, published)
    return result


def peak_memory(weights: Path | None, runs: int) -> float:
    """Return the median of the bytes that one float32 forward pass adds to a process at its peak.

    Args:
        weights: of the generator; None for the published one.
        runs: processes that measure it, each once.
    """
    command = [sys.executable, "-m", "benchmarks.peak_memory", str(LR_SIDE)]
    command += [] if weights is None else [str(weights.absolute())]
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(runs)
    )


def as_json(figures: Figures) -> dict[str, object]:
    """Return the medians, and the quartiles of the times beside them."""
    return {
        "cpu_time_ratio_bf16": figures.bf16.median,
        "cpu_time_ratio_fp32": figures.fp32.median,
        "peak_memory_ratio": figures.memory,
        "quartiles": {"bf16": asdict(figures.bf16), "fp32": asdict(figures.fp32)},
        "cpu": machine.cpu(),
    }


def text(found: dict[str, Figures]) -> str:
    """Return a Markdown table, and how it is to be read."""
    head = ["generator", "times faster, bf16", "times faster, fp32", "less memory", "peak (MB)"]
    rows = [
        [
            name,
            each.bf16.text(1),
            each.fp32.text(1),
            f"{each.memory:.1f}",
            f"{each.peak_bytes / 1e6:.0f}",
        ]
        for name, each in found.items()
    ]
    published = next(iter(found.values())).published_bytes
    rows.append([PUBLISHED, "1", "1", "1", f"{published / 1e6:.0f}"])
    measured = f"One 256x256 image; published over ours, median (quartiles). {machine.cpu()}"
    return f"{aligned_table(head, rows)}\n\n{measured}"


def _forward(model: nn.Module, channels: int, bf16: bool, layout: str) -> Callable[[], Tensor]:
    """Return a forward pass, warmed up."""
    model = model.eval().to(memory_format=LAYOUTS[layout])
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand((1, channels, LR_SIDE, LR_SIDE), generator=generator)
    lr = lr.contiguous(memory_format=LAYOUTS[layout])

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return model(lr)  # type: ignore[no-any-return]

    run()
    return run


def _fastest_published(bf16: bool) -> Callable[[], Tensor]:
    """Return the published generator's forward pass in the memory layout that suits it better."""
    forms = [_forward(predecessor.Generator(), 3, bf16, layout) for layout in LAYOUTS]
    return max(forms, key=lambda work: timed(work, 1, "cpu")())


def _name(generator: str, bf16: bool) -> str:
    return f"{generator} {'bf16' if bf16 else 'fp32'}"


if __name__ == "__main__":
    main()
