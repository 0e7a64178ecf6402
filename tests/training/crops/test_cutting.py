"""HR and LR crops show the same place, at the position and in the symmetry that is drawn."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from srpipe.data.packed import Packed
from srpipe.imaging.resample import downsample
from srpipe.training.crops.batches import epoch_batches
from tests.training.crops.drawn import (
    FULL,
    PLAN,
    ROWS,
    Grey,
    Plan,
    batches,
    cut,
    pack,
    pixels,
    places,
    same,
    symmetries,
)

PLANS = pytest.mark.parametrize("plan", [PLAN, FULL], ids=["plain", "full"])


def test_lr_and_hr_crops_show_the_same_place(packed: Packed) -> None:
    """An LR crop lies in the packed LR image, its HR crop at the aligned place, turned alike.

    All eight symmetries occur, and each image gives its share of the crops.
    """
    images: Counter[int] = Counter()
    turns: Counter[int] = Counter()
    for batch in batches(packed):
        for lr, hr in zip(map(pixels, batch.lr), map(pixels, batch.hr), strict=True):
            ((row, symmetry, top, left),) = [
                (row, *place) for row in ROWS for place in places(lr, packed, row)
            ]
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


def test_every_place_can_be_drawn(tmp_path: Path) -> None:
    """An image one LR pixel larger than the crop gives all four places, the last ones too."""
    hr = np.random.default_rng(0).integers(0, 256, (36, 36), dtype=np.uint8)
    packed = pack(tmp_path, hr)
    plan = PLAN.but(batch_size=40, per_image=40, seed=0)
    (batch,) = epoch_batches(plan.of(packed, [0]), 1)
    found = {places(pixels(each), packed, 0)[0][1:] for each in batch.lr}
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)}


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
            places(lr, packed, row)[0][0]
            for lr in map(pixels, batch.lr)
            for row in ROWS
            if places(lr, packed, row)
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
            changed += not any(places(lr, packed, row) for row in ROWS)
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


def acquired(plan: Plan, **ranges: Any) -> Plan:
    """Return the plan with acquisitions drawn from these ranges, by default of nothing."""
    nothing = {"share": 1.0, "noise": 0.0, "dose": 1.0, "blur": 0.0, "jpeg": None, "bits": 8}
    return plan.but(acquired={**nothing, **ranges})


def differences(packed: Packed, plan: Plan, full: int = 65535) -> npt.NDArray[np.float64]:
    """Return by how many grey levels LR crops differ from HR crops, downsampled, inside."""
    inside = np.s_[3:-3, 3:-3]
    found = [
        pixels(lr).astype(float)[inside] * 255 / full - downsample(pixels(hr), 4)[inside]
        for batch in batches(packed, plan)
        for lr, hr in zip(batch.lr, batch.hr, strict=True)
    ]
    return np.array(found)


UPRIGHT = PLAN.but(turns=0.0, size=64)


def test_acquired_crops_have_the_noise_of_the_settings(packed: Packed) -> None:
    """LR has sixteen bits, and on average the grey level of HR."""
    noisy = acquired(UPRIGHT, noise=8.0, jpeg=60, bits=12, blur=0.5)
    assert batches(packed, noisy)[0].lr.dtype == torch.uint16
    assert batches(packed, noisy)[0].hr.dtype == torch.uint8
    found = differences(packed, noisy).std(axis=(1, 2))
    assert 5 < found.max() < 12
    assert np.median(found) > 0.5


def test_so_large_a_share_is_acquired(packed: Packed) -> None:
    plan = acquired(UPRIGHT, noise=8.0, share=0.4).but(per_image=64)
    ideal = (differences(packed, plan) == 0).all(axis=(1, 2)).mean()
    # Of those acquired, some draw no noise or none that shows, and box sampling shows.
    assert 0.6 < ideal < 0.85


@pytest.mark.parametrize("options", [{}, {"shifts": True}, {"jitter": 1.0}, {"markers": 1.0}])
def test_noise_comes_on_top_of_all_else(packed: Packed, options: dict[str, Any]) -> None:
    """A crop that is shifted, jittered or drawn on is acquired as any other; HR has no noise."""
    plan = acquired(UPRIGHT.but(**options), noise=8.0)
    found = differences(packed, plan)
    assert abs(found.mean()) < 0.2
    assert found.std(axis=(1, 2)).max() > 5


def test_crops_of_a_recorded_data_set_are_recorded_so(packed: Packed) -> None:
    """LR that is made anew has the noise of the data set's acquisition, another in each crop."""
    plan = UPRIGHT.but(shifts=True)
    noisy = replace(packed, acquisition={"noise": 8.0})
    found = differences(noisy, plan, full=255)
    assert found.std(axis=(1, 2)).min() > 5
    assert np.corrcoef(found[0].ravel(), found[1].ravel())[0, 1] < 0.5
    assert not differences(packed, plan, full=255).any()


def test_acquisitions_are_drawn_like_all_else(packed: Packed) -> None:
    """Seed, epoch and step give them, whatever the number of processes."""
    plan = acquired(FULL, noise=8.0, dose=0.1, jpeg=60, share=0.5)
    whole = batches(packed, plan)
    assert same(whole, batches(packed, plan))
    parts = [batches(packed, plan, part=(index, 2)) for index in range(2)]
    for step, batch in enumerate(whole):
        for index in range(2):
            assert torch.equal(batch.lr[index::2], parts[index][step].lr)
