"""Learning-rate schedules as functions of the step, without state to save."""

import math


def learning_rate(
    start: float, shape: str, step: int, steps: int, *, final: float, warmup: int = 0
) -> float:
    """Return the learning rate of step `step` (from 0) of a stage of `steps` steps.

    Args:
        start: the learning rate that `shape` begins with.
        shape: "constant", or "cosine" (I. Loshchilov & F. Hutter, ICLR 2017, without restarts).
        step: of the stage, from 0.
        steps: in the stage.
        final: what a cosine ends at, as a fraction of `start`.
        warmup: first steps, over which the learning rate rises linearly to the shape's value.

    Raises:
        ValueError: `shape` is unknown.
    """
    if shape not in ("constant", "cosine"):
        raise ValueError(f"schedule {shape!r}: must be cosine or constant")
    rate = start
    if shape == "cosine":
        progress = step / steps
        rate = start * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
    return rate * min(1.0, (step + 1) / (warmup + 1))
