"""HR and LR crops show the same place, and seed, epoch and step alone say which."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from srpipe import crops
from srpipe.crops import Batch, CropPlan, batches_per_epoch, check_sizes, epoch_batches, read_crops
from srpipe.errors import DataError
from srpipe.packed import Packed, Pair, open_packed, write_packed
from srpipe.resample import downsample

Grey = npt.NDArray[np.uint8]
ROWS = [0, 2, 4, 5]
PLAN = CropPlan(crop=32, batch_size=4, crops_per_image=8, seed=3)


def batches(packed: Packed, plan: CropPlan = PLAN, epoch: int = 1, **options: Any) -> list[Batch]:
    """Return the batches of an epoch."""
    return list(epoch_batches(packed, ROWS, plan, epoch, **options))


def same(a: list[Batch], b: list[Batch]) -> bool:
    """Say whether two lists hold the same batches in the same order."""
    return len(a) == len(b) and all(
        torch.equal(one, other)
        for ours, theirs in zip(a, b, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    )


def pixels(image: Tensor) -> Grey:
    """Return a crop `(1, H, W)` as an image."""
    return image[0].numpy()


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


def test_batches_are_bytes(packed: Packed) -> None:
    """The shapes and the type are as promised: a quarter of what float32 sends to a GPU."""
    found = batches(packed)
    assert len(found) == len(ROWS) * PLAN.crops_per_image // PLAN.batch_size
    for batch in found:
        assert (batch.lr.shape, batch.hr.shape) == ((4, 1, 8, 8), (4, 1, 32, 32))
        assert batch.lr.dtype == batch.hr.dtype == torch.uint8
        assert batch.lr.is_contiguous()
        assert batch.hr.is_contiguous()


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


@pytest.mark.parametrize("symmetry", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_draws_say_place_and_symmetry(packed: Packed, symmetry: int, flip: bool) -> None:
    """Each of the eight symmetries, at a place that is neither a corner nor a multiple of 4 in LR.

    LR is 24x16 in row 1: a crop of 8 has 17 places down and 9 across.
    """
    draw = [5.5 / 17, 3.5 / 9, (symmetry + 0.5) / 4, 0.25 if flip else 0.75]
    lr, hr = read_crops(packed, np.array([1]), np.array([draw]), 32)
    for crop, whole, place in (
        (lr, packed.lr(1), np.s_[5:13, 3:11]),
        (hr, packed.hr(1), np.s_[20:52, 12:44]),
    ):
        expected = whole[place]
        if symmetry in (2, 3):
            expected = np.flipud(expected)
        if flip:
            expected = np.fliplr(expected)
        if symmetry in (1, 3):
            expected = expected.T
        assert np.array_equal(pixels(crop[0]), expected)


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
    assert same(batches(packed), first)


@pytest.mark.parametrize("first_step", [1, 5, 7, 8])
def test_a_resumed_epoch_goes_on_with_the_same_crops(packed: Packed, first_step: int) -> None:
    """From any step on, the batches are those of the whole epoch; after the last there is none."""
    assert same(batches(packed, first_step=first_step), batches(packed)[first_step:])


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_processes_make_up_the_whole_batch(packed: Packed, parts: int) -> None:
    """Part r of P holds the crops r, r + P, ... of each batch, resumed or not."""
    whole = batches(packed)[3:]
    for part in range(parts):
        found = batches(packed, first_step=3, part=part, parts=parts)
        wanted = [Batch(lr[part::parts], hr[part::parts]) for lr, hr in whole]
        assert same(found, wanted)
        assert len(found[0].lr) == PLAN.batch_size // parts


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_the_order(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Also where early batches take longest, and with more threads than batches to make."""
    wanted = batches(packed)
    made: list[int] = []

    def slow_first(*arguments: Any) -> Batch:
        made.append(len(made))
        time.sleep(0.02 if made[-1] % 2 == 0 else 0)
        return read_crops(*arguments)

    monkeypatch.setattr(crops, "read_crops", slow_first)
    assert same(batches(packed, threads=threads), wanted)


def crop_threads() -> list[str]:
    """Return the names of the threads that make batches now."""
    return [each.name for each in threading.enumerate() if each.name.startswith("crops")]


def test_an_epoch_that_is_broken_off_stops_its_threads(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a loss is no number: no thread lives on, and no batch is begun that nobody waits for.

    The second batch is under way meanwhile; of those that were to follow none is made.
    """
    made: list[int] = []

    def slow_but_the_first(*arguments: Any) -> Batch:
        made.append(1)
        time.sleep(0.2 if len(made) > 1 else 0)
        return read_crops(*arguments)

    def break_off(epoch: Iterator[Batch]) -> None:
        next(epoch)
        assert crop_threads() != []
        raise KeyboardInterrupt

    monkeypatch.setattr(crops, "read_crops", slow_but_the_first)
    monkeypatch.setattr(crops, "AHEAD", 4)
    epoch = epoch_batches(packed, ROWS, PLAN, 1)
    with pytest.raises(KeyboardInterrupt), contextlib.closing(epoch):
        break_off(epoch)
    assert crop_threads() == []
    assert len(made) <= 2


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_are_made_ahead_but_not_all_at_once(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """A few for each thread: memory does not fill with an epoch while a step takes its time."""
    made: list[int] = []

    def counted(*arguments: Any) -> Batch:
        made.append(1)
        return read_crops(*arguments)

    monkeypatch.setattr(crops, "read_crops", counted)
    plan = CropPlan(crop=32, batch_size=4, crops_per_image=50, seed=3)
    ahead = threads * crops.AHEAD
    with contextlib.closing(epoch_batches(packed, ROWS, plan, 1, threads=threads)) as epoch:
        for taken in range(1, 4):
            next(epoch)
            deadline = time.monotonic() + 10
            while len(made) < taken + ahead and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.02)
            assert len(made) == taken + ahead


def test_a_fault_in_a_thread_is_raised_in_the_epoch(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its place: the batches before it come, and the threads end."""

    def faulty(packed: Packed, rows: npt.NDArray[np.integer], *arguments: Any) -> Batch:
        if np.array_equal(rows, unlucky):
            raise DataError("the disk is gone")
        return read_crops(packed, rows, *arguments)

    order = np.random.default_rng([PLAN.seed, 1]).permutation(np.repeat(ROWS, 8))
    unlucky = order[8:12]
    monkeypatch.setattr(crops, "read_crops", faulty)
    epoch = epoch_batches(packed, ROWS, PLAN, 1, threads=3)
    assert len([next(epoch), next(epoch)]) == 2
    with pytest.raises(DataError, match="the disk is gone"):
        next(epoch)
    assert crop_threads() == []


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
