"""The range is that of the images it is fitted on: new ones like them are within it."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from srpipe.core.errors import DataError
from srpipe.evaluation.out_of_range.fit import FEWEST, WORST, Seen, fits, fitted
from srpipe.imaging.arrays import FloatImage
from srpipe.trust.range import THUMBNAIL, likeness, of_record, trained


def seen(number: int) -> Seen:
    """Return a made patient: smooth, bright in the middle, each a little different."""
    rng = np.random.default_rng(number)
    across = np.linspace(-1, 1, THUMBNAIL)
    chest = 0.5 + 0.3 * np.cos(across * np.pi * 2)[None, :] + 0.1 * across[:, None]
    smooth = ndimage.gaussian_filter(rng.standard_normal((THUMBNAIL, THUMBNAIL)), 4)
    return Seen(f"p{number}", (chest + smooth).astype(np.float32), 8 + rng.normal(0, 0.1))


def turned(small: FloatImage) -> FloatImage:
    return np.ascontiguousarray(np.rot90(small))


def test_new_patients_are_within_and_turned_ones_are_not() -> None:
    found = fitted([seen(number) for number in range(300)])
    new = [seen(number).small for number in range(1000, 1300)]
    assert (likeness(new, found) > 1).mean() <= 0.04
    assert (likeness([turned(each) for each in new], found) > 1).all()
    assert found.most_noise == pytest.approx(8.23, abs=0.1)
    assert found.least_contrast == pytest.approx(found.contrast / 2, abs=1e-4)
    assert found.fitted == {"patients": 300, "images": 300, "share": 0.99}
    kept = of_record(found.record())
    assert likeness(new, kept) == pytest.approx(likeness(new, found), rel=1e-3)


def test_too_few_are_refused() -> None:
    with pytest.raises(DataError, match="99 images are of the half of the patients"):
        fitted([seen(number) for number in range(FEWEST - 1)])


def test_an_id_alone_decides_the_half() -> None:
    """About half of them are of each."""
    assert 450 < sum(fits(f"{number:08}") for number in range(1000)) < 550


def test_the_worst_is_what_the_recipe_trained_on() -> None:
    """And the file's figures are of it."""
    recipe = (Path(__file__).resolve().parents[3] / "recipes" / "plain_sr.txt").read_text()
    assert f"train.crops.acquired.noise={WORST.noise}\n" in recipe
    assert f"train.crops.acquired.dose={WORST.dose}\n" in recipe
    assert trained().noise == WORST.noise
    assert WORST.noise < trained().most_noise < WORST.noise + 1
