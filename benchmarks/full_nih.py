"""What all of NIH ChestX-ray14 costs at the settings of params.yaml, from measured speeds."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import roofline
from srpipe.core import environment
from srpipe.data.packed import Pair
from srpipe.data.pairs import to_pair
from srpipe.evaluation.scorer import baselines, scored_pair, scores
from srpipe.evaluation.tables import aligned_table
from srpipe.formats.raster import read_grey
from srpipe.imaging.tensors import one_thread
from srpipe.models.inference import super_resolve
from srpipe.settings.baseline import Baseline
from srpipe.settings.params import Params
from srpipe.settings.train import Train
from srpipe.training.networks import build_generator

IMAGES = 112_120
SIDE = 1024
# By the NIH's own lists.
TEST_IMAGES = 25_596
PATIENTS = 30_805
TEST_PATIENTS = 2_797
ARCHIVE_BYTES = 42e9
# Assumed, not measured: 100 Mbit/s.
DOWNLOAD_BYTES_PER_SECOND = 12.5e6
# Seconds for which an item, such as a pair of 1024x1024, keeps a Dask scheduler and this process
# busy, on one machine: measured on an AMD EPYC. More machines cannot be faster than that.
SCHEDULER_SECONDS = 0.005
MACHINES = (1, 4, 16)
# For what a GPU would take, on a machine that has none.
GPU = roofline.A100


@dataclass(frozen=True)
class Rates:
    """What was measured, on this machine: seconds an image, but for `train`."""

    prepare: float  # one core decodes and makes LR
    baseline: float  # one core scores both baselines
    upscale: float  # the device super-resolves; a CPU on one core
    score: float  # one core scores what the device made
    train: float  # HR megapixels a second, in the mix of pixel and adversarial steps
    cores: int  # that work at the same time where images are independent
    on_cpu: bool  # whether the device is these cores

    def shared(self, seconds: float, machines: int) -> float:
        """Return the seconds an item of what one core does in `seconds` and machines share.

        One machine does so by its processes, several by a scheduler. All have so many cores.
        """
        if machines == 1:
            return seconds / self.cores
        return max(seconds / (self.cores * machines), SCHEDULER_SECONDS)

    def evaluate(self, machines: int = 1) -> float:
        """Return the seconds an image in the evaluate stage, which keeps cores and device busy.

        Of several machines one has the device, unless it is the cores of each.
        """
        if self.on_cpu:
            return self.shared(self.upscale + self.score, machines)
        return max(self.upscale, self.shared(self.score, machines))


def measure_rates(png: Path, pair: Pair, params: Params, device: str, train: float) -> Rates:
    """Measure what a stage takes for an image, as a file and as a pair; `train` is known."""
    scale, data = params.downsample.scale, png.read_bytes()
    model = build_generator(params.train.generator, scale).eval().to(device)
    simple = functools.partial(baselines, scale, params.baseline.back_projections)

    def prepare() -> object:
        return to_pair(read_grey(data, "image", params.downsample.sixteen_bit), scale, "image")

    def upscale() -> object:
        with one_thread() if device == "cpu" else contextlib.nullcontext():
            return super_resolve(model, pair.lr, device)

    def sampled(work: Callable[[bool], object]) -> float:
        """Return the mean seconds of an image: content distances are those of a sample."""
        share = sampled_share(params.baseline)
        costs = [_seconds(functools.partial(work, content), 3) for content in (True, False)]
        return share * costs[0] + (1 - share) * costs[1]

    return Rates(
        prepare=_seconds(prepare, 10),
        baseline=sampled(
            lambda content: scored_pair(simple, pair, None if content else frozenset())
        ),
        upscale=_seconds(upscale, 3),
        score=sampled(lambda content: scores(pair.hr, pair.lr, {"": pair.hr}, content=content)),
        train=train,
        cores=environment.workers(),
        on_cpu=device == "cpu",
    )


def with_gpu(rates: Rates, train: float, params: Params) -> Rates:
    """Return the rates of the same machine with a GPU, computed by the roofline model.

    `train` is what the GPU trains, in HR megapixels a second; scores stay on the cores.
    """
    scale = params.downsample.scale
    model = build_generator(params.train.generator, scale).eval()
    lr = np.zeros((SIDE // scale, SIDE // scale), np.uint8)
    upscale = roofline.seconds(lambda: super_resolve(model, lr, "cpu"), GPU)
    return dataclasses.replace(rates, upscale=upscale, train=train, on_cpu=False)


def sampled_share(settings: Baseline) -> float:
    """Return the share of the test images whose content distances are computed."""
    return min(1.0, settings.content_images / TEST_IMAGES)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def seconds(rates: Rates, params: Params, machines: int = 1) -> dict[str, float]:
    """Return what each stage takes for the whole data set, on machines that share image work.

    The download is one, and training is left on one machine: its rate over several, which torchrun
    starts, was not measured.
    """
    return {
        "download": ARCHIVE_BYTES / DOWNLOAD_BYTES_PER_SECOND,
        "downsample": IMAGES * rates.shared(rates.prepare, machines),
        "baseline": TEST_IMAGES * rates.shared(rates.baseline, machines),
        "train": trained_megapixels(params) / rates.train,
        "evaluate": TEST_IMAGES * rates.evaluate(machines),
    }


def disk(scale: int) -> dict[str, float]:
    """Return the bytes that files take."""
    hr = float(IMAGES * SIDE**2)
    return {"zip": ARCHIVE_BYTES, "packed HR": hr, "packed LR": hr / scale**2}


def trained_megapixels(params: Params) -> float:
    """Return the HR megapixels that training sees, over all epochs.

    Validation is a part of all patients, out of those not on the test list; assumed: patients have
    equally many images.
    """
    validation = params.split.validation * PATIENTS / (PATIENTS - TEST_PATIENTS)
    images = round((IMAGES - TEST_IMAGES) * (1 - validation))
    return images * sum(pixels_by_stage(params.train).values()) / 1e6


def pixels_by_stage(settings: Train) -> dict[str, int]:
    """Return how many HR pixels each stage takes of an image, over all its epochs."""
    epochs = {"pixel": settings.pixel_epochs, "adversarial": settings.adversarial.epochs}
    crops = {"pixel": settings.crops, "adversarial": settings.adversarial_crops}
    return {
        name: count * crops[name].per_image * crops[name].size ** 2
        for name, count in epochs.items()
    }


def text(rates: Rates, params: Params, gpu: Rates | None = None) -> str:
    """Return the costs as Markdown; `gpu` are the rates of the same machine with a GPU."""
    how = {
        "download": f"{ARCHIVE_BYTES / 1e9:.0f} GB at 100 Mbit/s (assumed)",
        "downsample": f"{IMAGES:,} x {rates.prepare * 1e3:.0f} ms / {rates.cores} cores",
        "baseline": f"{TEST_IMAGES:,} x {rates.baseline:.2f} s / {rates.cores} cores",
        "train": f"{trained_megapixels(params):,.0f} megapixels / {rates.train:,.3g} a second",
        "evaluate": f"{TEST_IMAGES:,} x {rates.evaluate():.2f} s",
    }
    times = [[name, how[name], _time(each)] for name, each in seconds(rates, params).items()]
    files = disk(params.downsample.scale)
    rows = [[f"disk, {name}", f"{each / 1e9:,.1f} GB"] for name, each in files.items()]
    rows.append(["disk, all", f"{sum(files.values()) / 1e9:,.1f} GB"])
    tables = (
        aligned_table(["stage", "from", "time"], times),
        _machines(rates, params, gpu),
        aligned_table(["room", ""], rows),
    )
    return "\n\n".join(tables)


def _machines(rates: Rates, params: Params, gpu: Rates | None) -> str:
    """Return the time of each stage, and their sum, on several machines and on one with a GPU."""
    header = [f"machines of {rates.cores} cores", *(str(count) for count in MACHINES)]
    machines = list(MACHINES)
    over = [seconds(rates, params, count) for count in machines]
    if gpu:
        header.append(f"1 with an {GPU.name} (computed)")
        machines.append(1)
        over.append(seconds(gpu, params))
    totals = [sum(each.values()) for each in over]
    paired = zip(totals, machines, strict=True)
    hours = [f"{total * count / 3600:,.0f}" for total, count in paired]
    rows = [[name, *(_time(each[name]) for each in over)] for name in over[0]]
    rows.append(["all", *(_time(total) for total in totals)])
    rows.append(["cost, machine hours", *hours])
    return aligned_table(header, rows)


def _time(value: float) -> str:
    if value < 90 * 60:
        return f"{value / 60:,.0f} min"
    return f"{value / 3600:,.1f} h" if value < 72 * 3600 else f"{value / 86400:,.1f} days"
