"""Settings of the downsample stage."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from srpipe.settings.acquisition import IDEAL, Acquisition
from srpipe.settings.base import Scale, Section, Seed


def _eight_bits(acquisition: Acquisition) -> Acquisition:
    if acquisition.bits != IDEAL.bits:
        raise ValueError(
            f"bits is {acquisition.bits}: LR images of a data set have 8. train.crops.acquired and "
            "evaluate.acquisitions take more"
        )
    return acquisition


class Downsample(Section):
    scale: Scale
    sixteen_bit: Literal["minmax", "full_range"]
    acquisition: Annotated[Acquisition, AfterValidator(_eight_bits)]
    seed: Seed
    damaged: Literal["refuse", "exclude"]
