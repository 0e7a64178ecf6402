"""Initial weights of a training (`train.start`)."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from srpipe.core.errors import CheckpointError
from srpipe.core.files import sha256
from srpipe.models.checkpoint import load_generator
from srpipe.models.plain_sr import deepened
from srpipe.settings.train import Generator
from srpipe.training.networks import hyperparameters


@dataclass(frozen=True)
class Start:
    """Initial weights of a training, and their record."""

    weights: dict[str, Tensor]
    record: dict[str, str]


def load_start(settings: Generator, scale: int, path: Path) -> Start:
    """Load the initial weights of the configured generator.

    Args:
        settings: of the generator to train. A plain_sr may have more hidden layers than the file's:
            identities are inserted.
        scale: of the generator to train.
        path: a released model or a checkpoint.

    Returns:
        The state dict, and the file's name and SHA-256 for the record.

    Raises:
        CheckpointError: the file cannot be loaded, or holds a different generator.
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
