"""How fast training data is read: ours against the predecessor's, on one core.

    python -m benchmarks.loading [--quick] [--json FILE] [--figure PNG] [--markdown]

Ours: `srpipe.crops`, which cuts bytes out of memory-mapped arrays. The predecessor's: the
`__getitem__` of its data set, which decodes a PNG and shrinks it, for every image in every epoch.
Everything lies in the page cache, both run in one thread. Ours stays bytes, which become float on
the device; one row does that in the loader, as the predecessor does.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch

from benchmarks import figures, predecessor
from benchmarks.material import Material, phantoms, written
from benchmarks.options import Effort, read_options
from benchmarks.tables import table
from benchmarks.turns import Contender, Speeds, Spread, for_seconds, in_turn, ratios, spread
from srpipe.core import console
from srpipe.core.files import write_json
from srpipe.data.packed import Packed
from srpipe.settings.params import load_params
from srpipe.settings.train import Train
from srpipe.training.crops.batches import (
    Batch,
    CropPlan,
    draws_per_crop,
    epoch_batches,
    plan_of,
    read_crops,
)
from srpipe.training.crops.difficulty import Difficulty

# Whole images are read one by one, as the predecessor does; and in batches, which leave the cache
# or, the largest, take fresh memory from the system each time.
WHOLE_BATCH = 1
WHOLE_BATCHES = (1, 8, 16, 64)
CROP = 256
# What we want at least: of `loader_ratio`, and of `crops_per_second_per_core`.
WANTED_RATIO = 200
WANTED_CROPS = 5000


@dataclass(frozen=True)
class Loading:
    """Images or crops a second of one core, a number a round, and how large the images were."""

    speeds: Speeds
    side: int
    crop: int
    batch: int
    default_crop: int

    @property
    def ratio(self) -> Spread:
        """Return how many times more whole images a second we read."""
        return self.over_predecessor(f"whole, {WHOLE_BATCH} a batch")

    @property
    def crops(self) -> Spread:
        """Return turned crops a second of one core, as training draws them."""
        return spread(self.speeds["crops, as training draws them"])

    def over_predecessor(self, name: str) -> Spread:
        """Return how many times more a contender reads than the predecessor."""
        return ratios(self.speeds[name], self.speeds[predecessor.NAME])


def measure(material: Material, settings: Train, effort: Effort) -> Loading:
    """Measure all loaders in turn, in one thread.

    Args:
        material: images.
        settings: whose batch and crop size is measured too.
        effort: rounds and seconds.
    """
    packed, batch, side = material.packed, settings.batch_size, material.side
    crop = min(CROP, side)
    draws = _Draws(len(material.rows))
    contenders: dict[str, Callable[[], int]] = {predecessor.NAME: _predecessor(material)}
    for count in WHOLE_BATCHES:
        contenders[f"whole, {count} a batch"] = draws.reads(packed, count, side, turned=False)
    contenders |= {
        "whole, to float": draws.reads(packed, WHOLE_BATCH, side, turned=False, to_float=True),
        "whole, turned": draws.reads(packed, WHOLE_BATCH, side, turned=True),
        "crops": draws.reads(packed, batch, crop, turned=False),
        "crops, turned": draws.reads(packed, batch, crop, turned=True),
    }
    seconds = effort.loading_seconds
    timed = {name: for_seconds(work, seconds) for name, work in contenders.items()}
    for name, side_of_crop in (
        ("crops, as training draws them", crop),
        ("default crops, as training draws them", settings.crop),
    ):
        timed[name] = _as_training(material, settings, side_of_crop, seconds)
    with one_thread():
        for warm in contenders.values():
            warm()
        return Loading(in_turn(timed, effort.loading_rounds), side, crop, batch, settings.crop)


@dataclass(frozen=True)
class _Draws:
    """Random rows and draws, made before they are needed."""

    rows: int

    def reads(
        self, packed: Packed, count: int, crop: int, *, turned: bool, to_float: bool = False
    ) -> Callable[[], int]:
        """Return a function that reads a batch of `count` crops."""
        rng = np.random.default_rng(0)
        # The plainest way: one place a crop, on the grid; only the symmetry is an option.
        plan, hard = CropPlan(crop, count, 1, 0, turns=float(turned)), Difficulty(packed)
        rows = cycle([rng.integers(0, self.rows, count) for _ in range(32)])
        draws = cycle([rng.random((count, draws_per_crop(plan))) for _ in range(32)])

        def read() -> int:
            batch = read_crops(packed, next(rows), next(draws), plan, hard)
            if to_float:
                Batch(*(each.float().div_(255) for each in batch))
            return count

        return read


def _predecessor(material: Material) -> Callable[[], int]:
    paths = cycle(material.pngs)

    def read() -> int:
        predecessor.read_item(next(paths))
        return 1

    return read


def _as_training(material: Material, settings: Train, crop: int, seconds: float) -> Contender:
    """Return a contender that begins an epoch as the loop does, with one thread for the crops."""
    epochs = cycle(range(1, 1000))
    # Enough for as long as a round lasts.
    crops_per_image = -(-4096 * settings.batch_size // len(material.rows))
    plan = dataclasses.replace(plan_of(settings), crop=crop, crops_per_image=crops_per_image)

    def run() -> float:
        with contextlib.closing(
            epoch_batches(material.packed, material.rows, plan, next(epochs))
        ) as batches:
            return for_seconds(lambda: len(next(batches).hr), seconds)()

    return run


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread for the time of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def as_json(loading: Loading) -> dict[str, Any]:
    """Return the medians by name, and their quartiles."""
    named = {
        "loader_ratio": loading.ratio,
        "loader_ratio_turned": loading.over_predecessor("whole, turned"),
        "loader_ratio_to_float": loading.over_predecessor("whole, to float"),
        "crops_per_second_per_core": loading.crops,
        "default_crops_per_second_per_core": spread(
            loading.speeds["default crops, as training draws them"]
        ),
        "predecessor_images_per_second_per_core": spread(loading.speeds[predecessor.NAME]),
    }
    return {
        **{name: round(value.median, 4) for name, value in named.items()},
        "quartiles": {
            name: [round(value.low, 4), round(value.high, 4)] for name, value in named.items()
        },
        "loading_rounds": len(loading.speeds[predecessor.NAME]),
    }


def text(loading: Loading) -> str:
    """Return what was measured as a table."""
    side, crop, small = loading.side, loading.crop, loading.default_crop
    explained = {
        predecessor.NAME: f"predecessor: PNG to float, whole {side}x{side}",
        **{
            f"whole, {count} a batch": f"ours, whole {side}x{side}, {count} a batch"
            for count in WHOLE_BATCHES
        },
        "whole, to float": f"ours, whole, {WHOLE_BATCH} a batch, to float",
        "whole, turned": f"ours, whole, {WHOLE_BATCH} a batch, flipped and turned",
        "crops": f"ours, crops of {crop}x{crop}, {loading.batch} a batch",
        "crops, turned": f"ours, crops of {crop}x{crop}, flipped and turned",
        "crops, as training draws them": f"ours, the same, by epoch_batches, {crop}x{crop}",
        "default crops, as training draws them": f"ours, the same, {small}x{small}",
    }
    rows = [
        [
            words,
            spread(loading.speeds[name]).text(0),
            "" if name == predecessor.NAME else loading.over_predecessor(name).text(0),
        ]
        for name, words in explained.items()
    ]
    return table(["one core, from the page cache", "a second", "times the predecessor"], rows)


def panels(loading: Loading) -> list[figures.Bars | figures.Floors]:
    """Return the panels of the figure."""
    whole = [name for name in loading.speeds if name.startswith("whole")]
    crops = [name for name in loading.speeds if "crops" in name]
    return [
        figures.Bars(
            f"Whole {loading.side}x{loading.side} images, one core",
            "times as fast as the predecessor's loader",
            {name: loading.over_predecessor(name) for name in whole},
            WANTED_RATIO,
        ),
        figures.Bars(
            f"Crops, one core ({loading.crop}x{loading.crop}; default {loading.default_crop})",
            "crops a second",
            {name: spread(loading.speeds[name]) for name in crops},
            WANTED_CROPS,
        ),
    ]


@console.entry_point
def main() -> None:
    """Measure, and tell it as the options say."""
    options = read_options(str(__doc__).splitlines()[0], training=False)
    params = load_params()
    effort = options.effort
    with written(phantoms(effort.images), effort.copies, params.downsample.scale) as material:
        loading = measure(material, params.train, effort)
    print(text(loading))
    if not options.markdown:
        console.say(f"loader_ratio {loading.ratio.text(0)}: median (quartiles) over the rounds")
        console.say(f"crops_per_second_per_core {loading.crops.text(0)}")
    if options.json:
        write_json(options.json, as_json(loading))
    if options.figure:
        figures.draw(options.figure, panels(loading))


if __name__ == "__main__":
    main()
