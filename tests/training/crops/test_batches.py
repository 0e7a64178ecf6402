"""Seed, epoch and step alone say which crops a batch has, whoever makes it and when."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from srpipe.core.errors import DataError
from srpipe.data.packed import Packed
from srpipe.training.crops import batches as batches_module
from srpipe.training.crops.batches import epoch_batches
from srpipe.training.crops.cutting import Batch, read_crops
from srpipe.training.crops.source import CropSource
from tests.training.crops.drawn import FULL, PLAN, ROWS, Plan, batches, pixels, places, same

PLANS = pytest.mark.parametrize("plan", [PLAN, FULL], ids=["plain", "full"])


def test_batches_are_bytes(packed: Packed) -> None:
    """The shapes and the type are as promised: a quarter of what float32 sends to a GPU."""
    found = batches(packed)
    assert len(found) == len(ROWS) * PLAN.crops.per_image // PLAN.batch_size
    for batch in found:
        assert (batch.lr.shape, batch.hr.shape) == ((4, 1, 8, 8), (4, 1, 32, 32))
        assert batch.hidden.shape == (4, 4)
        for each in batch:
            assert each.dtype == torch.uint8
            assert each.is_contiguous()


@PLANS
def test_seed_and_epoch_give_the_batches(packed: Packed, plan: Plan) -> None:
    """The same seed and epoch repeat, whatever was drawn in between."""
    first = batches(packed, plan)
    batches(packed, plan, epoch=2)
    np.random.default_rng().random(5)
    assert same(batches(packed, plan), first)


@PLANS
@pytest.mark.parametrize("first_step", [1, 5, 7, 8])
def test_a_resumed_epoch_goes_on_with_the_same_crops(
    packed: Packed, plan: Plan, first_step: int
) -> None:
    """From any step on, the batches are those of the whole epoch; after the last there is none."""
    found = batches(packed, plan, first_step=first_step)
    assert same(found, batches(packed, plan)[first_step:])


@PLANS
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_processes_make_up_the_whole_batch(packed: Packed, plan: Plan, parts: int) -> None:
    """Part r of P holds the crops r, r + P, ... of each batch, resumed or not."""
    whole = batches(packed, plan)[3:]
    for part in range(parts):
        found = batches(packed, plan, first_step=3, part=(part, parts))
        wanted = [Batch(*(each[part::parts] for each in batch)) for batch in whole]
        assert same(found, wanted)
        assert len(found[0].lr) == plan.batch_size // parts


@PLANS
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_the_order(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, plan: Plan, threads: int
) -> None:
    """Also where early batches take longest, and with more threads than batches to make."""
    wanted = batches(packed, plan)
    made: list[int] = []

    def slow_first(*arguments: Any, **options: Any) -> Batch:
        made.append(len(made))
        time.sleep(0.02 if made[-1] % 2 == 0 else 0)
        return read_crops(*arguments, **options)

    monkeypatch.setattr(batches_module, "read_crops", slow_first)
    assert same(batches(packed, plan, threads=threads), wanted)


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

    def slow_but_the_first(*arguments: Any, **options: Any) -> Batch:
        made.append(1)
        time.sleep(0.2 if len(made) > 1 else 0)
        return read_crops(*arguments, **options)

    def break_off(epoch: Iterator[Batch]) -> None:
        next(epoch)
        assert crop_threads() != []
        raise KeyboardInterrupt

    monkeypatch.setattr(batches_module, "read_crops", slow_but_the_first)
    monkeypatch.setattr(batches_module, "AHEAD", 4)
    epoch = epoch_batches(PLAN.of(packed, ROWS), 1)
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

    def counted(*arguments: Any, **options: Any) -> Batch:
        made.append(1)
        return read_crops(*arguments, **options)

    monkeypatch.setattr(batches_module, "read_crops", counted)
    plan = PLAN.but(batch_size=4, per_image=50, seed=3)
    ahead = threads * batches_module.AHEAD
    with contextlib.closing(epoch_batches(plan.of(packed, ROWS), 1, threads=threads)) as epoch:
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

    def faulty(source: CropSource, rows: list[int], *arguments: Any, **options: Any) -> Batch:
        if rows == unlucky:
            raise DataError("the disk is gone")
        return read_crops(source, rows, *arguments, **options)

    order = np.random.default_rng([PLAN.seed, 1]).permutation(np.repeat(ROWS, 8))
    unlucky = order[8:12].tolist()
    monkeypatch.setattr(batches_module, "read_crops", faulty)
    epoch = epoch_batches(PLAN.of(packed, ROWS), 1, threads=3)
    assert len([next(epoch), next(epoch)]) == 2
    with pytest.raises(DataError, match="the disk is gone"):
        next(epoch)
    assert crop_threads() == []


@pytest.mark.parametrize(("seed", "epoch"), [(3, 2), (4, 1)])
def test_another_seed_or_epoch_draws_anew(packed: Packed, seed: int, epoch: int) -> None:
    """No crop of the first batch comes again in the other's first batch."""
    plan = PLAN.but(batch_size=4, per_image=8, seed=seed)
    ours, theirs = batches(packed)[0][1], batches(packed, plan, epoch)[0][1]
    assert not any(torch.equal(a, b) for a in ours for b in theirs)


def test_only_the_rows_given_are_drawn(packed: Packed) -> None:
    """A crop never comes from an image of another subset."""
    for batch in epoch_batches(PLAN.of(packed, [1]), 1):
        for lr in map(pixels, batch.lr):
            assert places(lr, packed, 1)
