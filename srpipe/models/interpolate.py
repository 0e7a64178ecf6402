"""Generators between two: fidelity on one side, perception on the other."""

import copy

import torch

from srpipe.core.errors import CheckpointError
from srpipe.models.checkpoint import LoadedGenerator


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
