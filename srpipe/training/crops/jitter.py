"""Crops stretched and with another gamma, so that a few radiographs show more than they hold.

Every detail comes at one size and on one ground. Letters above all: a sample holds a few words of a
few consoles, which a network learns by heart. The images were brought to 1024x1024 from detectors
of all sizes and aspects, and their grey levels by as many tables: these ranges are narrower.
"""

import numpy as np
from PIL import Image

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import BICUBIC

# A crop's side in the image over its side as it is shown: below 1 magnifies. Drawn evenly, for
# height and width apart.
STRETCH = 0.75, 1.35
# Exponent of grey/255: below 1 brightens. Its logarithm is drawn evenly.
GAMMA = 0.7, 1.4


def jitter(
    hr: GreyImage, y: int, x: int, crop: int, reach: int, seed: int
) -> tuple[GreyImage, int, int]:
    """Return a crop, stretched and with another gamma, with its surroundings, and where it begins.

    Args:
        hr: the image, `uint8 (H, W)`, at least as large as the crop.
        y: where a crop would begin in the image, its top. One at an edge of the image stays there,
            and one that goes from edge to edge is not stretched that way.
        x: likewise, its left.
        crop: side of the crop, in pixels of the result.
        reach: so many pixels of the result around the crop are returned, too, where the image has
            them.
        seed: of the stretch and the gamma.

    Returns:
        `uint8 (h, w)`, of at most `crop + 2 * reach` each, and the crop's top and left in it.
    """
    rng = np.random.default_rng(seed)
    sides, corner, sizes = [], [], []
    for begin, length in ((y, hr.shape[0]), (x, hr.shape[1])):
        side = min(crop * float(rng.uniform(*STRETCH)), length)
        if crop == length:
            side = length  # a part of it would show an edge that is none
        factor = side / crop
        if begin == 0:
            first = 0.0
        elif begin + crop == length:
            first = length - side
        else:
            first = float(np.clip(begin + (crop - side) / 2, 0, length - side))
        before = min(int(first / factor), reach)
        # A whole pixel that rounding hides counts.
        after = min(int((length - first - side) / factor + 1e-6), reach)
        start, end = first - before * factor, first + side + after * factor
        sides.append((max(start, 0.0), min(end, length)))
        corner.append(before)
        sizes.append(before + crop + after)
    (top, bottom), (left, right) = sides
    box = left, top, right, bottom
    stretched = np.asarray(Image.fromarray(hr).resize((sizes[1], sizes[0]), BICUBIC, box))
    exponent = float(np.exp(rng.uniform(*np.log(GAMMA))))
    table = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return table[stretched], corner[0], corner[1]
