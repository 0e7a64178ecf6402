"""Settings of the baseline stage."""

from srpipe.settings.base import Positive, Section


class Baseline(Section):
    back_projections: Positive
    content_images: Positive
