"""An embedded cohort of synthetic frontal chest radiographs, for use without a network.

The images are for software tests, demonstrations and learning the pipeline. They are not evidence
about real radiographs: see docs/phantom.md.
"""

from srpipe.phantom.cohort import Exposure, plan_cohort
from srpipe.phantom.render import render
from srpipe.phantom.table import COLUMNS, table

__all__ = ["COLUMNS", "Exposure", "plan_cohort", "render", "table"]
