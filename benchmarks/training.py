"""How fast we train: our steps and our loader against the predecessor's.

    python -m benchmarks.training [--quick] [--json OUT] [--full-nih] [--images N]

Run it from the root of the repository. Everything is measured in turn, in rounds of which each
gives a ratio (`benchmarks.turns`); the settings are those of params.yaml, in the precision that
suits the device (`auto`); SRPIPE_DEVICE chooses it. `benchmarks.predecessor` says what the
predecessor does.

Steps: from a batch in memory to changed weights, on as many HR pixels as one of the predecessor's
steps takes. Loaders: one core, from the page cache; whole images one by one, as the predecessor
reads them, and crops as training draws them.
"""

import argparse
import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import full_nih, predecessor, roofline
from benchmarks.turns import Case, Spread, cpu, for_seconds, in_turn, mixed, ratios, spread, timed
from srpipe.core import console, environment
from srpipe.core.errors import SettingsError
from srpipe.core.files import write_json
from srpipe.core.parallel import parallel
from srpipe.data.packed import HR, LR, Packed, Pair, open_packed, write_packed
from srpipe.evaluation.tables import aligned_table
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import downsample
from srpipe.metrics.features import ContentFeatures
from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.render import render
from srpipe.settings.params import Params, load_params
from srpipe.settings.train import Crops, Train
from srpipe.training.content import load_content
from srpipe.training.crops.batches import epoch_batches
from srpipe.training.crops.cutting import Batch, Draw, read_crops
from srpipe.training.crops.difficulty import Difficulty
from srpipe.training.crops.source import CropSource
from srpipe.training.losses import Objective
from srpipe.training.precision import choose
from srpipe.training.state import Hardware, adversarial_stage, pixel_stage
from srpipe.training.steps import adversarial_step, on_device, pixel_step

STAGES = ("pixel", "adversarial")
CROP = 256


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds of steps and of loaders, seconds of a loader, images."""

    rounds: int
    loader_rounds: int
    loader_seconds: float
    images: int
    copies: int


QUICK = Effort(rounds=3, loader_rounds=5, loader_seconds=0.2, images=4, copies=48)
FULL = Effort(rounds=9, loader_rounds=15, loader_seconds=0.5, images=16, copies=64)


@dataclass(frozen=True)
class Radiographs:
    """The same square images as PNG files and in a packed folder, each several times there."""

    pngs: list[Path]
    packed: Packed

    @property
    def side(self) -> int:
        """Return the side of the images in HR pixels."""
        return int(self.packed.manifest["height"].iloc[0])

    @property
    def rows(self) -> list[int]:
        """Return all rows of the packed folder."""
        return list(range(len(self.packed.manifest)))


@dataclass(frozen=True)
class Bench:
    """What is measured on what."""

    params: Params
    device: str
    images: int
    content: ContentFeatures
    radiographs: Radiographs

    def source(self, crops: Crops) -> CropSource:
        """Return all images as a source of crops."""
        given, packed = self.params.train, self.radiographs.packed
        rows = self.radiographs.rows
        return CropSource(packed, rows, crops, given.batch_size, given.seed, Difficulty(packed))

    def batch(self) -> Batch:
        """Return crops with as many HR pixels as the predecessor's batch, and at least two."""
        crops = self.params.train.crops
        count = max(2, -(-self.images * self.radiographs.side**2 // crops.size**2))
        rng = np.random.default_rng(0)
        rows = rng.choice(self.radiographs.rows, count).tolist()
        draws = [Draw.of(each, crops) for each in rng.random((count, Draw.count(crops))).tolist()]
        return read_crops(self.source(crops), rows, draws, pinned=self.device.startswith("cuda"))

    def whole(self) -> tuple[Tensor, Tensor]:
        """Return the predecessor's batch: LR and HR, float `(N, 3, H, W)`."""
        paths = itertools.islice(itertools.cycle(self.radiographs.pngs), self.images)
        pairs = zip(*(predecessor.read_item(path) for path in paths), strict=True)
        lr, hr = (torch.stack(each) for each in pairs)
        return (lr.pin_memory(), hr.pin_memory()) if self.device.startswith("cuda") else (lr, hr)


@console.entry_point
def main() -> None:
    """Measure, print what was found, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=str(__doc__).splitlines()[0]
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rounds: about 2 minutes on two CPU cores")
    add("--json", type=Path, metavar="OUT", help="write the medians as JSON")
    add("--full-nih", action="store_true", help="also say what all of NIH ChestX-ray14 costs")
    what = "the predecessor's batch, and so HR megapixels a step (default: 1 on a CPU, 16 on a GPU)"
    add("--images", type=int, metavar="N", help=what)
    given = parser.parse_args()
    if given.images is not None and given.images < 1:
        parser.error(f"--images is {given.images}: must be at least 1")
    device = environment.device_name()
    effort = QUICK if given.quick else FULL
    images = given.images or (16 if device.startswith("cuda") else 1)
    params = load_params()
    content = load_content(params.train.adversarial.content)
    scale = params.downsample.scale
    with written(phantoms(effort.images), effort.copies, scale) as radiographs, fits(images):
        bench = Bench(params, device, images, content, radiographs)
        console.say("the loaders ...")
        loaders = measure_loaders(bench, effort)
        console.say("the steps ...")
        steps = measure_steps(bench, effort.rounds)
        found = figures(params.train, steps, loaders)
        print(f"\n{text(found)}\n")
        if given.full_nih:
            speed = spread(mixed(full_nih.pixels_by_stage(params.train), steps)).median
            rates = full_nih.measure_rates(
                radiographs.pngs[0], radiographs.packed.pair(0), params, device, speed
            )
            gpu = with_gpu(bench, rates) if rates.on_cpu else None
            print(f"{full_nih.text(rates, params, gpu)}\n")
    print(f"Median (quartiles). {cpu()}; steps on {device}.")
    if given.json:
        medians = {name: round(value.median, 4) for name, value in found.items()}
        write_json(given.json, {**medians, "cpu": cpu(), "device": device})


def measure_steps(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """Return HR megapixels a second of the predecessor's step and of ours, a number a round."""
    networks, whole = predecessor.build(bench.device), bench.whole()

    def theirs() -> None:
        predecessor.step(networks, *(each.to(bench.device, non_blocking=True) for each in whole))

    batch = bench.batch()
    pixels = whole[1][:, 0].numel() / 1e6
    cases: dict[str, Case] = {predecessor.NAME: timed(theirs, pixels, bench.device)}
    theirs()
    for stage in STAGES:
        step = our_step(bench, adversarial=stage == "adversarial")
        # Starts threads and makes the optimizers' state; a GPU takes its memory, too.
        step(batch if bench.device.startswith("cuda") else Batch(*(each[:2] for each in batch)))
        pixels = batch.hr.numel() / 1e6
        cases[stage] = timed(lambda step=step: step(batch), pixels, bench.device)  # type: ignore[misc]
    return in_turn(cases, rounds)


def our_step(bench: Bench, *, adversarial: bool) -> Callable[[Batch], None]:
    """Return one step of new networks: all that the loop does with a batch."""
    given, scale = bench.params.train, bench.params.downsample.scale
    precision = choose("auto", bench.device, given.adversarial.discriminator.name)
    hardware = Hardware(bench.device, precision=precision)
    state = pixel_stage(given, scale, hardware)
    if adversarial:
        state = adversarial_stage(given, scale, state.ema.network, hardware)
    objective = Objective(given.loss, given.adversarial.form, bench.content.to(bench.device))
    generator, clip = state.generator, given.gradient_clip
    generator.network.train()
    sums: dict[str, Tensor] = {}

    def step(batch: Batch) -> None:
        crops = on_device(batch, given.generator.channels, bench.device)
        if state.discriminator is None:
            found = pixel_step(generator, crops, objective, precision, clip)
        else:
            both = generator, state.discriminator
            found = adversarial_step(*both, crops, objective, precision, clip)
        state.ema.update(generator.network)
        for name, value in found.items():
            sums[name] = sums[name] + value if name in sums else value

    return step


def with_gpu(bench: Bench, rates: full_nih.Rates) -> full_nih.Rates:
    """Return this machine's rates with a GPU, computed from the operations of our steps."""
    batch = bench.batch()
    speeds = {}
    for stage in STAGES:
        step = our_step(bench, adversarial=stage == "adversarial")
        step(Batch(*(each[:2] for each in batch)))  # makes the optimizers' state
        seconds = roofline.seconds(lambda step=step: step(batch), full_nih.GPU)  # type: ignore[misc]
        speeds[stage] = [batch.hr.numel() / 1e6 / seconds]
    (train,) = mixed(full_nih.pixels_by_stage(bench.params.train), speeds)
    return full_nih.with_gpu(rates, train, bench.params)


def measure_loaders(bench: Bench, effort: Effort) -> dict[str, list[float]]:
    """Return whole images or crops a second of one core, a number a round."""
    side, seconds = bench.radiographs.side, effort.loader_seconds
    crops = bench.params.train.crops
    paths = itertools.cycle(bench.radiographs.pngs)
    # The plainest way: whole images, upright; a place and a symmetry come with crops.
    whole = crops.model_copy(update={"size": side, "turns": 0.0, "candidates": 1, "jitter": 0.0})
    rng = np.random.default_rng(0)
    rows = itertools.cycle(rng.choice(bench.radiographs.rows, 32).tolist())
    upright = Draw(0.0, 0.0, 0.0, 1.0, 0.0, (0.5, 0.5), 0.0, 1.0)
    source = bench.source(whole)

    def theirs() -> int:
        predecessor.read_item(next(paths))
        return 1

    def ours() -> int:
        read_crops(source, [next(rows)], [upright])
        return 1

    cases: dict[str, Case] = {
        predecessor.NAME: for_seconds(theirs, seconds),
        "whole": for_seconds(ours, seconds),
        "crops": _as_training(bench, crops.model_copy(update={"size": min(CROP, side)}), seconds),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs()
        ours()
        return in_turn(cases, effort.loader_rounds)
    finally:
        torch.set_num_threads(threads)


def _as_training(bench: Bench, crops: Crops, seconds: float) -> Case:
    """Return a case that begins an epoch as the loop does, with one thread for the crops."""
    epochs = itertools.count(1)
    # Enough for as long as a round lasts.
    per_image = -(-4096 * bench.params.train.batch_size // len(bench.radiographs.rows))
    source = bench.source(crops.model_copy(update={"per_image": per_image}))

    def run() -> float:
        with contextlib.closing(epoch_batches(source, next(epochs))) as batches:
            return for_seconds(lambda: len(next(batches).hr), seconds)()

    return run


def figures(
    settings: Train, steps: dict[str, list[float]], loaders: dict[str, list[float]]
) -> dict[str, Spread]:
    """Return what was found, by the names that the JSON has."""
    theirs = steps[predecessor.NAME]
    return {
        "train_step_ratio": ratios(mixed(full_nih.pixels_by_stage(settings), steps), theirs),
        **{f"{stage}_step_ratio": ratios(steps[stage], theirs) for stage in STAGES},
        "loader_ratio": ratios(loaders["whole"], loaders[predecessor.NAME]),
        "crops_per_second_per_core": spread(loaders["crops"]),
    }


def text(found: dict[str, Spread]) -> str:
    """Return what was found as a table."""
    words = {
        "train_step_ratio": "our step, mix of stages as in params.yaml (times the predecessor's)",
        "pixel_step_ratio": "our pixel step (times)",
        "adversarial_step_ratio": "our adversarial step (times; it does more than theirs)",
        "loader_ratio": "our loader, whole images (times)",
        "crops_per_second_per_core": f"our loader, crops of {CROP}x{CROP} as drawn (a second)",
    }
    rows = [[words[name], value.text(1)] for name, value in found.items()]
    return aligned_table(["what", "measured"], rows)


def phantoms(count: int) -> list[GreyImage]:
    """Return synthetic radiographs, `uint8 (1024, 1024)`: what a PNG costs depends on them."""
    return list(parallel(render, plan_cohort(count, 1, 0), what="phantoms"))


@contextlib.contextmanager
def written(images: Sequence[GreyImage], copies: int, scale: int) -> Iterator[Radiographs]:
    """Write images to a temporary folder and read them once, so that they lie in the page cache.

    Each is packed `copies` times, moved sideways: few images would be read from the processor's own
    caches, which no real data set fits in.
    """
    with tempfile.TemporaryDirectory(prefix="srpipe-benchmark-") as name:
        folder = Path(name)
        pngs = []
        for index, image in enumerate(images):
            pngs.append(folder / f"{index}.png")
            Image.fromarray(image).save(pngs[-1])
        write_packed(folder / "packed", _pairs(images, copies, scale), scale)
        for file in (HR, LR):
            with (folder / "packed" / file).open("rb") as stream:
                while stream.read(1 << 24):
                    pass
        yield Radiographs(pngs, open_packed(folder / "packed"))


def _pairs(images: Sequence[GreyImage], copies: int, scale: int) -> Iterator[Pair]:
    for copy in range(copies):
        for index, image in enumerate(images):
            hr = np.roll(image, copy * image.shape[1] // copies, axis=1)
            yield Pair(f"{index}_{copy}.png", str(index), "", hr, downsample(hr, scale))


@contextlib.contextmanager
def fits(images: int) -> Iterator[None]:
    """Turn a lack of GPU memory into a SettingsError that says what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SettingsError(
            f"the GPU's memory is too small for batches of {images} whole images: give --images "
            f"{max(1, images // 2)} ({str(error).splitlines()[0]})"
        ) from error


if __name__ == "__main__":
    main()
