"""From a file of an HR radiograph to what is compared."""

from pathlib import Path

from benchmarks.methods import SCALE
from srpipe.images import read_file
from srpipe.pairs import to_pair
from srpipe.resample import GreyImage


def pair(path: Path) -> tuple[GreyImage, GreyImage]:
    """Return the HR image of a file, and the LR image made of it as the pipeline makes it."""
    return to_pair(read_file(path, "minmax"), SCALE, path.name)
