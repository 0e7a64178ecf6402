"""What enhancing files costs: a folder, the start, memory over the size of an image, and room.

The folder: PNG files of 256x256 become PNG files of 1024x1024, on one thread, as `srpipe upscale`
does it on ONNX Runtime and, with the same weights as a checkpoint, on torch; in turn with the
published project's way: Pillow, RGB, its network in torch, 8 bits, Pillow. Ours also look whether a
result is finished, hash their inputs and write how it was made. Times hold for the CPU that is
printed.

The start: CPU time of `srpipe upscale` of one such file, from the start of the process to its end.

Memory: the most that a process held while it made one image, beyond what it held after a small one.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import files, requires
from pathlib import Path

import numpy as np
import torch
from packaging.requirements import Requirement
from PIL import Image

import srpipe
from benchmarks import predecessor, turns
from benchmarks.networks import PUBLISHED
from benchmarks.training import phantoms
from srpipe.core import console
from srpipe.enhance.batch import enhance
from srpipe.enhance.upscale import method
from srpipe.evaluation.tables import aligned_table
from srpipe.imaging.resample import downsample
from srpipe.models.checkpoint import load_generator, save_generator
from srpipe.models.released import DEFAULT, weights_file

ONNX, TORCH = "srpipe upscale, ONNX Runtime", "srpipe upscale, torch"
SCALE = 4
SIDES = (256, 512, 1024, 2048)
# One process: makes a small image, then one of so many LR pixels a side, and prints both peaks.
MEMORY = """\
import sys
from pathlib import Path
import numpy as np
from srpipe import Upscaler
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
upscaler = Upscaler(device="cpu")
upscaler(np.zeros((32, 32), np.uint8))
Path("/proc/self/clear_refs").write_text("5")
before = peak()
side = int(sys.argv[1])
lr = np.add.outer(np.arange(side), np.arange(side)).astype(np.uint8)
sr = upscaler(lr)
print(before, peak())
"""
START = "from srpipe.cli.main import main; import sys; main(sys.argv[1:])"


@dataclass(frozen=True)
class Costs:
    """What enhancing files costs. All memory and disk is in MB."""

    images: int
    speeds: dict[str, list[float]]  # images a second by way, a number a round
    start: float  # seconds of CPU time
    loaded: int  # what a process holds before it enhances
    added: dict[int, int]  # what an image of so many LR pixels a side adds
    disk: int  # the base installation


def measure(*, quick: bool) -> Costs:
    """Return all costs, measured in one run."""
    images, rounds = (4, 3) if quick else (32, 3)
    with tempfile.TemporaryDirectory() as folder:
        speeds = measure_folder(Path(folder), images, rounds)
        start = start_seconds(Path(folder) / "0.png", 3 if quick else 7)
    held = {side: peak_megabytes(side) for side in (SIDES[:2] if quick else SIDES)}
    return Costs(
        images=images,
        speeds=speeds,
        start=start,
        loaded=held[SIDES[0]][0],
        added={side: added for side, (_, added) in held.items()},
        disk=disk_megabytes(),
    )


def measure_folder(folder: Path, images: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second by way, a number a round, on one thread each."""
    files = []
    for index, hr in enumerate(phantoms(images)):
        files.append(folder / f"{index}.png")
        Image.fromarray(downsample(hr, SCALE)).save(files[-1])
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a session starts
    checkpoint, loaded = folder / "same.pt", load_generator(weights_file(DEFAULT))
    save_generator(
        checkpoint,
        loaded.model,
        architecture=loaded.architecture,
        hyperparameters=loaded.hyperparameters,
        training={},
        metrics={},
    )
    ways = {
        PUBLISHED: _published(files, folder / "published"),
        ONNX: _ours(DEFAULT, files, folder / "onnx"),
        TORCH: _ours(str(checkpoint), files, folder / "torch"),
    }
    for way in ways.values():
        way()
    console.say(f"{images} images, {rounds} rounds ...")
    return turns.in_turn(
        {name: turns.timed(way, images, "cpu") for name, way in ways.items()}, rounds
    )


def _published(files: list[Path], out: Path) -> Callable[[], None]:
    out.mkdir()
    network = predecessor.Generator().eval()

    def run() -> None:
        for path in files:
            rgb = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
            with torch.inference_mode():
                sr = network(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0]
            made = (sr.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(made).save(out / path.name)

    return run


def _ours(weights: str, files: list[Path], out: Path) -> Callable[[], None]:
    used = method(weights, device="cpu")
    jobs = [(path, out / path.name) for path in files]

    def run() -> None:
        for row in enhance(jobs, used, overwrite=True):
            if row.status != "made":
                raise RuntimeError(row.reason)

    return run


def start_seconds(image: Path, runs: int) -> float:
    """Return the median CPU time, in seconds, of the command for one image in a new process."""
    found = []
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", START, "upscale", str(image), "-o", out, "--overwrite"]
        for _ in range(runs):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "--quiet", "--device", "cpu"], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


def peak_megabytes(side: int) -> tuple[int, int]:
    """Return what a process holds once it is loaded, and what one image adds at its peak, in MB."""
    command = [sys.executable, "-c", MEMORY, str(side)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, most = map(int, told.split())
    return before, most - before


def disk_megabytes() -> int:
    """Return what this package and all that its base installation requires take on disk, in MB.

    Without the interpreter and pip. The packages are those installed here.
    """
    package = Path(srpipe.__file__).parent
    found, waiting = {"srpipe": _on_disk(package.rglob("*"))}, ["srpipe"]
    while waiting:
        for line in requires(waiting.pop()) or ():
            needed = Requirement(line)
            extra = needed.marker and not needed.marker.evaluate({"extra": ""})
            if needed.name in found or extra:
                continue
            listed = files(needed.name) or ()
            found[needed.name] = _on_disk(Path(str(file.locate())) for file in listed)
            waiting.append(needed.name)
    return round(sum(found.values()) / 2**20)


def _on_disk(paths: Iterable[Path]) -> int:
    """Return the bytes of the blocks that files take."""
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())


def as_json(costs: Costs) -> dict[str, object]:
    """Return the medians."""
    faster = {
        way: turns.ratios(costs.speeds[way], costs.speeds[PUBLISHED]) for way in (ONNX, TORCH)
    }
    return {
        "upscale_ratio": faster[ONNX].median,
        "upscale_ratio_torch": faster[TORCH].median,
        "start_cpu_seconds": costs.start,
        "peak_megabytes": {str(side): added for side, added in costs.added.items()},
        "disk_megabytes": costs.disk,
    }


def text(costs: Costs) -> str:
    """Return Markdown tables, and how they are to be read."""
    published = costs.speeds[PUBLISHED]
    folder = aligned_table(
        ["a folder", "times faster", "seconds an image"],
        [
            [name, turns.ratios(each, published).text(1), f"{1 / statistics.median(each):.2f}"]
            for name, each in costs.speeds.items()
        ],
    )
    memory = aligned_table(
        ["LR pixels", "result", "memory added (MB)"],
        [
            [f"{side}x{side}", f"{side * SCALE}x{side * SCALE}", str(added)]
            for side, added in costs.added.items()
        ],
    )
    return (
        f"{folder}\n\n{costs.images} files, one thread; median (quartiles) over rounds.\n\n"
        f"{costs.start:.2f} s of CPU time for one image, from the start of its process to the end."
        "\n\n"
        f"{memory}\n\nBeyond the {costs.loaded} MB of a process that made a small image.\n\n"
        f"The base installation takes {costs.disk} MB on disk, without pip."
    )
