"""Settings of each data set, for the download stage."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from srpipe.settings.base import Section, Seed


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
