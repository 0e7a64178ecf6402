"""What is compared: every method makes an SR image of an LR image."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.consistency import make_consistent
from srpipe.imaging.resample import back_project, bicubic, to_grey
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import unrounded
from srpipe.models.released import weights_file

SCALE = 4
BICUBIC = "bicubic"
BACK_PROJECTED = "bicubic + 3 back-projections"
PUBLISHED = "Swift-SRGAN, published"
PUBLISHED_PROJECTED = f"{PUBLISHED}, + 1 back-projection"
SWIFT_SRGAN = "Swift-SRGAN, ours"
SMALL = "plain_sr, small"
FIDELITY = "plain_sr"
ADVERSARIAL = "plain_sr, adversarial"
CONSISTENT = ", consistent"
# Trained on ideal LR alone: what FIDELITY and ADVERSARIAL were trained on from.
IDEAL_ONLY = "plain_sr, ideal LR only"


@dataclass(frozen=True)
class Weights:
    """The files of the generators by the names of their methods; an absent one is not compared."""

    files: Mapping[str, Path]

    @property
    def names(self) -> list[str]:
        """Return all methods' names, in the order of the tables."""
        names = [BICUBIC, BACK_PROJECTED]
        for name in self.files:
            names += [name, PUBLISHED_PROJECTED] if name == PUBLISHED else [name]
            names.append(name + CONSISTENT)
        return names


def released(published: Path | None) -> Weights:
    """Return the released generators, and the published one where its file is given."""
    ours = {
        SWIFT_SRGAN: weights_file("swift_srgan_x4"),
        SMALL: weights_file("plain_sr_small_x4"),
        IDEAL_ONLY: weights_file("plain_sr_ideal_x4"),
        FIDELITY: weights_file("plain_sr_x4"),
        ADVERSARIAL: weights_file("plain_sr_x4_adversarial"),
    }
    return Weights(({PUBLISHED: published} if published else {}) | ours)


def all_images(lr: GreyImage, weights: Weights) -> dict[str, GreyImage]:
    """Return what every method makes of an LR image: `uint8 (4h, 4w)` by the method's name.

    Raises:
        CheckpointError: a generator's file cannot be loaded.
    """
    images = {BICUBIC: bicubic(lr, SCALE), BACK_PROJECTED: back_project(lr, SCALE, 3)}
    for name, path in weights.files.items():
        sr = unrounded(_loaded(path), lr)
        images[name] = to_grey(sr)
        if name == PUBLISHED:
            images[PUBLISHED_PROJECTED] = back_project(lr, SCALE, 1, sr)
        images[name + CONSISTENT] = to_grey(make_consistent(sr, lr))
    return images


@functools.lru_cache(maxsize=8)
def _loaded(path: Path) -> SRGenerator:
    return load_generator(path).model
