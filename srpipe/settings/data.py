"""Which data set the pipeline uses."""

from typing import Literal

from srpipe.settings.base import Section


class Data(Section):
    name: Literal["phantom", "folder", "nih", "nih_sample"]
