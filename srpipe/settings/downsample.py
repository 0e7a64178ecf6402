"""Settings of the downsample stage."""

from typing import Literal

from srpipe.settings.base import Scale, Section


class Downsample(Section):
    scale: Scale
    sixteen_bit: Literal["minmax", "full_range"]
