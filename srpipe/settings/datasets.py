"""Settings of each data set, for the download stage."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from srpipe.settings.base import Section, Seed


class Phantom(Section):
    patients: Annotated[int, Field(ge=3, lt=10**8)]
    max_images_per_patient: Annotated[int, Field(ge=1, le=1000)]
    seed: Seed


# Named patterns: each is searched in an image's path below the folder.
PATTERNS = {
    # The file name up to its first "_" or ".".
    "file_name": r"(?:^|/)(?P<patient>[^/_.]+)[^/]*$",
    # NIH ChestX-ray14: 00000001_000.png
    "nih": r"(?:^|/)(?P<patient>\d{8})_\d{3}\.[^/]*$",
    # CheXpert: train/patient00001/study1/view1_frontal.jpg
    "chexpert": r"(?:^|/)(?P<patient>patient\d+)/study\d+/[^/]*$",
    # MIMIC-CXR-JPG: p10/p10000032/s50414267/02aa804e-....jpg
    "mimic": r"(?:^|/)(?P<patient>p\d{8})/s\d{8}/[^/]*$",
    # No patient IDs, so every image counts as a patient of its own: VinDr-CXR.
    "image": r"^(?P<patient>.+)$",
}


class Folder(Section):
    path: Annotated[str, Field(min_length=1)]
    patient_pattern: str
    accept_patients: bool
    patient_table: str | None
    image_column: str
    patient_column: str

    @model_validator(mode="after")
    def _patients_are_found(self) -> Self:
        if self.image_column == self.patient_column:
            raise ValueError(
                f"image_column and patient_column are both {self.image_column!r}: name two columns"
            )
        known = ", ".join(PATTERNS)
        try:
            groups = re.compile(PATTERNS.get(self.patient_pattern, self.patient_pattern)).groupindex
        except re.error as error:
            raise ValueError(
                f"patient_pattern is no regular expression ({error}) and none of {known}"
            ) from error
        if "patient" not in groups:
            raise ValueError(
                f"patient_pattern must be one of {known}, or a regular expression with a group "
                "named patient: (?P<patient>...)"
            )
        return self


class Nih(Section):
    archive: str | None


class Datasets(Section):
    phantom: Phantom
    folder: Folder
    nih: Nih
    nih_sample: Nih
