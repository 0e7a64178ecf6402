"""Sample radiographs: synthetic, of nobody, the same each time (docs/phantom.md)."""

import functools

from srpipe.imaging.arrays import GreyImage
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render

SAMPLES = ("Sample 1", "Sample 2", "Sample 3")
_SEED = 14


@functools.lru_cache(maxsize=len(SAMPLES))
def sample(name: str) -> GreyImage:
    """Return a sample by its name, HR, `uint8 (1024, 1024)`."""
    return render(Exposure(SAMPLES.index(name) + 1, 0, _SEED))
