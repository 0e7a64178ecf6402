"""The one reader of `params.yaml`: typed, frozen settings that refuse what they do not know.

Every key must be there, none may be unknown, no type is coerced; all problems are told at once.
What each setting means is written beside it in `params.yaml`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from srpipe import paths
from srpipe.errors import SettingsError

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Scale = Literal[2, 4, 8]


class Section(BaseModel):
    """A block of settings: immutable, strict types, nothing unknown, nothing missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Data(Section):
    name: Literal["phantom", "folder", "nih"]


class Phantom(Section):
    patients: Annotated[int, Field(ge=3, lt=10**8)]
    max_images_per_patient: Annotated[int, Field(ge=1, le=1000)]
    seed: Seed


class Folder(Section):
    path: Annotated[str, Field(min_length=1)]
    patient_pattern: str
    patient_table: str | None
    image_column: str
    patient_column: str

    @model_validator(mode="after")
    def _pattern_names_the_patient(self) -> Self:
        try:
            groups = re.compile(self.patient_pattern).groupindex
        except re.error as error:
            raise ValueError(f"patient_pattern is no regular expression: {error}") from error
        if "patient" not in groups:
            raise ValueError("patient_pattern needs a group named patient: (?P<patient>...)")
        return self


class Nih(Section):
    archive: str | None


class Datasets(Section):
    phantom: Phantom
    folder: Folder
    nih: Nih


class Downsample(Section):
    scale: Scale
    sixteen_bit: Literal["minmax", "full_range"]


class Split(Section):
    use_lists: bool
    validation: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation + test is {self.validation + self.test:g}: must be below 1, "
                "or nothing is left to train on"
            )
        return self


class Baseline(Section):
    back_projections: Positive


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


class Discriminator(Section):
    name: Literal["swift", "unet"]
    features: Annotated[int, Field(ge=4)]
    learning_rate: Rate


class Content(Section):
    network: Literal["efficientnet_lite0", "mobilenet_v2"]
    weights: str | None

    @model_validator(mode="after")
    def _packaged_weights_take_no_file(self) -> Self:
        if self.network == "efficientnet_lite0" and self.weights is not None:
            raise ValueError("weights must be null: efficientnet_lite0 brings its own")
        return self


class Loss(Section):
    image: Literal["l1", "mse", "psnr"]
    fine_image: Literal["l1", "mse", "psnr"]
    adversarial_form: Literal["bce", "hinge", "relativistic"]
    adversarial: Weight
    content: Weight
    total_variation: Weight


Optimization = Literal["adamw", "muon"]
# Muon is for kernels of at least so many input and output channels.
MUON_CHANNELS = 16


class Train(Section):
    seed: Seed
    start: str | None
    epochs: Positive
    adversarial_epochs: Count
    fine_epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    crop: Annotated[int, Field(ge=32)]
    crops_per_image: Positive
    adversarial_crop: Annotated[int, Field(ge=32)]
    adversarial_crops_per_image: Positive
    crop_candidates: Annotated[int, Field(ge=1, le=64)]
    crop_shifts: bool
    crop_turns: Annotated[float, Field(ge=0, le=1)]
    crop_markers: Annotated[float, Field(ge=0, le=1)]
    crop_jitter: Annotated[float, Field(ge=0, le=1)]
    crop_margin: Annotated[int, Field(ge=0, le=255)]
    learning_rate: Rate
    adversarial_learning_rate: Rate
    optimizer: Optimization
    schedule: Literal["cosine", "constant"]
    adversarial_schedule: Literal["cosine", "constant"]
    final_rate: Annotated[float, Field(gt=0, le=1)]
    warmup_steps: Count
    weight_decay: Weight
    gradient_clip: Weight
    ema: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "fp32", "bf16"]
    validation_images: Positive
    generator: Generator
    discriminator: Discriminator
    loss: Loss
    content: Content

    @property
    def uses_content(self) -> bool:
        """Say whether training needs the feature network: only adversarial epochs use it."""
        return self.adversarial_epochs > 0 and self.loss.content > 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.adversarial_epochs >= self.epochs:
            raise ValueError(
                f"adversarial_epochs is {self.adversarial_epochs} of {self.epochs} epochs: must be "
                "fewer, because the pixel-loss epochs come first"
            )
        pixel = self.epochs - self.adversarial_epochs
        if self.fine_epochs > pixel:
            raise ValueError(
                f"fine_epochs is {self.fine_epochs} of {pixel} pixel epochs: must not be more, "
                "because they are the last of those"
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
        for name in ("crop", "adversarial_crop"):
            side = getattr(self, name)
            if side % 16:
                raise ValueError(f"{name} is {side}: must be a multiple of 16 HR pixels")
        return self


class Evaluate(Section):
    consistent: bool
    bootstrap_samples: Annotated[int, Field(ge=100)]
    seed: Seed
    curve_points: Count
    curve_images: Positive

    @field_validator("curve_points")
    @classmethod
    def _a_curve_has_two_ends(cls, points: int) -> int:
        if points == 1:
            raise ValueError("given 1; must be 0 (no curve) or at least 2")
        return points


class Params(Section):
    """All of `params.yaml`."""

    data: Data
    datasets: Datasets
    downsample: Downsample
    split: Split
    baseline: Baseline
    train: Train
    evaluate: Evaluate


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which also reads 5e-05 as a number, as YAML 1.2 and DVC write it."""


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check `params.yaml`.

    Raises:
        SettingsError: the file is missing or no YAML, or any key is unknown, missing, of the wrong
            type or out of range; the message lists all of them.
    """
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} is missing in {Path.cwd()}: run this from the root of the repository"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as text: {error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {error}") from error
    if not isinstance(given, dict):
        raise SettingsError(f"{path} must hold sections such as 'train:', got {given!r}")
    try:
        return Params.model_validate(given)
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(each)}" for each in error.errors())
        raise SettingsError(
            f"{error.error_count()} problem(s) in {path}:\n{problems}\n"
            "What each key means and allows is written beside it in params.yaml."
        ) from error


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    given = error["input"]
    match error["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden":
            return f"{key}: unknown key (given {given!r})"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case _:
            return f"{key}: given {given!r}; {error['msg'][0].lower()}{error['msg'][1:]}"
