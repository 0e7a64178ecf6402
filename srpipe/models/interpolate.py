"""Network interpolation between a generator for fidelity and one for perception."""

import copy

import torch

from srpipe.core.errors import CheckpointError
from srpipe.models.checkpoint import LoadedGenerator


def interpolate(
    pixel: LoadedGenerator, adversarial: LoadedGenerator, alpha: float
) -> LoadedGenerator:
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
    start, end = pixel.model.state_dict(), adversarial.model.state_dict()
    nearer = start if alpha < 0.5 else end
    # lerp leaves values that are equal in both unchanged; at the ends it would lose signs of zero.
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
    """Say whether two generators have the same architecture and equal weights."""
    if _differences(a, b):
        return False
    other = b.model.state_dict()
    return all(torch.equal(value, other[name]) for name, value in a.model.state_dict().items())


def _differences(a: LoadedGenerator, b: LoadedGenerator) -> list[str]:
    """Describe how two generators differ in architecture and hyperparameters."""
    built = [{"architecture": each.architecture, **each.hyperparameters} for each in (a, b)]
    return [
        f"{name} ({built[0].get(name)} and {built[1].get(name)})"
        for name in built[0] | built[1]
        if built[0].get(name) != built[1].get(name)
    ]
