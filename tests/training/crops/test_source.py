"""A source of crops says how many batches an epoch has, and refuses what cannot be drawn."""

from dataclasses import replace

import pytest

from srpipe.core.errors import DataError, SettingsError
from srpipe.data.packed import Packed
from srpipe.training.crops.difficulty import Difficulty
from srpipe.training.crops.source import CropSource
from tests.training.small import settings


def source(packed: Packed, rows: int = 4, batch_size: int = 4, **crops: int) -> CropSource:
    """Return a source of some of the images."""
    given = settings(**{f"crops__{name}": value for name, value in crops.items()}).crops
    return CropSource(packed, list(range(rows)), given, batch_size, 0, Difficulty(packed))


@pytest.mark.parametrize(
    ("images", "crops", "batch", "expected"), [(5, 2, 4, 2), (3, 4, 4, 3), (1, 2, 2, 1)]
)
def test_an_epoch_has_whole_batches(
    packed: Packed, images: int, crops: int, batch: int, expected: int
) -> None:
    """What does not fill a batch is left out."""
    assert source(packed, images, batch, per_image=crops).batches() == expected


def test_less_than_a_batch_is_refused(packed: Packed) -> None:
    """The message says which settings to change, by the name that the source has."""
    few = source(packed, 3, 16, per_image=5)
    with pytest.raises(DataError, match=r"3 training images with 5 crops each.*batch of 16"):
        few.batches()
    with pytest.raises(DataError, match=r"raise train\.adversarial\.crops\.per_image"):
        replace(few, name="train.adversarial.crops").check()


def test_images_smaller_than_the_crop_are_refused(packed: Packed) -> None:
    """They are counted, the first is named with its size; images of just the size pass."""
    source(packed, size=64).check()
    with pytest.raises(DataError, match=r"3 training image\(s\).*80 px.*0\.png \(64x96\)"):
        source(packed, rows=4, size=80).check()


def test_a_margin_that_leaves_nothing_is_refused(packed: Packed) -> None:
    """The message gives the bound; just below it something counts."""
    source(packed, margin=3).check()
    with pytest.raises(SettingsError, match=r"margin is 4 .* of 32 HR pixels at 4x.* below 4"):
        source(packed, margin=4).check()
