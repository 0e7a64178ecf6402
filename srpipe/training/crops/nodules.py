"""Augmentation of crops with faint spots, so that a network keeps what may be a nodule.

A network that minimises the error on radiographs takes isolated, low-contrast spots for noise,
because hardly a crop has one: on noisy LR a model observer then finds fewer nodules in SR than in
bicubic (docs/observer.md). Where spots are common, the estimate with the least error must show them
as far as the data support them. They are no copies of the observer's nodules: Gaussians, longer
than wide, of either sign, and with no lung around them.
"""

import numpy as np

from srpipe.imaging.arrays import GreyImage

# How many in a crop, uniform.
MOST = 6
# Standard deviation of the shorter axis, in HR pixels, and the contrast at the centre, in grey
# levels of 255; both log-uniform. The longer axis is up to twice the shorter.
WIDTH = 1.3, 7.0
CONTRAST = 1.5, 20.0
ELONGATION = 2.0
# Fraction brighter than their surroundings: what attenuates is white.
BRIGHTER = 0.75


def with_nodules(image: GreyImage, rng: np.random.Generator) -> GreyImage:
    """Return a copy of an image, `uint8 (h, w)`, with 1 to `MOST` spots at random places."""
    height, width = image.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    added = image.astype(np.float32)
    for _ in range(int(rng.integers(1, MOST + 1))):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        short = float(np.exp(rng.uniform(*np.log(WIDTH))))
        long = short * float(rng.uniform(1, ELONGATION))
        contrast = float(np.exp(rng.uniform(*np.log(CONTRAST))))
        sign = 1 if rng.random() < BRIGHTER else -1
        angle = float(rng.uniform(0, np.pi))
        along = (rows - y) * np.float32(np.sin(angle)) + (columns - x) * np.float32(np.cos(angle))
        across = (rows - y) * np.float32(np.cos(angle)) - (columns - x) * np.float32(np.sin(angle))
        added += np.float32(sign * contrast) * np.exp(
            -((along / np.float32(long)) ** 2 + (across / np.float32(short)) ** 2) / 2
        )
    result: GreyImage = np.clip(np.rint(added), 0, 255).astype(np.uint8)
    return result
