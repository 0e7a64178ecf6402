"""What is compared: acquisitions, and what makes an image of HR size of what they record."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from srpipe.acquisition.detector import noise_level
from srpipe.core.errors import CheckpointError
from srpipe.evaluation.comparison.methods import BICUBIC, SCALE
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import bicubic
from srpipe.metrics.baselines import denoised
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.models.inference import super_resolve
from srpipe.models.released import weights_file
from srpipe.settings.acquisition import IDEAL, Acquisition

DENOISED = "denoised, bicubic"
CONSISTENT = ", consistent"
ACQUISITIONS: Mapping[str, Acquisition] = MappingProxyType(
    {
        "ideal": IDEAL,
        **{f"noise {sigma}": Acquisition(noise=float(sigma)) for sigma in (2, 4, 8)},
        **{f"dose 1/{part}": Acquisition(dose=1 / part) for part in (2, 4, 8)},
    }
)
DEFAULT = ("plain_sr_x4", "plain_sr_ideal_x4", "plain_sr_x4_adversarial")


def generators(given: Sequence[str]) -> dict[str, Path]:
    """Return the files of generators by the names under which they are compared.

    Args:
        given: released models' names or files; a file has its name without suffix.

    Raises:
        CheckpointError: one cannot be loaded, is not for 4x, or two would have one name.
    """
    files: dict[str, Path] = {}
    for each in given:
        path = weights_file(each)
        if path.stem in files:
            raise CheckpointError(
                f"{files[path.stem]} and {path} would both be called {path.stem}: rename one"
            )
        require_scale(load_generator(path), SCALE, path)
        files[path.stem] = path
    return files


def all_images(lr: GreyImage, how: Acquisition, files: Mapping[str, Path]) -> dict[str, GreyImage]:
    """Return what every method makes of an LR image: `uint8 (4h, 4w)` by the method's name.

    The first generator is also made consistent, which keeps all that is in LR, noise included.
    """
    noise = noise_level(how, lr, SCALE)
    clean = denoised(lr, noise) if noise else lr
    made = {BICUBIC: bicubic(lr, SCALE), DENOISED: bicubic(clean, SCALE)}
    made |= {name: super_resolve(_loaded(path), lr) for name, path in files.items()}
    for name, path in list(files.items())[:1]:
        made[name + CONSISTENT] = super_resolve(_loaded(path), lr, consistent=True)
    return made


@functools.lru_cache(maxsize=8)
def _loaded(path: Path) -> SRGenerator:
    return load_generator(path).model
