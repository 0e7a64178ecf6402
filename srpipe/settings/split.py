"""Settings of the split stage."""

from typing import Literal, Self

from pydantic import model_validator

from srpipe.settings.base import Fraction, Section, Seed


class Split(Section):
    use_lists: bool
    same_image: Literal["refuse", "merge"]
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
