"""Weights files: the one place that saves and loads them.

A generator checkpoint says everything needed to use it: architecture, hyperparameters, scale, how
it was trained and what it scored. Loading is weights-only (no code runs), and the plain Swift-SRGAN
form (`{"model": state_dict}` or a bare state dict, as the public project released it) is read too.
"""

import copy
import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srpipe.errors import CheckpointError
from srpipe.files import replacing, sha256
from srpipe.models.base import SRGenerator
from srpipe.models.generators import SRGAN, SwiftSRGAN
from srpipe.models.plain_sr import PlainSR, deepened
from srpipe.settings import Generator
from srpipe.tensorfile import SUFFIX, read_tensors, write_tensors

FORMAT = "srpipe-generator-1"
# A released file's record may say that its kernels are stored in half the room.
KERNELS = "kernels"
HALF = "float16"
# What torch and pickle raise on files that are no checkpoint, or that would run code.
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
ARCHITECTURES: dict[str, type[PlainSR] | type[SwiftSRGAN] | type[SRGAN]] = {
    "plain_sr": PlainSR,
    "swift_srgan": SwiftSRGAN,
    "srgan": SRGAN,
}


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator in eval mode on the CPU, and what its file says of it.

    `record` holds `training` and `metrics` for our checkpoints, more for released ones, and nothing
    for the plain form and for a mixture.
    """

    model: SRGenerator
    architecture: str
    hyperparameters: dict[str, Any]
    scale: int
    record: dict[str, Any]


@dataclass(frozen=True)
class Start:
    """Weights that a training goes on from, and what is recorded of them."""

    weights: dict[str, Tensor]
    record: dict[str, str]


def load_start(settings: Generator, scale: int, path: Path) -> Start:
    """Load the weights that a training of the generator in the settings shall start from.

    Args:
        settings: of the generator to train. A plain_sr may have more hidden layers than the file's:
            identities are put among them.
        scale: of the generator to train.
        path: a released model or a checkpoint.

    Returns:
        The state dict, and the file's name and SHA-256 for the record.

    Raises:
        CheckpointError: the file cannot be loaded, or is of another generator.
    """
    loaded = load_generator(path)
    wanted = {"architecture": settings.name, **hyperparameters(settings, scale)}
    found = {"architecture": loaded.architecture, **loaded.hyperparameters}
    free = {"blocks"} if settings.name == "plain_sr" else set()
    differences = [
        f"{name} is {found.get(name)} there and {value} here"
        for name, value in wanted.items()
        if name not in free and found.get(name) != value
    ]
    try:
        if differences:
            raise ValueError("; ".join(differences))
        weights = loaded.model.state_dict()
        if free:
            weights = deepened(weights, settings.blocks)
    except ValueError as error:
        raise CheckpointError(
            f"train.start: {path} cannot be trained on with these settings: {error}. Change "
            "train.generator, or start from other weights, or from none (null)"
        ) from error
    return Start(weights, {"file": path.name, "sha256": sha256(path)})


def build_generator(settings: Generator, scale: int) -> SRGenerator:
    """Return a new generator with the architecture that the settings name."""
    return ARCHITECTURES[settings.name](**hyperparameters(settings, scale))


def hyperparameters(settings: Generator, scale: int) -> dict[str, Any]:
    """Return the constructor's arguments, as a checkpoint records them."""
    return {**settings.model_dump(exclude={"name"}), "scale": scale}


def save_generator(
    path: Path,
    model: nn.Module,
    *,
    architecture: str,
    hyperparameters: Mapping[str, Any],
    training: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> None:
    """Write a checkpoint: the same training gives the same bytes, a fault leaves the old file.

    Raises:
        OutputError: the file cannot be written.
    """
    # Cloned, so that the memory layout that training chose does not show in the bytes.
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


def save(path: Path, value: Mapping[str, Any]) -> None:
    """Write any weights-only-loadable mapping atomically, without its path or a time inside."""
    # Through memory: torch.save on a path stores that path's (temporary) name in the file.
    buffer = io.BytesIO()
    torch.save(dict(value), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def save_plain(path: Path, loaded: LoadedGenerator) -> None:
    """Write the plain Swift-SRGAN form (a bare state dict), which other tools load.

    Raises:
        CheckpointError: the plain form cannot say what this generator is.
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
    """Write a generator as a safetensors file, which needs none of our code to be read.

    The same weights and facts give the same bytes. Where the generator is a `swift_srgan` without
    bicubic skip, the arrays are those of the plain form: spandrel loads the file.

    Args:
        path: the file, ending in ".safetensors".
        loaded: the generator; what its file said of its training is recorded.
        facts: what else there is to say: data, licence, commit, scores. `kernels: float16` stores
            what has more than one dimension so, in half the room; it is float32 again when loaded.

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
    arrays = loaded.model.state_dict()
    if record.get(KERNELS) == HALF:
        arrays = {
            name: value.half() if value.ndim > 1 and value.is_floating_point() else value
            for name, value in arrays.items()
        }
    write_tensors(path, arrays, record)


def load_generator(path: Path) -> LoadedGenerator:
    """Load a generator: our checkpoint, a released safetensors file, or the plain Swift-SRGAN form.

    Raises:
        CheckpointError: the file is missing, no checkpoint, or does not fit its architecture.
    """
    content = _released(path) if path.suffix == SUFFIX else load(path)
    ours = content.get("format") == FORMAT
    try:
        architecture, arguments, state, record = (_ours if ours else _plain)(content)
        if architecture not in ARCHITECTURES:
            raise ValueError(f"architecture {architecture!r}; known are {', '.join(ARCHITECTURES)}")
        model = ARCHITECTURES[architecture](**arguments)
        model.load_state_dict(state)
    except KeyError as error:
        raise CheckpointError(f"{path} is incomplete: {error} is missing") from error
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} does not fit its architecture: {error}") from error
    return LoadedGenerator(model.eval(), architecture, arguments, arguments["scale"], record)


def require_scale(loaded: LoadedGenerator, scale: int, path: Path) -> None:
    """Refuse a generator of another scale than the images.

    Raises:
        CheckpointError: the scales differ.
    """
    if loaded.scale != scale:
        raise CheckpointError(
            f"{path} is a {loaded.scale}x generator, the images are for {scale}x: use weights of "
            f"that scale, or make the images with downsample.scale: {loaded.scale}"
        )


def interpolate(
    pixel: LoadedGenerator, adversarial: LoadedGenerator, alpha: float
) -> LoadedGenerator:
    """Return the generator with the weights (1 - alpha) * pixel + alpha * adversarial.

    X. Wang et al., "ESRGAN", ECCV Workshops 2018, call it network interpolation: it makes sense
    where `adversarial` was trained on from `pixel`. At 0 and at 1 the weights are those of the one
    or the other, bit by bit. Counts (of BatchNorm's batches) are those of the nearer.

    Raises:
        ValueError: `alpha` is not in [0, 1].
        CheckpointError: the two are not of one architecture with the same hyperparameters.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: must be from 0 (pixel) to 1 (adversarial)")
    differences = _differences(pixel, adversarial)
    if differences:
        raise CheckpointError(
            f"generators that differ in {'; '.join(differences)} cannot be interpolated: give one, "
            "and one that was trained on from it"
        )
    start, end = pixel.model.state_dict(), adversarial.model.state_dict()
    nearer = start if alpha < 0.5 else end
    # lerp, because it leaves alone what is equal in both; at the ends it would lose signs of zero.
    mixed = {
        name: torch.lerp(start[name], end[name], alpha)
        if 0 < alpha < 1 and value.is_floating_point()
        else value
        for name, value in nearer.items()
    }
    model = copy.deepcopy(pixel.model)
    model.load_state_dict(mixed)
    return LoadedGenerator(
        model.eval(), pixel.architecture, dict(pixel.hyperparameters), pixel.scale, {}
    )


def same_weights(a: LoadedGenerator, b: LoadedGenerator) -> bool:
    """Say whether two generators are of one architecture and all their weights are equal."""
    if _differences(a, b):
        return False
    other = b.model.state_dict()
    return all(torch.equal(value, other[name]) for name, value in a.model.state_dict().items())


def _differences(a: LoadedGenerator, b: LoadedGenerator) -> list[str]:
    """Return what differs in how two generators are built, in words."""
    built = [{"architecture": each.architecture, **each.hyperparameters} for each in (a, b)]
    return [
        f"{name} ({built[0].get(name)} and {built[1].get(name)})"
        for name in built[0] | built[1]
        if built[0].get(name) != built[1].get(name)
    ]


def load(path: Path) -> dict[str, Any]:
    """Read a weights file without running any code from it.

    Raises:
        CheckpointError: the file is missing or is no checkpoint.
    """
    try:
        if zipfile.is_zipfile(path):
            # torch does not check the sums that it stores: a flipped bit would load in silence.
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: give a weights file") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder: give a weights file") from error
    except _UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path} is no checkpoint that can be loaded safely ({reason}): give a file written by "
            "srpipe, or the plain Swift-SRGAN form"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content


def _released(path: Path) -> dict[str, Any]:
    """Return a safetensors file's content in the form that `load` gives."""
    state, record = read_tensors(path)
    return {**record, "state_dict": state} if record is not None else dict(state)


def _ours(content: dict[str, Any]) -> tuple[str, dict[str, Any], Any, dict[str, Any]]:
    built = {"format", "architecture", "hyperparameters", "scale", "state_dict"}
    record = {key: value for key, value in content.items() if key not in built}
    return content["architecture"], content["hyperparameters"], content["state_dict"], record


def _plain(content: dict[str, Any]) -> tuple[str, dict[str, Any], Any, dict[str, Any]]:
    """Read architecture and hyperparameters of a plain Swift-SRGAN from its shapes."""
    state = content.get("model", content)
    known = isinstance(state, dict) and all(
        isinstance(state.get(key), Tensor) and state[key].ndim == 4
        for key in ("initial.cnn.depthwise.weight", "initial.cnn.pointwise.weight")
    )
    if not known:
        raise ValueError("neither a srpipe checkpoint nor a plain Swift-SRGAN state dict")
    arguments = {
        "channels": state["initial.cnn.depthwise.weight"].shape[0],
        "features": state["initial.cnn.pointwise.weight"].shape[0],
        "blocks": _length(state, "residual"),
        "scale": 2 ** _length(state, "upsampler"),
        "bicubic_skip": False,
    }
    return "swift_srgan", arguments, state, {}


def _length(state: Mapping[str, Tensor], name: str) -> int:
    return len({key.split(".")[1] for key in state if key.startswith(f"{name}.")})
