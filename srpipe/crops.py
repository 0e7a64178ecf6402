"""Training batches: random crops of HR and LR out of the packed arrays.

An LR crop is what the LR of the whole image holds there (or would hold, where the crop is shifted,
drawn on or jittered): no crop has a border of its own in its pixels. But the network sees zeros
beyond a crop's edges, as it does beyond an image's. So that it learns what lies at the edges of
images (many radiographs have a frame there), crops lie there far more often than by an even draw;
at all other edges a margin may be left out of the loss.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from srpipe.difficulty import Difficulty
from srpipe.errors import DataError, SettingsError
from srpipe.jitter import jitter
from srpipe.overlays import with_overlay
from srpipe.packed import Packed
from srpipe.resample import BICUBIC, GreyImage
from srpipe.settings import Train

# Batches made ahead by each thread.
AHEAD = 2
# Columns that are copied at a time where a crop is transposed.
STRIP = 32


class Batch(NamedTuple):
    """Crops as they lie in the files: `uint8 (N, 1, side, side)`, `side` of LR is crop/scale.

    `hidden` is `uint8 (N, 4)`: so many LR pixels at the top, bottom, left and right do not count,
    0 where the edge is the image's. (A crop that jitter widens up to an edge keeps its margin.)
    """

    lr: Tensor
    hr: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class CropPlan:
    """What an epoch draws: `crops_per_image` crops of each image, in batches.

    `crop` is the side in HR pixels, a multiple of the scale. Of `candidates` places drawn for a
    crop, one is taken, with a chance in proportion to bicubic's error there. `shifts`: at any HR
    pixel, with an LR crop made for it, so that a letter meets the LR grid in every way; else at
    multiples of the scale. `turns`: so large a share is shown in any of the eight symmetries of the
    square, the rest upright. `markers`: into so large a share letters, a badge or a frame are
    drawn (`overlays`). `jitter`: so large a share is stretched and given another gamma (`jitter`).
    `margin`: so many LR pixels do not count at edges that are not the image's. `key`: what stands
    before "crop" in the names of the settings.
    """

    crop: int
    batch_size: int
    crops_per_image: int
    seed: int
    candidates: int = 1
    shifts: bool = False
    turns: float = 1.0
    markers: float = 0.0
    jitter: float = 0.0
    margin: int = 0
    key: str = ""


def plan_of(settings: Train, *, adversarial: bool = False) -> CropPlan:
    """Return what the settings say that a pixel epoch, or an adversarial one, draws."""
    return CropPlan(
        settings.adversarial_crop if adversarial else settings.crop,
        settings.batch_size,
        settings.adversarial_crops_per_image if adversarial else settings.crops_per_image,
        settings.seed,
        candidates=settings.crop_candidates,
        shifts=settings.crop_shifts,
        turns=settings.crop_turns,
        markers=settings.crop_markers,
        jitter=settings.crop_jitter,
        margin=settings.crop_margin,
        key="adversarial_" if adversarial else "",
    )


def check_sizes(packed: Packed, rows: Sequence[int], plan: CropPlan) -> None:
    """Refuse images that are smaller than a crop, and crops of which nothing would count.

    Raises:
        DataError: an image is too small.
        SettingsError: the margin leaves nothing.
    """
    sizes = packed.manifest.iloc[list(rows)]
    small = sizes[sizes[["height", "width"]].min(axis=1) < plan.crop]
    if len(small):
        first = small.iloc[0]
        raise DataError(
            f"{len(small)} training image(s) are smaller than the crop of {plan.crop} px, the "
            f"first is {first['image']} ({first['height']}x{first['width']}): set "
            f"train.{plan.key}crop lower, or remove them"
        )
    if 2 * plan.margin * packed.scale >= plan.crop:
        raise SettingsError(
            f"train.crop_margin is {plan.margin} LR pixels, which leaves nothing of a crop of "
            f"{plan.crop} HR pixels at {packed.scale}x: set it below "
            f"{plan.crop // packed.scale / 2:g}, or train.{plan.key}crop higher"
        )


def batches_per_epoch(images: int, plan: CropPlan) -> int:
    """Return the number of whole batches in an epoch.

    Raises:
        DataError: there is not enough for one batch.
    """
    count = images * plan.crops_per_image // plan.batch_size
    if count < 1:
        raise DataError(
            f"{images} training images with {plan.crops_per_image} crops each do not fill a batch "
            f"of {plan.batch_size}: raise train.{plan.key}crops_per_image or lower train.batch_size"
        )
    return count


def epoch_batches(
    packed: Packed,
    rows: Sequence[int],
    plan: CropPlan,
    epoch: int,
    *,
    difficulty: Difficulty | None = None,
    first_step: int = 0,
    part: int = 0,
    parts: int = 1,
    threads: int = 1,
    pinned: bool = False,
) -> Generator[Batch]:
    """Yield the epoch's batches in order, made by threads ahead of their use.

    What a step draws depends on the plan's seed, the epoch and the step alone: a resumed epoch goes
    on with the same crops, and the parts of several processes make up the batch that one process
    would see.

    Args:
        packed: the images.
        rows: manifest rows to draw from.
        plan: what to draw.
        epoch: number of the epoch.
        difficulty: where the images are hard, kept from epoch to epoch; None: found anew.
        first_step: steps of this epoch that are done already.
        part: which part of each batch to yield, of `parts` equal ones.
        parts: number of parts, a divisor of the batch size.
        threads: threads that make batches.
        pinned: put them in page-locked memory, from where a GPU fetches them while it computes.
    """
    order = np.random.default_rng([plan.seed, epoch]).permutation(
        np.repeat(rows, plan.crops_per_image)
    )
    known = difficulty or Difficulty(packed)

    def make(step: int) -> Batch:
        chosen = order[step * plan.batch_size : (step + 1) * plan.batch_size]
        # From 1: NumPy takes a 0 at the end for nothing, and that is the order's own stream.
        draws = np.random.default_rng([plan.seed, epoch, step + 1]).random(
            (plan.batch_size, draws_per_crop(plan))
        )
        return read_crops(packed, chosen[part::parts], draws[part::parts], plan, known, pinned)

    steps = range(first_step, batches_per_epoch(len(rows), plan))
    with ThreadPoolExecutor(threads, thread_name_prefix="crops") as pool:
        under_way: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                under_way.append(pool.submit(make, step))
                if len(under_way) > threads * AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def draws_per_crop(plan: CropPlan) -> int:
    """Return how many random numbers a crop takes.

    Two for its symmetry, one to choose among the candidates, two for markers, and two for the place
    of each candidate; with jitter two more. Those are not drawn without it, so that other plans
    draw what they always drew.
    """
    return 5 + 2 * plan.candidates + (2 if plan.jitter else 0)


def read_crops(
    packed: Packed,
    rows: npt.NDArray[np.integer],
    draws: npt.NDArray[np.float64],
    plan: CropPlan,
    difficulty: Difficulty,
    pinned: bool = False,
) -> Batch:
    """Cut one crop of each row, at the place and in the symmetry that its draws say.

    Args:
        packed: the images.
        rows: N manifest rows.
        draws: `(N, draws_per_crop(plan))` in [0, 1): two that choose the symmetry, one that chooses
            the candidate, whether there are markers and which, then top and left of each candidate,
            and with jitter how and whether the crop is jittered.
        plan: what to cut; its batch size is not looked at.
        difficulty: where the images are hard; not looked at for one candidate.
        pinned: put the result in page-locked memory.
    """
    scale, crop = packed.scale, plan.crop
    side, count = crop // scale, len(rows)
    lr = torch.empty((count, 1, side, side), dtype=torch.uint8, pin_memory=pinned)
    hr = torch.empty((count, 1, crop, crop), dtype=torch.uint8, pin_memory=pinned)
    hidden = torch.empty((count, 4), dtype=torch.uint8, pin_memory=pinned)
    lr_out, hr_out, hidden_out = lr.numpy(), hr.numpy(), hidden.numpy()
    # Plain numbers: NumPy's own are slow to reckon with one by one.
    for index, (row, draw) in enumerate(zip(rows.tolist(), draws.tolist(), strict=True)):
        turn, flip, choice, marked, which, *places = draw
        how, jittered = 0.0, False
        if plan.jitter:
            *places, how, chance = places
            jittered = chance < plan.jitter
        hr_image = packed.hr(row)
        height, width = hr_image.shape
        step = 1 if plan.shifts else scale
        corners = [
            (_position(top, height, crop, step), _position(left, width, crop, step))
            for top, left in zip(places[::2], places[1::2], strict=True)
        ]
        y, x = corners[0]
        if len(corners) > 1:
            y, x = corners[difficulty.choose(row, corners, crop, choice)]
        symmetry = (0, False)
        if turn < plan.turns:
            symmetry = int(turn / plan.turns * 4), flip < 0.5
        seed = int(which * 2**53) if marked < plan.markers else None
        if jittered:
            around, top, left = jitter(hr_image, y, x, crop, 2 * scale, int(how * 2**53))
            small, large = _made(around, top, left, crop, scale, seed)
        elif seed is not None or plan.shifts:
            small, large = _made(hr_image, y, x, crop, scale, seed)
        else:
            large = hr_image[y : y + crop, x : x + crop]
            small = packed.lr(row)[y // scale :, x // scale :][:side, :side]
        _place(lr_out[index, 0], small, *symmetry)
        _place(hr_out[index, 0], large, *symmetry)
        # Of the place before any jitter, which leaves crops at the edges where they are.
        edges = (y == 0, y + crop == height, x == 0, x + crop == width)
        hidden_out[index] = _turned([0 if edge else plan.margin for edge in edges], *symmetry)
    return Batch(lr, hr, hidden)


def _position(draw: float, length: int, crop: int, step: int) -> int:
    """Return where a crop begins, a multiple of `step` in [0, length - crop].

    Drawn from as much more as half a crop on either side, and moved back into the image: pixels at
    its edges would otherwise hardly ever be seen.
    """
    room, beyond = (length - crop) // step, crop // 2 // step
    return min(max(int(draw * (room + 1 + 2 * beyond)) - beyond, 0), room) * step


def _made(
    hr: GreyImage, y: int, x: int, crop: int, scale: int, seed: int | None
) -> tuple[GreyImage, GreyImage]:
    """Return LR and HR of a crop, with markers of a seed unless that is None.

    LR is what the whole image's would hold, were its grid to begin at the crop's corner.
    """
    reach = 2 * scale  # of the bicubic kernel, which widens by the scale
    top, left = max(y - reach, 0), max(x - reach, 0)
    around = np.ascontiguousarray(hr[top : y + crop + reach, left : x + crop + reach])
    if seed is not None:
        around = with_overlay(around, np.random.default_rng(seed))
    y, x, side = y - top, x - left, crop // scale
    box = (x, y, x + crop, y + crop)
    small = np.asarray(Image.fromarray(around).resize((side, side), BICUBIC, box))
    return small, around[y : y + crop, x : x + crop]


def _turned(edges: list[int], symmetry: int, flip: bool) -> list[int]:
    """Return top, bottom, left and right after a symmetry, as `_place` applies it."""
    top, bottom, left, right = edges
    if symmetry & 2:
        top, bottom = bottom, top
    if flip:
        left, right = right, left
    return [left, right, top, bottom] if symmetry & 1 else [top, bottom, left, right]


def _place(
    out: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8], symmetry: int, flip: bool
) -> None:
    """Copy a square into the batch in one of its eight symmetries: one copy in all."""
    if symmetry & 2:
        image = image[::-1]
    if flip:
        image = image[:, ::-1]
    if not symmetry & 1:
        out[...] = image
        return
    turned = image.T
    # In strips, so that what is read across stays in the processor's cache.
    for left in range(0, turned.shape[1], STRIP):
        out[:, left : left + STRIP] = turned[:, left : left + STRIP]
