"""Training batches: aligned random crops of HR and LR out of the packed arrays.

LR crops are cut from the LR of the whole image, so that they have no borders of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srpipe.errors import DataError
from srpipe.packed import Packed


@dataclass(frozen=True)
class CropPlan:
    """What an epoch draws: `crops_per_image` crops of each image, in batches.

    `crop` is the side in HR pixels, a multiple of the scale. The same seed and epoch give the same
    crops, whatever was drawn before.
    """

    crop: int
    batch_size: int
    crops_per_image: int
    seed: int


def check_sizes(packed: Packed, rows: list[int], crop: int) -> None:
    """Refuse images that are smaller than a crop.

    Raises:
        DataError: an image is too small.
    """
    sizes = packed.manifest.iloc[rows]
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
    packed: Packed, rows: list[int], plan: CropPlan, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `(lr, hr)`: float32 `(N, 1, crop/scale, crop/scale)` and `(N, 1, crop, crop)`, [0, 1].

    Every crop is flipped and turned at random (the eight symmetries of the square).
    """
    rng = np.random.default_rng([plan.seed, epoch])
    order = rng.permutation(np.repeat(rows, plan.crops_per_image))
    for index in range(batches_per_epoch(len(rows), plan)):
        chosen = order[index * plan.batch_size : (index + 1) * plan.batch_size]
        pairs = [_crop(packed, int(row), plan.crop, rng) for row in chosen]
        yield _stack([lr for lr, _ in pairs]), _stack([hr for _, hr in pairs])


def _crop(
    packed: Packed, row: int, crop: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    scale = packed.scale
    lr, hr = packed.lr(row), packed.hr(row)
    side = crop // scale
    top = int(rng.integers(lr.shape[0] - side + 1))
    left = int(rng.integers(lr.shape[1] - side + 1))
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    lr = lr[top : top + side, left : left + side]
    hr = hr[top * scale : top * scale + crop, left * scale : left * scale + crop]
    return _turn(lr, turns, flip), _turn(hr, turns, flip)


def _turn(image: npt.NDArray[np.uint8], turns: int, flip: bool) -> npt.NDArray[np.uint8]:
    image = np.rot90(image, turns)
    return image[:, ::-1] if flip else image


def _stack(images: list[npt.NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(images)).unsqueeze(1).float().div_(255)
