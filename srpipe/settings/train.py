"""Settings of the train stage."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from srpipe.core import paths
from srpipe.settings.acquisition import Acquisitions
from srpipe.settings.base import Count, Fraction, Positive, Probability, Section, Seed, Weight

Schedule = Literal["cosine", "constant"]
Optimization = Literal["adamw", "muon"]
# Muon is for kernels with at least this many input and output channels.
MUON_CHANNELS = 16


class CropSize(Section):
    """Crop size, and crops per image in an epoch."""

    size: Annotated[int, Field(ge=32)]
    per_image: Positive

    @field_validator("size")
    @classmethod
    def _fits_every_scale(cls, size: int) -> int:
        if size % 16:
            raise ValueError(f"given {size}; must be a multiple of 16 HR pixels")
        return size


class Crops(CropSize):
    """How an epoch's crops are drawn and augmented (by `training.crops`)."""

    candidates: Annotated[int, Field(ge=1, le=64)]
    shifts: bool
    turns: Probability
    markers: Probability
    jitter: Probability
    acquired: Acquisitions
    margin: Annotated[int, Field(ge=0, le=255)]


class Generator(Section):
    name: Literal["plain_sr", "swift_srgan", "srgan"]
    channels: Literal[1, 3]
    features: Annotated[int, Field(ge=4)]
    blocks: Positive
    bicubic_skip: bool

    @model_validator(mode="after")
    def _plain_sr_has_one_form(self) -> Self:
        if self.name == "plain_sr" and (self.channels != 1 or not self.bicubic_skip):
            raise ValueError("plain_sr needs channels: 1 and bicubic_skip: true, it has one form")
        return self


class Loss(Section):
    image: Literal["l1", "mse", "psnr"]
    fine_image: Literal["l1", "mse", "psnr"]
    total_variation: Weight
    adversarial: Weight
    content: Weight


class Discriminator(Section):
    name: Literal["swift", "unet"]
    features: Annotated[int, Field(ge=4)]
    learning_rate: Fraction


class Content(Section):
    network: Literal["efficientnet_lite0", "mobilenet_v2"]
    weights: str | None

    @model_validator(mode="after")
    def _packaged_weights_take_no_file(self) -> Self:
        if self.network == "efficientnet_lite0" and self.weights is not None:
            raise ValueError("weights must be null: efficientnet_lite0 brings its own")
        return self


class Adversarial(Section):
    """The adversarial epochs, which follow the pixel epochs."""

    epochs: Count
    crops: CropSize
    learning_rate: Fraction
    schedule: Schedule
    form: Literal["bce", "hinge", "relativistic"]
    discriminator: Discriminator
    content: Content


class Train(Section):
    seed: Seed
    start: str | None
    epochs: Positive
    fine_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Optimization
    learning_rate: Fraction
    schedule: Schedule
    final_rate: Annotated[float, Field(gt=0, le=1)]
    warmup_steps: Count
    weight_decay: Weight
    gradient_clip: Weight
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "fp32", "bf16"]
    validation_images: Positive
    generator: Generator
    crops: Crops
    loss: Loss
    adversarial: Adversarial

    @property
    def pixel_epochs(self) -> int:
        """Return the number of epochs before the adversarial ones."""
        return self.epochs - self.adversarial.epochs

    @property
    def adversarial_crops(self) -> Crops:
        """Return the crops of the adversarial epochs, which differ only in size and number."""
        return self.crops.model_copy(update=dict(self.adversarial.crops))

    @property
    def uses_content(self) -> bool:
        """Say whether training needs the feature network: only adversarial epochs use it."""
        return self.adversarial.epochs > 0 and self.loss.content > 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.pixel_epochs < (0 if self.start else 1):
            raise ValueError(
                f"adversarial.epochs is {self.adversarial.epochs} of {self.epochs} epochs: must be "
                "fewer, because the pixel epochs come first, or at most as many with trained "
                "weights in train.start"
            )
        if self.fine_epochs > self.pixel_epochs:
            raise ValueError(
                f"fine_epochs is {self.fine_epochs} of {self.pixel_epochs} pixel epochs: must not "
                "be more, because they are the last of those"
            )
        made = [paths.from_user(str(path)).resolve() for path in (paths.GENERATOR, paths.PIXEL)]
        if self.start is not None and paths.from_user(self.start).resolve() in made:
            raise ValueError(
                f"start is {self.start}, which this training writes anew: copy it to another place "
                "and give that"
            )
        if self.optimizer == "muon" and self.generator.features < MUON_CHANNELS:
            raise ValueError(
                f"generator.features is {self.generator.features}: optimizer: muon needs at least "
                f"{MUON_CHANNELS}, or no kernel is its own; raise them or take optimizer: adamw"
            )
        return self
