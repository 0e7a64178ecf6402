"""Saving and loading generator checkpoints.

A checkpoint holds everything needed to use it: architecture, hyperparameters, scale, how it was
trained, and its scores. Loading is weights-only (no code runs). State dicts of other trainers, bare
or wrapped, are read too (`state_dict`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srpipe.core.errors import CheckpointError
from srpipe.core.torch_file import load, save
from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.base import SRGenerator
from srpipe.models.released import SUFFIX
from srpipe.models.safetensors_file import read_arrays, write_arrays
from srpipe.models.state_dict import find_generator, some
from srpipe.models.weights import BUILT, FORMAT, HALF, KERNELS, Weights, read_weights

# Of torch's message about shapes that do not agree, which has a line a weight.
_LINES = 4


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in eval mode on the CPU, and its file's record.

    `record` holds `training` and `metrics` for our checkpoints, more for released ones, and nothing
    for a state dict and for an interpolated generator.
    """

    model: SRGenerator
    architecture: str
    hyperparameters: dict[str, Any]
    scale: int
    record: dict[str, Any]

    @property
    def weights(self) -> Weights:
        """The same as plain arrays, on the CPU; they may share memory with the model."""
        arrays = {
            name: each.detach().cpu().numpy() for name, each in self.model.state_dict().items()
        }
        return Weights(self.architecture, self.hyperparameters, arrays, self.record)


def save_generator(
    path: Path,
    model: nn.Module,
    *,
    architecture: str,
    hyperparameters: Mapping[str, Any],
    training: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> None:
    """Write a checkpoint: the same training gives the same bytes; on an error the old file stays.

    Raises:
        OutputError: the file cannot be written.
    """
    # Cloned, so that the bytes do not depend on the memory layout used in training.
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    save(
        path,
        {
            "format": FORMAT,
            "architecture": architecture,
            "hyperparameters": dict(hyperparameters),
            "scale": hyperparameters["scale"],
            "training": dict(training),
            "metrics": dict(metrics),
            "state_dict": state,
        },
    )


def save_plain(path: Path, loaded: LoadedGenerator) -> None:
    """Write the plain Swift-SRGAN form (a bare state dict), which other tools load.

    Raises:
        CheckpointError: the plain form cannot represent this generator.
        OutputError: the file cannot be written.
    """
    if loaded.architecture != "swift_srgan" or loaded.hyperparameters["bicubic_skip"]:
        raise CheckpointError(
            "only a swift_srgan without bicubic_skip has a plain form, this is "
            f"{loaded.architecture} with bicubic_skip {loaded.hyperparameters['bicubic_skip']}: "
            "other tools would load it and give wrong images. Train with "
            "train.generator.name: swift_srgan and train.generator.bicubic_skip: false."
        )
    save(path, loaded.model.state_dict())


def save_released(path: Path, loaded: LoadedGenerator, facts: Mapping[str, Any]) -> None:
    """Write a generator as a safetensors file, readable without our code.

    The same weights and facts give the same bytes. For a `swift_srgan` without bicubic skip, the
    arrays are those of the plain form: spandrel loads the file.

    Args:
        path: the file, ending in ".safetensors".
        loaded: the generator; its training record is kept.
        facts: further entries of the record: data, licence, commit, scores. `kernels: float16`
            stores tensors of more than one dimension in float16, half the size; they are float32
            again when loaded.

    Raises:
        OutputError: the file cannot be written.
    """
    record = {
        "format": FORMAT,
        "architecture": loaded.architecture,
        "hyperparameters": loaded.hyperparameters,
        "scale": loaded.scale,
        **loaded.record,
        **facts,
    }
    arrays = loaded.weights.arrays
    if record.get(KERNELS) == HALF:
        arrays = {
            name: value.astype(np.float16) if value.ndim > 1 and value.dtype.kind == "f" else value
            for name, value in arrays.items()
        }
    write_arrays(path, arrays, record)


def load_generator(path: Path) -> LoadedGenerator:
    """Load a generator: our checkpoint, a released safetensors file, or any trainer's state dict.

    Raises:
        CheckpointError: the file is missing, no checkpoint, or has no weights of a known generator.
    """
    try:
        weights = read_weights(path)
        if weights is not None:
            return built(weights)
        if path.suffix == SUFFIX:
            arrays, _ = read_arrays(path)
            content: dict[str, Any] = {
                name: torch.from_numpy(each) for name, each in arrays.items()
            }
        else:
            content = load(path)
        if content.get("format") == FORMAT:
            architecture, arguments = content["architecture"], content["hyperparameters"]
            state = content["state_dict"]
            record = {key: value for key, value in content.items() if key not in BUILT}
        else:
            (architecture, arguments, state), record = find_generator(content), {}
        return _built(architecture, arguments, state, record)
    except KeyError as error:
        raise CheckpointError(f"{path} is incomplete: {error} is missing") from error
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        told = " ".join(str(error).split("\n\t")[:_LINES])
        raise CheckpointError(f"{path} cannot be loaded as a generator: {told}") from error


def built(weights: Weights) -> LoadedGenerator:
    """Return the generator with these weights, which are copied.

    Raises:
        ValueError, TypeError, RuntimeError: they are not those of a generator of ours.
    """
    state = {name: torch.from_numpy(np.array(each)) for name, each in weights.arrays.items()}
    return _built(weights.architecture, weights.hyperparameters, state, weights.record)


def _built(
    architecture: str,
    arguments: dict[str, Any],
    state: Mapping[str, Tensor],
    record: dict[str, Any],
) -> LoadedGenerator:
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
    model = ARCHITECTURES[architecture](**arguments)
    _fill(model, state)
    return LoadedGenerator(model.eval(), architecture, arguments, arguments["scale"], record)


def require_scale(loaded: LoadedGenerator, scale: int, path: Path) -> None:
    """Refuse a generator whose scale is not the images'.

    Raises:
        CheckpointError: the scales differ.
    """
    if loaded.scale != scale:
        raise CheckpointError(
            f"{path} is a {loaded.scale}x generator, the images are for {scale}x: use weights of "
            f"that scale, or make the images with downsample.scale: {loaded.scale}"
        )


def _fill(model: SRGenerator, state: Mapping[str, Tensor]) -> None:
    """Load weights, all of them and no others.

    Raises:
        ValueError: names do not agree.
        RuntimeError: shapes do not agree.
    """
    missing, unexpected = model.load_state_dict(state, strict=False)
    if missing or unexpected:
        told = [f"it lacks {some(missing)}"] * bool(missing)
        told += [f"it has {some(unexpected)} besides"] * bool(unexpected)
        raise ValueError(" and ".join(told))
