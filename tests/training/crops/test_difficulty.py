"""Places are chosen by chance, in proportion to bicubic's error there."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srpipe.data.packed import Packed
from srpipe.imaging.resample import bicubic
from srpipe.training.crops import difficulty
from srpipe.training.crops.difficulty import CELL, Difficulty
from tests.training.crops.drawn import pack

DRAWS = (np.arange(2000) + 0.5) / 2000


def shares(hard: Difficulty, row: int, corners: list[tuple[int, int]], crop: int) -> list[float]:
    """Return how often each place is chosen over all draws."""
    seen = Counter(hard.choose(row, corners, crop, draw) for draw in DRAWS)
    return [seen[index] / len(DRAWS) for index in range(len(corners))]


def rms(packed: Packed, row: int, top: int, left: int, crop: int) -> float:
    """Return the root of bicubic's mean squared error at a place."""
    error = packed.hr(row).astype(float) - bicubic(packed.lr(row), packed.scale)
    return float((error[top : top + crop, left : left + crop] ** 2).mean() ** 0.5)


def test_places_are_chosen_in_proportion_to_their_error(packed: Packed) -> None:
    """Of places that are whole cells, as the error of their pixels says."""
    corners = [(0, 0), (16, 32), (48, 48), (64, 16)]
    errors = np.array([rms(packed, 4, top, left, 32) for top, left in corners])
    found = shares(Difficulty(packed), 4, corners, 32)
    assert found == pytest.approx(list(errors / errors.sum()), abs=1e-3)
    assert len({round(each, 3) for each in found}) == 4


def test_a_place_counts_the_cells_that_it_touches(packed: Packed) -> None:
    """Between cells it has the error of the whole cells around it."""
    hard = Difficulty(packed)
    between, whole = [(5, 20), (64, 64)], [(0, 16), (64, 64)]
    errors = [rms(packed, 4, 0, 16, 48), rms(packed, 4, 64, 64, 32)]
    wanted = [each / sum(errors) for each in errors]
    assert shares(hard, 4, between, 32) == pytest.approx(wanted, abs=1e-3)
    assert shares(hard, 4, whole, 32) != pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("draw", "index"), [(0.0, 0), (1 - 1e-16, 2), (np.nextafter(1, 0), 2)])
def test_the_ends_of_the_draw_are_the_first_and_the_last(
    packed: Packed, draw: float, index: int
) -> None:
    """No draw below 1 falls outside."""
    assert Difficulty(packed).choose(0, [(0, 0), (16, 16), (32, 32)], 32, draw) == index


def test_even_images_are_drawn_evenly(tmp_path: Path) -> None:
    """Where bicubic is right everywhere, no place is preferred, and nothing is divided by 0."""
    hard = Difficulty(pack(tmp_path, np.full((64, 64), 90, dtype=np.uint8)))
    assert shares(hard, 0, [(0, 0), (16, 16), (32, 32), (0, 32)], 32) == [0.25] * 4


def test_each_image_has_its_own_difficulty(tmp_path: Path) -> None:
    """Noise on the left in one, on the right in the other."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    left, right = (np.full((64, 128), 90, dtype=np.uint8) for _ in range(2))
    left[:, :64], right[:, 64:] = noise, noise
    hard = Difficulty(pack(tmp_path, left, right))
    for row, index in ((0, 0), (1, 1), (0, 0)):
        assert shares(hard, row, [(0, 0), (0, 96)], 32)[index] > 0.99


@pytest.mark.parametrize("shape", [(68, 84), (36, 32)])
def test_images_that_are_no_whole_cells(tmp_path: Path, shape: tuple[int, int]) -> None:
    """The last cells are cut; places that touch them are compared all the same."""
    assert any(side % CELL for side in shape)
    hr = np.full(shape, 90, dtype=np.uint8)
    hr[-4:] = np.random.default_rng(0).integers(0, 256, (4, shape[1]), dtype=np.uint8)
    hard = Difficulty(pack(tmp_path, hr))
    top, bottom = shares(hard, 0, [(0, 0), (shape[0] - 32, 0)], 32)
    assert bottom > top
    assert top + bottom == 1


def test_an_image_is_looked_at_once(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads ask, and they all get the same answer."""
    asked: list[int] = []

    def counting(lr: npt.NDArray[np.uint8], scale: int) -> npt.NDArray[np.uint8]:
        asked.append(1)
        return bicubic(lr, scale)

    monkeypatch.setattr(difficulty, "bicubic", counting)
    hard = Difficulty(packed)
    with ThreadPoolExecutor(8) as pool:
        corners = [(0, 0), (16, 16), (32, 32)]
        found = list(pool.map(lambda _: hard.choose(3, corners, 32, 0.6), range(50)))
    assert len(asked) == 1
    assert len(set(found)) == 1
