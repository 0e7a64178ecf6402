"""HR and LR crops show the same place, and seed, epoch and step alone say which."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from srpipe.core.errors import DataError
from srpipe.data.packed import Packed, Pair, open_packed, write_packed
from srpipe.imaging.resample import downsample
from srpipe.settings.train import Crops
from srpipe.training.crops import batches as crops
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
PLANS = pytest.mark.parametrize("plan", [PLAN, FULL], ids=["plain", "full"])


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


def pack(folder: Path, hr: Grey) -> Packed:
    """Return one image, packed at 4x."""
    write_packed(folder / "p", [Pair("a", "1", "", hr, downsample(hr, 4))], 4)
    return open_packed(folder / "p")


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
    assert len(found) == len(ROWS) * PLAN.crops.per_image // PLAN.batch_size
    for batch in found:
        assert (batch.lr.shape, batch.hr.shape) == ((4, 1, 8, 8), (4, 1, 32, 32))
        assert batch.hidden.shape == (4, 4)
        for each in batch:
            assert each.dtype == torch.uint8
            assert each.is_contiguous()


def test_lr_and_hr_crops_show_the_same_place(packed: Packed) -> None:
    """An LR crop lies in the packed LR image, its HR crop at the aligned place, turned alike.

    All eight symmetries occur, and each image gives its share of the crops.
    """
    images: Counter[int] = Counter()
    turns: Counter[int] = Counter()
    for batch in batches(packed):
        for lr, hr in zip(map(pixels, batch.lr), map(pixels, batch.hr), strict=True):
            places = [(row, *place) for row in ROWS for place in found(lr, packed, row)]
            assert len(places) == 1
            row, symmetry, top, left = places[0]
            upright = symmetries(hr)[symmetry]
            assert np.array_equal(
                upright, packed.hr(row)[4 * top : 4 * top + 32, 4 * left : 4 * left + 32]
            )
            images[row] += 1
            turns[symmetry] += 1
    assert images == dict.fromkeys(ROWS, PLAN.crops.per_image)
    assert set(turns) == set(range(8))


@pytest.mark.parametrize("symmetry", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_draws_say_place_and_symmetry(packed: Packed, symmetry: int, flip: bool) -> None:
    """Each of the eight symmetries, at a place that is neither a corner nor a multiple of 4 in LR.

    LR is 24x16 in row 1: a crop of 8 has 17 places down and 9 across, and 4 beyond either border.
    """
    turn = [(symmetry + 0.5) / 4, 0.25 if flip else 0.75]
    lr, hr, hidden = cut(packed, 1, [*turn, 0.5, 0.5, 0.5, 9.5 / 25, 7.5 / 17])
    assert hidden.tolist() == [[0, 0, 0, 0]]
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


@PLANS
def test_lr_crops_resemble_downsampled_hr_crops(packed: Packed, plan: Plan) -> None:
    """Away from the crop's border, downsampling the HR crop gives the LR crop, in the order of
    Pillow's two passes that the crop's turn makes of it.
    """
    for batch in batches(packed, plan):
        for lr, hr in zip(map(pixels, batch.lr), map(pixels, batch.hr), strict=True):
            differences = [
                np.abs(made.astype(int) - lr)[2:-2, 2:-2].max()
                for made in (downsample(hr, 4), downsample(hr.T.copy(), 4).T)
            ]
            assert min(differences) <= 1


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

    monkeypatch.setattr(crops, "read_crops", slow_first)
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

    monkeypatch.setattr(crops, "read_crops", slow_but_the_first)
    monkeypatch.setattr(crops, "AHEAD", 4)
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

    monkeypatch.setattr(crops, "read_crops", counted)
    plan = PLAN.but(batch_size=4, per_image=50, seed=3)
    ahead = threads * crops.AHEAD
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
    monkeypatch.setattr(crops, "read_crops", faulty)
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
            assert found(lr, packed, 1)


def test_every_place_can_be_drawn(tmp_path: Path) -> None:
    """An image one LR pixel larger than the crop gives all four places, the last ones too."""
    hr = np.random.default_rng(0).integers(0, 256, (36, 36), dtype=np.uint8)
    packed = pack(tmp_path, hr)
    plan = PLAN.but(batch_size=40, per_image=40, seed=0)
    (batch,) = epoch_batches(plan.of(packed, [0]), 1)
    places = {found(pixels(each), packed, 0)[0][1:] for each in batch.lr}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


# ------------------------------------------------------------------ borders


def test_borders_are_drawn_as_often_as_the_middle(packed: Packed) -> None:
    """A crop's corner is drawn from half a crop beyond either border, and moved back: of 25 equal
    parts of the draw, 5 give the first of 17 places, 5 the last, and each other one gives one.
    """
    wanted = [0] * 5 + list(range(1, 16)) + [16] * 5
    upright = [0.0, 0.75, 0.5, 0.5, 0.5]
    for part, expected in enumerate(wanted):
        lr, _, _ = cut(packed, 1, [*upright, (part + 0.5) / 25, 8.5 / 17])
        assert np.array_equal(pixels(lr[0]), packed.lr(1)[expected : expected + 8, 4:12])


@pytest.mark.parametrize("shifts", [False, True])
def test_what_is_hidden_lies_at_edges_that_are_not_the_images(tmp_path: Path, shifts: bool) -> None:
    """In all eight symmetries: turned back, a crop's margin lies where pixels of the image go on,
    and nowhere along the image's own edges.
    """
    hr = np.random.default_rng(0).integers(0, 256, (72, 64), dtype=np.uint8)
    packed = pack(tmp_path, hr)
    plan = PLAN.but(batch_size=100, per_image=100, shifts=shifts, margin=2)
    (batch,) = epoch_batches(plan.of(packed, [0]), 1)
    windows = np.lib.stride_tricks.sliding_window_view(hr, (32, 32))
    kinds: Counter[tuple[bool, ...]] = Counter()
    turns: set[int] = set()
    for crop, hidden in zip(map(pixels, batch.hr), batch.hidden.tolist(), strict=True):
        top, bottom, left, right = hidden
        counts = np.zeros((8, 8), dtype=np.uint8)
        counts[top : 8 - bottom, left : 8 - right] = 1
        ((symmetry, y, x),) = [
            (index, int(y), int(x))
            for index, each in enumerate(symmetries(crop))
            for y, x in zip(*np.nonzero((windows == each).all(axis=(2, 3))), strict=True)
        ]
        edges = (y == 0, y == 72 - 32, x == 0, x == 64 - 32)
        wanted = np.ones((8, 8), dtype=np.uint8)
        for edge, side in zip(
            edges, (np.s_[:2], np.s_[6:], np.s_[:, :2], np.s_[:, 6:]), strict=True
        ):
            if not edge:
                wanted[side] = 0
        assert np.array_equal(symmetries(counts)[symmetry], wanted)
        kinds[edges] += 1
        turns.add(symmetry)
    assert turns == set(range(8))
    assert len(kinds) == 9, "corners, sides and the middle"


def test_a_crop_that_is_the_whole_image_hides_nothing(tmp_path: Path) -> None:
    """All its edges are the image's."""
    hr = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    plan = PLAN.but(margin=2)
    for batch in epoch_batches(plan.of(pack(tmp_path, hr), [0]), 1):
        assert not batch.hidden.any()


# ------------------------------------------------------------------ shifts, turns, candidates


def test_shifted_crops_are_those_of_a_shifted_image(packed: Packed) -> None:
    """LR is what the image's LR holds there if its grid begins with the crop, and all 16 ways for
    a grid of 4x to lie are met.
    """
    plan = PLAN.but(batch_size=200, per_image=200, shifts=True, turns=0.0)
    hr = packed.hr(4)
    (batch,) = epoch_batches(plan.of(packed, [4]), 1)
    windows = np.lib.stride_tricks.sliding_window_view(hr, (32, 32))
    ways: set[tuple[int, int]] = set()
    inner = 0
    for lr, crop in zip(map(pixels, batch.lr), map(pixels, batch.hr), strict=True):
        ((y, x),) = np.argwhere((windows == crop).all(axis=(2, 3))).tolist()
        ways.add((y % 4, x % 4))
        whole = hr[y % 4 :, x % 4 :]
        whole = whole[: len(whole) // 4 * 4, : whole.shape[1] // 4 * 4]
        wanted = downsample(whole, 4)[y // 4 : y // 4 + 8, x // 4 : x // 4 + 8]
        # What a shifted image lacks at its borders reaches two LR pixels into it.
        first_row, first_column = (0 if at % 4 == 0 else max(2 - at // 4, 0) for at in (y, x))
        last_row, last_column = (8 if at % 4 == 0 or at + 32 + 8 <= 96 - 4 else 6 for at in (y, x))
        here = np.s_[first_row:last_row, first_column:last_column]
        assert np.array_equal(lr[here], wanted[here])
        inner += lr[here].size
        exact = downsample_at(hr, y, x, 8)
        assert np.abs(lr - exact).max() <= 1.1
    assert ways == {(y, x) for y in range(4) for x in range(4)}
    assert inner > 0.8 * 64 * 200


def downsample_at(hr: Grey, top: int, left: int, side: int) -> npt.NDArray[np.float64]:
    """Return Keys' kernel at 4x over a grid that begins at a pixel, in float64, clipped."""

    def axis(start: int, length: int) -> npt.NDArray[np.float64]:
        centres = start + 4 * np.arange(side)[:, None] + 1.5
        x = np.abs(np.arange(length)[None] - centres) / 4
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
        return weights / weights.sum(1, keepdims=True)

    return np.clip(axis(top, hr.shape[0]) @ hr @ axis(left, hr.shape[1]).T, 0, 255)


def test_without_a_shift_shifted_crops_are_the_packed_ones(packed: Packed) -> None:
    """At multiples of the scale, at the image's borders too, both ways give the same bytes."""
    upright = [0.0, 0.75, 0.5, 0.5, 0.5]
    for y, x in ((0, 0), (20, 12), (64, 32)):
        # Row 1 is 96x64: so many positions, beyond the borders too.
        draw = [*upright, (y + 16.5) / (65 + 32), (x + 16.5) / (33 + 32)]
        lr, hr, _ = cut(packed, 1, draw, PLAN.but(shifts=True))
        assert np.array_equal(pixels(hr[0]), packed.hr(1)[y : y + 32, x : x + 32])
        assert np.array_equal(pixels(lr[0]), packed.lr(1)[y // 4 : y // 4 + 8, x // 4 : x // 4 + 8])


def test_no_turns_leave_crops_upright(packed: Packed) -> None:
    """At 0 all are; at a half, a half of them, and of the others each symmetry has its share."""
    for turns, upright in ((0.0, 1.0), (0.5, 0.5 + 0.5 / 8)):
        plan = PLAN.but(batch_size=400, per_image=100, turns=turns)
        (batch,) = epoch_batches(plan.of(packed, ROWS), 1)
        seen = Counter(
            found(lr, packed, row)[0][0]
            for lr in map(pixels, batch.lr)
            for row in ROWS
            if found(lr, packed, row)
        )
        assert sum(seen.values()) == 400
        assert seen[0] / 400 == pytest.approx(upright, abs=0.07)
        assert len(seen) == (8 if turns else 1)


def test_hard_places_are_drawn_more_often(tmp_path: Path) -> None:
    """With noise in a quarter of an even image, one of eight candidates shows it more often than
    one drawn evenly, yet not always.
    """
    hr = np.full((192, 192), 100, dtype=np.uint8)
    hr[:96, 96:] = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    packed = pack(tmp_path, hr)
    shares = []
    for candidates in (1, 8):
        plan = PLAN.but(batch_size=200, per_image=200, candidates=candidates)
        (batch,) = epoch_batches(plan.of(packed, [0]), 1)
        shares.append(np.mean([np.ptp(crop) > 0 for crop in map(pixels, batch.hr)]))
    even, hard = shares
    assert even == pytest.approx(0.35, abs=0.1)
    assert even + 0.3 < hard


# ------------------------------------------------------------------ markers


def test_markers_are_drawn_into_hr_and_lr_alike(packed: Packed) -> None:
    """Most crops with markers are nowhere in the image, and LR is that of the HR crop drawn on:
    at the crop's border too, where the marker goes on beyond it, LR is at most a little off.
    """
    marked = PLAN.but(turns=0.0, markers=1.0)
    changed = 0
    for drawn, plain in zip(batches(packed, marked), batches(packed), strict=True):
        assert not torch.equal(drawn.hr, plain.hr)
        for lr, hr in zip(map(pixels, drawn.lr), map(pixels, drawn.hr), strict=True):
            inside = np.abs(downsample(hr, 4).astype(int) - lr)[2:-2, 2:-2]
            assert inside.max() <= 1
            changed += not any(found(lr, packed, row) for row in ROWS)
    assert changed > 0.6 * len(ROWS) * PLAN.crops.per_image


def test_markers_move_no_crop(packed: Packed) -> None:
    """The same places in the same symmetries are drawn; so large a share of them is drawn on."""
    plan = PLAN.but(batch_size=100, per_image=25, margin=2)
    (plain,), (some,), (every,) = (
        batches(packed, plan.but(markers=share)) for share in (0.0, 0.5, 1.0)
    )
    assert torch.equal(plain.hidden, every.hidden)
    differs = [(a.hr != plain.hr).flatten(1).any(1) for a in (some, every)]
    assert not (differs[0] & ~differs[1]).any()
    assert torch.equal(some.hr[differs[0]], every.hr[differs[0]])
    assert float(differs[1].float().mean()) > 0.6
    assert float(differs[0].float().mean()) == pytest.approx(
        float(differs[1].float().mean()) / 2, abs=0.12
    )


def test_markers_leave_the_packed_images_alone(packed: Packed) -> None:
    """They are drawn into copies."""
    before = [packed.hr(row).copy() for row in ROWS]
    batches(packed, FULL.but(markers=1.0))
    assert all(np.array_equal(packed.hr(row), was) for row, was in zip(ROWS, before, strict=True))


# ------------------------------------------------------------------ jitter


@pytest.mark.parametrize("shifts", [False, True])
def test_so_large_a_share_is_jittered(packed: Packed, shifts: bool) -> None:
    """At a half, a half of the crops lie nowhere in the image; the others are as they were."""
    plan = PLAN.but(batch_size=200, per_image=200, turns=0.0, shifts=shifts)
    windows = np.lib.stride_tricks.sliding_window_view(packed.hr(4), (32, 32))
    for share in (0.02, 0.5, 1.0):
        (batch,) = epoch_batches(plan.but(jitter=share).of(packed, [4]), 1)
        elsewhere = [not (windows == hr).all(axis=(2, 3)).any() for hr in map(pixels, batch.hr)]
        assert np.mean(elsewhere) == pytest.approx(share, abs=0.1)


def test_what_jitters_a_crop_chooses_nothing_else(tmp_path: Path) -> None:
    """Neither its place nor its symmetry nor its markers come of the two draws."""
    packed = pack(tmp_path, np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    draw = [0.3, 0.75, 0.5, 0.5, 0.5, 0.4, 0.6]
    plain = cut(packed, 0, draw)
    jittering = PLAN.but(jitter=0.5)
    for how in (0.1, 0.9):
        assert same([cut(packed, 0, [*draw, how, 0.51], jittering)], [plain])
    seen = {
        cut(packed, 0, [*draw, how, 0.49], jittering).hr.numpy().tobytes() for how in (0.1, 0.9)
    }
    assert len(seen | {plain.hr.numpy().tobytes()}) == 3
