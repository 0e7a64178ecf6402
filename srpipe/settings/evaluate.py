"""Settings of the evaluate stage."""

from typing import Annotated

from pydantic import Field, field_validator

from srpipe.settings.acquisition import Acquisition
from srpipe.settings.base import Count, Positive, Section, Seed


class Evaluate(Section):
    consistent: bool
    bootstrap_samples: Annotated[int, Field(ge=100)]
    seed: Seed
    curve_points: Count
    curve_images: Positive
    acquisitions: dict[str, Acquisition]
    acquisition_images: Positive

    @field_validator("curve_points")
    @classmethod
    def _a_curve_has_two_ends(cls, points: int) -> int:
        if points == 1:
            raise ValueError("given 1; must be 0 (no curve) or at least 2")
        return points
