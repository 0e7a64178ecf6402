"""Network interpolation between a generator for fidelity and one for perception, with torch."""

from srpipe.models.checkpoint import LoadedGenerator, built
from srpipe.models.weights import mixed, same


def interpolate(
    pixel: LoadedGenerator, adversarial: LoadedGenerator, alpha: float
) -> LoadedGenerator:
    """Return `weights.mixed` of two generators; errors as there."""
    return built(mixed(pixel.weights, adversarial.weights, alpha))


def same_weights(a: LoadedGenerator, b: LoadedGenerator) -> bool:
    """Say whether two generators have the same architecture and equal weights."""
    return same(a.weights, b.weights)
