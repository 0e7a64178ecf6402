"""The source of training crops."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from srpipe.core.errors import DataError, SettingsError
from srpipe.data.packed import Packed
from srpipe.settings.acquisition import Acquisition
from srpipe.settings.train import Crops
from srpipe.training.crops.difficulty import Difficulty


@dataclass(frozen=True)
class CropSource:
    """Where and how training crops are drawn.

    Attributes:
        packed: the images.
        rows: manifest rows of the training images.
        crops: the settings.
        batch_size: crops per step.
        seed: of all draws.
        difficulty: where the images are hard, cached across epochs.
        name: of the section of settings, for messages.
    """

    packed: Packed
    rows: Sequence[int]
    crops: Crops
    batch_size: int
    seed: int
    difficulty: Difficulty
    name: str = "train.crops"

    @functools.cached_property
    def acquisition(self) -> Acquisition:
        """How LR of the data set was recorded."""
        return Acquisition.model_validate(self.packed.acquisition)

    def batches(self) -> int:
        """Return the number of whole batches in an epoch.

        Raises:
            DataError: there are too few crops for one batch.
        """
        images, each = len(self.rows), self.crops.per_image
        count = images * each // self.batch_size
        if count < 1:
            raise DataError(
                f"{images} training images with {each} crops each do not fill a batch of "
                f"{self.batch_size}: raise {self.name}.per_image or lower train.batch_size"
            )
        return count

    def check(self) -> None:
        """Refuse images smaller than a crop, and a margin that leaves nothing of a crop.

        Raises:
            DataError: an image is too small, or there are too few crops for one batch.
            SettingsError: the margin leaves nothing of a crop.
        """
        size, scale = self.crops.size, self.packed.scale
        sizes = self.packed.manifest.iloc[list(self.rows)]
        small = sizes[sizes[["height", "width"]].min(axis=1) < size]
        if len(small):
            first = small.iloc[0]
            raise DataError(
                f"{len(small)} training image(s) are smaller than the crop of {size} px, the "
                f"first is {first['image']} ({first['height']}x{first['width']}): set "
                f"{self.name}.size lower, or move them away"
            )
        if 2 * self.crops.margin * scale >= size:
            raise SettingsError(
                f"train.crops.margin is {self.crops.margin} LR pixels, which leaves nothing of a "
                f"crop of {size} HR pixels at {scale}x: set it below {size // scale / 2:g}, or "
                f"{self.name}.size higher"
            )
        self.batches()
