"""What runs a generator: ONNX Runtime, or torch.

ONNX Runtime runs files in the released form on the CPU in float32: it is faster there, and a
twentieth of torch's size. torch, an extra, runs all else: GPUs, bf16, and files of other trainers.
The two differ by float32's rounding.
"""

import copy
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from srpipe.core.errors import SettingsError
from srpipe.core.extras import require
from srpipe.enhance.tiles import Network
from srpipe.models.released import weights_file
from srpipe.models.weights import Weights, mixed, read_weights
from srpipe.runtime.session import Session, session

if TYPE_CHECKING:
    from srpipe.models.checkpoint import LoadedGenerator

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Generator:
    """A generator that is loaded, for any engine.

    Attributes:
        weights: in the released form, or the generator of another file.
    """

    weights: "Weights | LoadedGenerator"

    @property
    def scale(self) -> int:
        """How many times as large each way SR is."""
        return self.weights.scale

    @property
    def record(self) -> dict[str, Any]:
        """What the file says of it."""
        return self.weights.record

    @property
    def reach(self) -> int:
        """LR pixels beside its own, each way, that an SR pixel depends on."""
        weights = self.weights
        return weights.reach if isinstance(weights, Weights) else weights.model.reach

    @property
    def plain(self) -> Weights:
        """The generator as plain arrays, whatever file it is from."""
        weights = self.weights
        return weights if isinstance(weights, Weights) else weights.weights

    @functools.cached_property
    def with_torch(self) -> "LoadedGenerator":
        """The generator as torch has it, in eval mode on the CPU."""
        if not isinstance(self.weights, Weights):
            return self.weights
        from srpipe.models.checkpoint import built

        return built(self.weights)

    @functools.cached_property
    def with_onnx(self) -> Session | None:
        """The generator on ONNX Runtime; None if it has another form."""
        return session(self.weights) if isinstance(self.weights, Weights) else None


def load(weights: str | Path) -> Generator:
    """Load a generator by a released model's name or from a file; the last few are cached.

    Raises:
        CheckpointError: it cannot be loaded.
        MissingPackageError: it needs torch, which is not installed.
    """
    path = weights_file(weights)
    # Of a file: a replaced one, even of the same size and time, is another.
    state = path.stat() if path.exists() else None
    return _loaded(path, state and (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, state: tuple[int, int, int] | None) -> Generator:
    weights = read_weights(path)
    if weights is not None:
        return Generator(weights)
    require("torch", f"{path}, which is not in the form of the released files,")
    from srpipe.models.checkpoint import load_generator

    return Generator(load_generator(path))


@functools.lru_cache(maxsize=4)
def mixture(fidelity: str, perception: str, alpha: float) -> Generator:
    """Return a mixture of two released models (`models.weights.mixed`); the last few are cached."""
    parts = [read_weights(weights_file(name)) for name in (fidelity, perception)]
    first, second = (part for part in parts if part is not None)
    return Generator(mixed(first, second, alpha))


def network(generator: Generator, precision: Precision, device: str) -> Network:
    """Return a generator as a function of arrays.

    Args:
        generator: what is to run.
        precision: "fp32", or "bf16".
        device: torch device name.

    Raises:
        SettingsError: there is no such precision.
        CheckpointError: the weights are not those of a generator of their architecture.
        MissingPackageError: torch is needed, and not installed.
    """
    if precision not in get_args(Precision):
        raise SettingsError(
            f"precision is {precision!r}: give one of {', '.join(get_args(Precision))}"
        )
    if device == "cpu" and precision == "fp32" and generator.with_onnx is not None:
        return Network(generator.with_onnx, generator.scale, generator.reach)
    require("torch", f"the precision {precision} on {device}")
    from srpipe.models.inference import unrounded

    model = generator.with_torch.model
    # A copy, because other threads may use the loaded one on the CPU.
    model = model if device == "cpu" else copy.deepcopy(model).to(device)
    run = functools.partial(unrounded, model, device=device, bf16=precision == "bf16")
    return Network(run, generator.scale, generator.reach)
