"""HR and LR crops show the same place, and seed and epoch alone say which."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from srpipe.crops import CropPlan, batches_per_epoch, check_sizes, epoch_batches
from srpipe.errors import DataError
from srpipe.packed import Packed, Pair, open_packed, write_packed
from srpipe.resample import downsample

Grey = npt.NDArray[np.uint8]
ROWS = [0, 2, 4, 5]
PLAN = CropPlan(crop=32, batch_size=4, crops_per_image=8, seed=3)


def batches(packed: Packed, plan: CropPlan = PLAN, epoch: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of an epoch."""
    return list(epoch_batches(packed, ROWS, plan, epoch))


def pixels(image: Tensor) -> Grey:
    """Return a float crop `(1, H, W)` as the bytes that it was made from."""
    grey = image[0].mul(255).round().byte()
    assert torch.equal(grey.float().div(255), image[0])
    return grey.numpy()


def symmetries(image: Grey) -> list[Grey]:
    """Return the eight symmetries of an image."""
    turned = [np.rot90(image, turns) for turns in range(4)]
    return turned + [each[:, ::-1] for each in turned]


def found(lr: Grey, packed: Packed, row: int) -> list[tuple[int, int, int]]:
    """Return each (symmetry, top, left) at which `lr` lies in the LR image of a row."""
    whole = packed.lr(row)
    windows = np.lib.stride_tricks.sliding_window_view(whole, lr.shape)
    return [
        (index, int(top), int(left))
        for index, each in enumerate(symmetries(lr))
        for top, left in zip(*np.nonzero((windows == each).all(axis=(2, 3))), strict=True)
    ]


def test_batches_are_floats_in_unit_range(packed: Packed) -> None:
    """The shapes, the type and the range are as promised."""
    for lr, hr in batches(packed):
        assert (lr.shape, hr.shape) == ((4, 1, 8, 8), (4, 1, 32, 32))
        assert lr.dtype == hr.dtype == torch.float32
        assert min(lr.min(), hr.min()) >= 0
        assert max(lr.max(), hr.max()) <= 1
        assert hr.max() > 0.5


def test_lr_and_hr_crops_show_the_same_place(packed: Packed) -> None:
    """An LR crop lies in the packed LR image, its HR crop at the aligned place, turned alike.

    All eight symmetries occur, and each image gives its share of the crops.
    """
    images: Counter[int] = Counter()
    turns: Counter[int] = Counter()
    for lr_batch, hr_batch in batches(packed):
        for lr, hr in zip(map(pixels, lr_batch), map(pixels, hr_batch), strict=True):
            places = [(row, *place) for row in ROWS for place in found(lr, packed, row)]
            assert len(places) == 1
            row, symmetry, top, left = places[0]
            upright = symmetries(hr)[symmetry]
            assert np.array_equal(
                upright, packed.hr(row)[4 * top : 4 * top + 32, 4 * left : 4 * left + 32]
            )
            images[row] += 1
            turns[symmetry] += 1
    assert images == dict.fromkeys(ROWS, PLAN.crops_per_image)
    assert set(turns) == set(range(8))


def test_lr_crops_resemble_downsampled_hr_crops(packed: Packed) -> None:
    """Away from the crop's border, downsampling the HR crop gives the LR crop."""
    for lr_batch, hr_batch in batches(packed):
        for lr, hr in zip(map(pixels, lr_batch), map(pixels, hr_batch), strict=True):
            difference = np.abs(downsample(hr, 4).astype(int) - lr)
            assert difference[2:-2, 2:-2].max() <= 1


def test_seed_and_epoch_give_the_batches(packed: Packed) -> None:
    """The same seed and epoch repeat, whatever was drawn in between."""
    first = batches(packed)
    batches(packed, epoch=2)
    np.random.default_rng().random(5)
    for (lr, hr), (lr_again, hr_again) in zip(first, batches(packed), strict=True):
        assert torch.equal(lr, lr_again)
        assert torch.equal(hr, hr_again)


@pytest.mark.parametrize(("seed", "epoch"), [(3, 2), (4, 1)])
def test_another_seed_or_epoch_draws_anew(packed: Packed, seed: int, epoch: int) -> None:
    """No crop of the first batch comes again in the other's first batch."""
    plan = CropPlan(crop=32, batch_size=4, crops_per_image=8, seed=seed)
    ours, theirs = batches(packed)[0][1], batches(packed, plan, epoch)[0][1]
    assert not any(torch.equal(a, b) for a in ours for b in theirs)


def test_only_the_rows_given_are_drawn(packed: Packed) -> None:
    """A crop never comes from an image of another subset."""
    for lr_batch, _ in epoch_batches(packed, [1], PLAN, 1):
        for lr in map(pixels, lr_batch):
            assert found(lr, packed, 1)


def test_every_place_can_be_drawn(tmp_path: Path) -> None:
    """An image one LR pixel larger than the crop gives all four places, the last ones too."""
    hr = np.random.default_rng(0).integers(0, 256, (36, 36), dtype=np.uint8)
    write_packed(tmp_path / "p", [Pair("a", "1", "", hr, downsample(hr, 4))], 4)
    packed = open_packed(tmp_path / "p")
    plan = CropPlan(crop=32, batch_size=40, crops_per_image=40, seed=0)
    ((lr, _),) = epoch_batches(packed, [0], plan, 1)
    places = {found(pixels(each), packed, 0)[0][1:] for each in lr}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("images", "crops", "batch", "expected"), [(10, 1, 4, 2), (3, 4, 4, 3), (1, 2, 2, 1)]
)
def test_an_epoch_has_whole_batches(images: int, crops: int, batch: int, expected: int) -> None:
    """What does not fill a batch is left out."""
    plan = CropPlan(crop=32, batch_size=batch, crops_per_image=crops, seed=0)
    assert batches_per_epoch(images, plan) == expected


def test_less_than_a_batch_is_refused() -> None:
    """The message says which settings to change."""
    plan = CropPlan(crop=32, batch_size=16, crops_per_image=5, seed=0)
    with pytest.raises(DataError, match=r"3 training images with 5 crops each.*batch of 16"):
        batches_per_epoch(3, plan)


def test_images_smaller_than_the_crop_are_refused(packed: Packed) -> None:
    """They are counted, the first is named with its size; images of just the size pass."""
    check_sizes(packed, ROWS, 64)
    with pytest.raises(DataError, match=r"2 training image\(s\).*80 px.*0\.png \(64x96\)"):
        check_sizes(packed, ROWS, 80)
