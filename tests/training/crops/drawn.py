"""How tests of crops draw them, and where in the images they find them again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srpipe.data.packed import Packed, Pair, open_packed, write_packed
from srpipe.imaging.resample import downsample
from srpipe.settings.train import Crops
from srpipe.training.crops.batches import epoch_batches
from srpipe.training.crops.cutting import Batch, Draw, read_crops
from srpipe.training.crops.difficulty import Difficulty
from srpipe.training.crops.source import CropSource
from tests.training.small import settings

Grey = npt.NDArray[np.uint8]
ROWS = [0, 2, 4, 5]


@dataclass(frozen=True)
class Plan:
    """All of a source of crops but the images."""

    crops: Crops
    batch_size: int = 4
    seed: int = 3

    def but(self, **changes: Any) -> "Plan":
        """Return the plan with other values, of its own or of the settings of crops."""
        own = {name: changes.pop(name) for name in ("batch_size", "seed") if name in changes}
        # Checked as settings are.
        other = Crops.model_validate({**self.crops.model_dump(), **changes})
        return replace(self, crops=other, **own)

    def of(self, packed: Packed, rows: Sequence[int] = ROWS) -> CropSource:
        """Return the source of crops of these images."""
        return CropSource(packed, rows, self.crops, self.batch_size, self.seed, Difficulty(packed))


PLAN = Plan(settings().crops).but(per_image=8)
# Everything that can be asked of crops at once.
FULL = PLAN.but(candidates=4, shifts=True, turns=0.5, markers=0.5, jitter=0.5, margin=2)


def batches(packed: Packed, plan: Plan = PLAN, epoch: int = 1, **options: Any) -> list[Batch]:
    """Return the batches of an epoch."""
    return list(epoch_batches(plan.of(packed), epoch, **options))


def same(a: list[Batch], b: list[Batch]) -> bool:
    """Say whether two lists hold the same batches in the same order."""
    return len(a) == len(b) and all(
        torch.equal(one, other)
        for ours, theirs in zip(a, b, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    )


def cut(packed: Packed, row: int, draw: list[float], plan: Plan = PLAN) -> Batch:
    """Return the one crop of a row that a draw says."""
    return read_crops(plan.of(packed), [row], [Draw.of(draw, plan.crops)])


def pack(folder: Path, *images: Grey) -> Packed:
    """Return images, packed at 4x."""
    pairs = [
        Pair(f"{index}.png", f"p{index}", "", hr, downsample(hr, 4))
        for index, hr in enumerate(images)
    ]
    write_packed(folder / "p", pairs, 4)
    return open_packed(folder / "p")


def pixels(image: Tensor) -> Grey:
    """Return a crop `(1, H, W)` as an image."""
    return image[0].numpy()


def symmetries(image: Grey) -> list[Grey]:
    """Return the eight symmetries of an image."""
    turned = [np.rot90(image, turns) for turns in range(4)]
    return turned + [each[:, ::-1] for each in turned]


def places(lr: Grey, packed: Packed, row: int) -> list[tuple[int, int, int]]:
    """Return each (symmetry, top, left) at which `lr` lies in the LR image of a row."""
    whole = packed.lr(row)
    windows = np.lib.stride_tricks.sliding_window_view(whole, lr.shape)
    return [
        (index, int(top), int(left))
        for index, each in enumerate(symmetries(lr))
        for top, left in zip(*np.nonzero((windows == each).all(axis=(2, 3))), strict=True)
    ]
