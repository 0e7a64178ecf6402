"""The learning rate as a function of the step, so that nothing of it needs to be saved."""

import math


def learning_rate(
    start: float, shape: str, step: int, steps: int, *, final: float, warmup: int = 0
) -> float:
    """Return the learning rate of step `step` (from 0) of a stage of `steps` steps.

    Args:
        start: the rate that `shape` begins with.
        shape: "constant", or "cosine" (I. Loshchilov & F. Hutter, ICLR 2017, without restarts).
        step: of the stage, from 0.
        steps: in the stage.
        final: what a cosine ends at, as a fraction of `start`.
        warmup: first steps, in which the rate rises linearly to where the shape then is.

    Raises:
        ValueError: `shape` is another.
    """
    if shape not in ("constant", "cosine"):
        raise ValueError(f"schedule {shape!r}: must be cosine or constant")
    rate = start
    if shape == "cosine":
        progress = step / steps
        rate = start * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
    return rate * min(1.0, (step + 1) / (warmup + 1))
