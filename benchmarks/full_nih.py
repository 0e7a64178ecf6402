"""What all of NIH ChestX-ray14 costs at the settings of params.yaml, from measured speeds."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.material import Material
from benchmarks.tables import table
from srpipe.core import environment
from srpipe.data.pairs import to_pair
from srpipe.evaluation.scoring import model_row
from srpipe.formats.raster import read_grey
from srpipe.metrics.baselines import baseline_scores
from srpipe.metrics.scores import reference
from srpipe.settings.params import Params
from srpipe.settings.train import Train
from srpipe.training.crops.batches import plan_of
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
PAGE = 4096


@dataclass(frozen=True)
class Rates:
    """What was measured, on this machine.

    Attributes:
        prepare: seconds of one core to decode an image and to make its LR image.
        baseline: seconds of one core to score both baselines on an image.
        evaluate: seconds of the device to super-resolve an image and to score it.
        train: HR megapixels a second, in the mix of pixel and adversarial steps.
        cores: that work at the same time where images are independent.
        memory: peak bytes of a training process, or None where it was not measured.
    """

    prepare: float
    baseline: float
    evaluate: float
    train: float
    cores: int
    memory: float | None


@dataclass(frozen=True)
class Costs:
    """Seconds by stage, bytes on disk by file, bytes of memory."""

    seconds: dict[str, float]
    disk: dict[str, float]
    memory: float | None
    crop_bytes: float


def measure_rates(
    material: Material, params: Params, device: str, train: float, memory: float | None
) -> Rates:
    """Measure what a stage takes for an image; `train` and `memory` were measured before."""
    packed, scale = material.packed, params.downsample.scale
    data = material.pngs[0].read_bytes()
    model = build_generator(params.train.generator, scale).eval().to(device)

    def prepare() -> object:
        return to_pair(read_grey(data, "image", params.downsample.sixteen_bit), scale, "image")

    def baseline() -> object:
        against = reference(packed.hr(0), packed.lr(0))
        return baseline_scores(against, params.baseline.back_projections)

    return Rates(
        prepare=_seconds(prepare, 10),
        baseline=_seconds(baseline, 1),
        evaluate=_seconds(lambda: model_row(model, packed, 0, device), 1),
        train=train,
        cores=environment.workers(),
        memory=memory,
    )


def _seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def costs(rates: Rates, params: Params) -> Costs:
    """Return what the whole data set costs; docs/benchmarks.md has the formulas in words."""
    scale = params.downsample.scale
    hr = float(IMAGES * SIDE**2)
    return Costs(
        seconds={
            "download": ARCHIVE_BYTES / DOWNLOAD_BYTES_PER_SECOND,
            "downsample": IMAGES * rates.prepare / rates.cores,
            "baseline": TEST_IMAGES * rates.baseline / rates.cores,
            "train": trained_megapixels(params) / rates.train,
            "evaluate": TEST_IMAGES * rates.evaluate,
        },
        disk={"zip": ARCHIVE_BYTES, "packed HR": hr, "packed LR": hr / scale**2},
        memory=rates.memory,
        crop_bytes=crop_bytes(params.train, scale),
    )


def training_images(params: Params) -> int:
    """Return how many images are left for training, if patients have equally many.

    Validation is a part of all patients, taken from those that are not on the test list.
    """
    rest = PATIENTS - TEST_PATIENTS
    validation = params.split.validation * PATIENTS
    return round((IMAGES - TEST_IMAGES) * (1 - validation / rest))


def trained_megapixels(params: Params) -> float:
    """Return the HR megapixels that training sees, over all epochs."""
    stages = pixels_by_stage(params.train).values()
    return training_images(params) * sum(stages) / 1e6


def pixels_by_stage(settings: Train) -> dict[str, int]:
    """Return how many HR pixels each stage takes of an image, over all its epochs."""
    epochs = {
        "pixel": settings.epochs - settings.adversarial_epochs,
        "adversarial": settings.adversarial_epochs,
    }
    plans = {name: plan_of(settings, adversarial=name == "adversarial") for name in epochs}
    return {
        name: count * plans[name].crops_per_image * plans[name].crop ** 2
        for name, count in epochs.items()
    }


def crop_bytes(settings: Train, scale: int) -> float:
    """Return what one crop reads from a disk when nothing is in the page cache, in whole pages."""
    return float(_pages(settings.crop, SIDE) + _pages(settings.crop // scale, SIDE // scale)) * PAGE


def _pages(rows: int, width: int) -> int:
    """Return the pages that so many rows of an image touch, on average one more than they fill."""
    return -(-rows * width // PAGE) + 1


def text(rates: Rates, params: Params) -> str:
    """Return the costs as Markdown."""
    found = costs(rates, params)
    given = params.train
    how = {
        "download": f"{ARCHIVE_BYTES / 1e9:.0f} GB at 100 Mbit/s (assumed)",
        "downsample": f"{IMAGES:,} x {rates.prepare * 1e3:.0f} ms / {rates.cores} cores",
        "baseline": f"{TEST_IMAGES:,} x {rates.baseline:.2f} s / {rates.cores} cores",
        "train": f"{trained_megapixels(params):,.0f} megapixels / {rates.train:,.3g} a second",
        "evaluate": f"{TEST_IMAGES:,} x {rates.evaluate:.2f} s",
    }
    times = [[name, how[name], _time(value)] for name, value in found.seconds.items()]
    packed = sum(found.disk[name] for name in ("packed HR", "packed LR"))
    places = {
        **{f"disk, {name}": value for name, value in found.disk.items()},
        "disk, all": sum(found.disk.values()),
        "memory of a training process, at most": found.memory,
        "memory to keep the packed images in the page cache": packed,
    }
    rows = [[name, _gigabytes(value)] for name, value in places.items()]
    return (
        f"{table(['stage', 'from', 'time'], times)}\n\n{table(['room', ''], rows)}\n\n"
        f"Training draws {given.crops_per_image} crops of {given.crop}x{given.crop} from each of "
        f"{training_images(params):,} images, {given.epochs - given.adversarial_epochs} times, "
        f"then {given.adversarial_crops_per_image} crops of {given.adversarial_crop}x"
        f"{given.adversarial_crop}, {given.adversarial_epochs} times. Where nothing is in the page "
        f"cache, a crop reads {found.crop_bytes / 1e3:,.0f} KB from the disk."
    )


def _time(seconds: float) -> str:
    if seconds < 90 * 60:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3600:,.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:,.1f} days"


def _gigabytes(value: float | None) -> str:
    return "not measured" if value is None else f"{value / 1e9:,.1f} GB"
