"""Training batches: aligned random crops of HR and LR out of the packed arrays.

LR crops are cut from the LR of the whole image, so that they have no borders of their own.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srpipe.errors import DataError
from srpipe.packed import Packed

# Batches made ahead by each thread.
AHEAD = 2
# Columns that are copied at a time where a crop is transposed.
STRIP = 32


class Batch(NamedTuple):
    """Crops as they lie in the files: `uint8 (N, 1, side, side)`, `side` of LR is crop/scale."""

    lr: Tensor
    hr: Tensor


@dataclass(frozen=True)
class CropPlan:
    """What an epoch draws: `crops_per_image` crops of each image, in batches.

    `crop` is the side in HR pixels, a multiple of the scale.
    """

    crop: int
    batch_size: int
    crops_per_image: int
    seed: int


def check_sizes(packed: Packed, rows: Sequence[int], crop: int) -> None:
    """Refuse images that are smaller than a crop.

    Raises:
        DataError: an image is too small.
    """
    sizes = packed.manifest.iloc[list(rows)]
    small = sizes[sizes[["height", "width"]].min(axis=1) < crop]
    if len(small):
        first = small.iloc[0]
        raise DataError(
            f"{len(small)} training image(s) are smaller than the crop of {crop} px, the first is "
            f"{first['image']} ({first['height']}x{first['width']}): set train.crop lower, or "
            "remove them"
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
            f"of {plan.batch_size}: raise train.crops_per_image or lower train.batch_size"
        )
    return count


def epoch_batches(
    packed: Packed,
    rows: Sequence[int],
    plan: CropPlan,
    epoch: int,
    *,
    first_step: int = 0,
    part: int = 0,
    parts: int = 1,
    threads: int = 1,
    pinned: bool = False,
) -> Generator[Batch]:
    """Yield the epoch's batches in order, made by threads ahead of their use.

    Every crop is flipped and turned at random (the eight symmetries of the square). What a step
    draws depends on the plan's seed, the epoch and the step alone: a resumed epoch goes on with the
    same crops, and the parts of several processes make up the batch that one process would see.

    Args:
        packed: the images.
        rows: manifest rows to draw from.
        plan: what to draw.
        epoch: number of the epoch.
        first_step: steps of this epoch that are done already.
        part: which part of each batch to yield, of `parts` equal ones.
        parts: number of parts, a divisor of the batch size.
        threads: threads that make batches.
        pinned: put them in page-locked memory, from where a GPU fetches them while it computes.
    """
    order = np.random.default_rng([plan.seed, epoch]).permutation(
        np.repeat(rows, plan.crops_per_image)
    )

    def make(step: int) -> Batch:
        chosen = order[step * plan.batch_size : (step + 1) * plan.batch_size]
        # From 1: NumPy takes a 0 at the end for nothing, and that is the order's own stream.
        draws = np.random.default_rng([plan.seed, epoch, step + 1]).random((plan.batch_size, 4))
        return read_crops(packed, chosen[part::parts], draws[part::parts], plan.crop, pinned)

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


def read_crops(
    packed: Packed,
    rows: npt.NDArray[np.integer],
    draws: npt.NDArray[np.float64],
    crop: int,
    pinned: bool = False,
) -> Batch:
    """Cut one crop of each row, at the place and in the symmetry that its draws say.

    Args:
        packed: the images.
        rows: N manifest rows.
        draws: `(N, 4)` in [0, 1): top, left, and two that choose the symmetry.
        crop: side in HR pixels.
        pinned: put the result in page-locked memory.
    """
    scale, side = packed.scale, crop // packed.scale
    count = len(rows)
    lr = torch.empty((count, 1, side, side), dtype=torch.uint8, pin_memory=pinned)
    hr = torch.empty((count, 1, crop, crop), dtype=torch.uint8, pin_memory=pinned)
    lr_out, hr_out = lr.numpy(), hr.numpy()
    # Plain numbers: NumPy's own are slow to reckon with one by one.
    for index, (row, draw) in enumerate(zip(rows.tolist(), draws.tolist(), strict=True)):
        top, left, turn, flip = draw
        lr_image, hr_image = packed.lr(row), packed.hr(row)
        height, width = lr_image.shape
        y, x = int(top * (height - side + 1)), int(left * (width - side + 1))
        symmetry = int(turn * 4), flip < 0.5
        _place(lr_out[index, 0], lr_image[y : y + side, x : x + side], *symmetry)
        y, x = y * scale, x * scale
        _place(hr_out[index, 0], hr_image[y : y + crop, x : x + crop], *symmetry)
    return Batch(lr, hr)


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
