"""The training task: the same in every process and on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from srpipe.core.errors import SettingsError
from srpipe.data.packed import Packed
from srpipe.metrics.features import ContentFeatures
from srpipe.settings.train import Train
from srpipe.training.crops.difficulty import Difficulty
from srpipe.training.crops.source import CropSource
from srpipe.training.history import EpochRecord
from srpipe.training.losses import Objective
from srpipe.training.schedule import learning_rate
from srpipe.training.start import Start


@dataclass(frozen=True)
class Task:
    """Settings, images, and what is loaded for them; epochs count from 1, steps from 0."""

    packed: Packed
    train_rows: Sequence[int]
    validation_rows: Sequence[int]
    settings: Train
    content: ContentFeatures | None
    start: Start | None = None

    @cached_property
    def difficulty(self) -> Difficulty:
        """Return where the images are hard, cached across epochs."""
        return Difficulty(self.packed)

    def adversarial(self, epoch: int) -> bool:
        """Say whether an epoch is adversarial; the last ones are."""
        return epoch > self.settings.pixel_epochs

    def source(self, epoch: int) -> CropSource:
        """Return the source of an epoch's crops."""
        given, adversarial = self.settings, self.adversarial(epoch)
        return CropSource(
            self.packed,
            self.train_rows,
            given.adversarial_crops if adversarial else given.crops,
            given.batch_size,
            given.seed,
            self.difficulty,
            "train.adversarial.crops" if adversarial else "train.crops",
        )

    def steps(self, epoch: int) -> int:
        """Return the number of steps in an epoch."""
        return self.source(epoch).batches()

    def objective(self, epoch: int) -> Objective:
        """Return an epoch's objective; the last pixel epochs may have another image loss."""
        given = self.settings
        weights = given.loss
        if given.pixel_epochs - given.fine_epochs < epoch <= given.pixel_epochs:
            weights = weights.model_copy(update={"image": weights.fine_image})
        return Objective(weights, given.adversarial.form, self.content)

    def rates(self, epoch: int, step: int) -> tuple[float, float]:
        """Return the learning rates of generator and discriminator for a step."""
        given, steps = self.settings, self.steps(epoch)
        final = given.final_rate
        if not self.adversarial(epoch):
            at, of = (epoch - 1) * steps + step, given.pixel_epochs * steps
            rate = learning_rate(
                given.learning_rate, given.schedule, at, of, final=final, warmup=given.warmup_steps
            )
            return rate, 0.0
        stage = given.adversarial
        at, of = (epoch - given.pixel_epochs - 1) * steps + step, stage.epochs * steps
        return (
            learning_rate(stage.learning_rate, stage.schedule, at, of, final=final),
            learning_rate(stage.discriminator.learning_rate, stage.schedule, at, of, final=final),
        )

    def check(self, processes: int) -> None:
        """Refuse a task that cannot be trained, before training starts.

        Raises:
            DataError: the images are too small or too few for the crops.
            SettingsError: the margin leaves nothing of a crop, or the batch cannot be split
                equally.
        """
        for epoch in {1, self.settings.epochs}:
            self.source(epoch).check()
        if self.settings.batch_size % processes:
            raise SettingsError(
                f"train.batch_size is {self.settings.batch_size}, which {processes} processes "
                f"cannot share equally: set it to a multiple of {processes}, or SRPIPE_PROCESSES "
                "to a divisor"
            )


@dataclass
class Progress:
    """Training progress: `steps` of `epoch` are done; loss sums over them, and earlier epochs."""

    epoch: int = 1
    steps: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    history: list[EpochRecord] = field(default_factory=list)

    def add(self, losses: dict[str, Tensor]) -> None:
        """Count a step and add its losses."""
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += 1

    def next_epoch(self, record: EpochRecord) -> None:
        """Record the epoch and go to the next."""
        self.history.append(record)
        self.epoch, self.steps, self.sums = self.epoch + 1, 0, {}
