"""What a generator's architecture fixes, whatever its weights; without torch.

The bicubic skip: the network's input is multiplied by `SKIP_GAIN` after the mean of
`2 * SKIP_RADIUS + 1` pixels a side is subtracted, and its output divided by it (see `base`).

The reach of a generator: LR pixels beside its own, each way, that an SR pixel depends on. The
receptive field is `2 * reach + 1` LR pixels wide: of an image cut with that much around it, the
middle comes out as it does of the whole image.
"""

import math
from collections.abc import Mapping
from typing import Any

SCALES = (2, 4, 8)
SKIP_GAIN = 10.0
SKIP_RADIUS = 2


def reach(architecture: str, hyperparameters: Mapping[str, Any]) -> int:
    """Return the reach of a generator by its name and its constructor's arguments.

    Raises:
        KeyError: an argument is missing.
    """
    blocks = int(hyperparameters["blocks"])
    if architecture == "plain_sr":
        return plain_sr_reach(blocks)
    return srresnet_reach(
        blocks, int(hyperparameters["scale"]), bool(hyperparameters["bicubic_skip"])
    )


def plain_sr_reach(blocks: int) -> int:
    """Return the reach of plain_sr, 16 for 12 hidden layers.

    One a convolution, and the radius of the mean that is subtracted; the bicubic skip alone reaches
    2.
    """
    return SKIP_RADIUS + blocks + 2


def srresnet_reach(blocks: int, scale: int, bicubic_skip: bool) -> int:
    """Return the reach of Swift-SRGAN and SRGAN, 40 for 16 blocks at 4x without the skip.

    Backwards from the output: the last 9x9 convolution reaches 4 SR pixels; each PixelShuffle
    halves that, rounded up, and the 3x3 convolution before it adds one.
    """
    reach = 4
    for _ in range(int(math.log2(scale))):
        reach = -(-reach // 2) + 1
    at_lr = 1 + 2 * blocks + 4  # convblock, residual blocks, initial
    return reach + at_lr + (SKIP_RADIUS if bicubic_skip else 0)
