"""Generators as plain arrays, without torch: what a released file holds, and mixtures of two."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srpipe.core.errors import CheckpointError
from srpipe.models.form import reach
from srpipe.models.released import SUFFIX, released_names
from srpipe.models.safetensors_file import Arrays, read_arrays

FORMAT = "srpipe-generator-1"
# A released file's record may say that its kernels are stored in half precision.
KERNELS = "kernels"
HALF = "float16"
# Entries of a file of ours that are no part of its record: a generator is built from them.
BUILT = {"format", "architecture", "hyperparameters", "scale", "state_dict"}


@dataclass(frozen=True)
class Weights:
    """A generator's weights.

    Attributes:
        architecture: "plain_sr", "swift_srgan" or "srgan".
        hyperparameters: arguments of its constructor.
        arrays: by the names of torch's state dict; kernels are `(out, in, height, width)`.
        record: of the file, such as `training`, `metrics` and `interval`; empty for a mixture.
    """

    architecture: str
    hyperparameters: dict[str, Any]
    arrays: Arrays
    record: dict[str, Any]

    @property
    def scale(self) -> int:
        """How many times as large each way SR is."""
        return int(self.hyperparameters["scale"])

    @property
    def reach(self) -> int:
        """LR pixels beside its own, each way, that an SR pixel depends on (`form`)."""
        return reach(self.architecture, self.hyperparameters)


def read_weights(path: Path) -> Weights | None:
    """Read a released file, or one that `srpipe export` wrote as safetensors.

    Returns:
        None if it is another kind of file, which `checkpoint.load_generator` may read.

    Raises:
        CheckpointError: the file is missing, damaged or incomplete.
    """
    require_file(path)
    if path.suffix != SUFFIX:
        return None
    arrays, record = read_arrays(path)
    if record is None or record.get("format") != FORMAT:
        return None
    try:
        return Weights(
            record["architecture"],
            record["hyperparameters"],
            # Kernels may be stored in half precision.
            {n: v.astype(np.float32) if v.dtype == np.float16 else v for n, v in arrays.items()},
            {key: value for key, value in record.items() if key not in BUILT},
        )
    except KeyError as error:
        raise CheckpointError(f"{path} is incomplete: {error} is missing") from error


def require_file(path: Path) -> None:
    """Refuse a weights file that is not there.

    Raises:
        CheckpointError: it is not.
    """
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: give a weights file, or a released model by its name: "
            f"{', '.join(released_names())}. Those in models/ come from `make repro`, or from "
            "`dvc pull` where a remote is set"
        )


def mixed(pixel: Weights, adversarial: Weights, alpha: float) -> Weights:
    """Return the generator with the weights (1 - alpha) * pixel + alpha * adversarial.

    Network interpolation (X. Wang et al., "ESRGAN", ECCV Workshops 2018) makes sense if
    `adversarial` was trained on from `pixel`. At 0 and 1 the weights are bit for bit those of one
    or the other. Counters (BatchNorm's batches) are taken from the nearer one.

    Raises:
        ValueError: `alpha` is not in [0, 1].
        CheckpointError: the architectures or hyperparameters differ.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: must be from 0 (pixel) to 1 (adversarial)")
    differences = _differences(pixel, adversarial)
    if differences:
        raise CheckpointError(
            f"generators that differ in {'; '.join(differences)} cannot be interpolated: give one, "
            "and one that was trained on from it"
        )
    start, end = pixel.arrays, adversarial.arrays
    nearer = start if alpha < 0.5 else end
    # What is equal in both stays; at the ends, adding would lose signs of zero.
    between = {
        name: start[name] + value.dtype.type(alpha) * (end[name] - start[name])
        if 0 < alpha < 1 and value.dtype.kind == "f"
        else value
        for name, value in nearer.items()
    }
    return Weights(pixel.architecture, dict(pixel.hyperparameters), between, {})


def same(a: Weights, b: Weights) -> bool:
    """Say whether two generators have the same architecture and equal weights."""
    return not _differences(a, b) and all(
        np.array_equal(value, b.arrays[name]) for name, value in a.arrays.items()
    )


def _differences(a: Weights, b: Weights) -> list[str]:
    """Describe how two generators differ in architecture and hyperparameters."""
    built = [{"architecture": each.architecture, **each.hyperparameters} for each in (a, b)]
    return [
        f"{name} ({built[0].get(name)} and {built[1].get(name)})"
        for name in built[0] | built[1]
        if built[0].get(name) != built[1].get(name)
    ]
