"""Augmentation of crops by stretching and gamma, for samples of few radiographs.

In a sample every detail appears at one size and on one background. This matters most for letters: a
few words of a few consoles, which a network learns by heart. The images were resized to 1024x1024
from detectors of all sizes and aspects, and their grey levels mapped by as many tables: the ranges
here are narrower.
"""

import numpy as np
from PIL import Image

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import BICUBIC

# A crop's side in the image over its side in the result: below 1 magnifies. Uniform, separately for
# height and width.
STRETCH = 0.75, 1.35
# Exponent of grey/255: below 1 brightens. Log-uniform.
GAMMA = 0.7, 1.4


def jitter(
    hr: GreyImage, y: int, x: int, crop: int, reach: int, seed: int
) -> tuple[GreyImage, int, int]:
    """Return a crop and its surroundings, stretched and with another gamma, and its corner.

    Args:
        hr: the image, `uint8 (H, W)`, at least as large as the crop.
        y: top of the unjittered crop in the image. A crop at an image edge stays there, and one
            that spans the image is not stretched along that axis.
        x: its left, likewise.
        crop: side of the crop, in pixels of the result.
        reach: pixels of the result to return around the crop, where the image has them.
        seed: of the stretch and the gamma.

    Returns:
        `uint8 (h, w)`, of at most `crop + 2 * reach` each, and the crop's top and left in it.
    """
    rng = np.random.default_rng(seed)
    sides, corner, sizes = [], [], []
    for begin, length in ((y, hr.shape[0]), (x, hr.shape[1])):
        side = min(crop * float(rng.uniform(*STRETCH)), length)
        if crop == length:
            side = length  # a part of it would show a false image edge
        factor = side / crop
        if begin == 0:
            first = 0.0
        elif begin + crop == length:
            first = length - side
        else:
            first = float(np.clip(begin + (crop - side) / 2, 0, length - side))
        before = min(int(first / factor), reach)
        # The epsilon keeps a whole pixel that rounding would lose.
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
