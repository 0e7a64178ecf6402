"""Settings of the stages download, downsample and split."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from srpipe.settings.base import Fraction, Scale, Section, Seed


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
