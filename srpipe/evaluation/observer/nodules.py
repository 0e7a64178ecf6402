"""Nodules of known place, size and contrast, put into HR images before they are acquired.

The profile is the designer nodule `A (1 - (r/R)^2)^1.5` (A. E. Burgess, F. L. Jacobson and P. F.
Judy, "Human observer detection experiments with mammograms and power-law noise", Med. Phys. 28,
2001): smooth, and 0 from the radius `R` on. It is **added to the grey levels**. Those of a
radiograph follow the logarithm of the exposure, in which the attenuation of what lies in line adds
up; white is what attenuates, so that a nodule is brighter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from srpipe.imaging.arrays import FloatArray, GreyImage

# A radiograph 43 cm wide, stored with 1024 pixels.
PIXEL_MM = 430 / 1024
# Contrasts `A` in grey levels of 255 by diameter in mm, with which the observer reaches an area
# under the ROC curve of about 0.9 on HR (docs/observer.md).
CONTRASTS: Mapping[float, float] = MappingProxyType({3.0: 5.5, 5.0: 7.0, 7.0: 8.5, 10.0: 10.0})


@dataclass(frozen=True)
class Nodule:
    """A nodule's centre, in HR pixels, and its diameter in mm."""

    y: int
    x: int
    diameter: float


def profile(diameter: float, contrast: float) -> FloatArray:
    """Return a nodule, float32 `(2n + 1, 2n + 1)` around its centre, in grey levels.

    Args:
        diameter: in mm.
        contrast: grey levels at the centre.
    """
    radius = diameter / PIXEL_MM / 2
    reach = np.arange(-int(radius), int(radius) + 1)
    squared = (reach[:, None] ** 2 + reach**2) / radius**2
    shape: FloatArray = (contrast * np.clip(1 - squared, 0, None) ** 1.5).astype(np.float32)
    return shape


def with_nodules(hr: GreyImage, nodules: Sequence[Nodule]) -> GreyImage:
    """Return an HR image with nodules, each at its size's contrast, rounded to grey levels."""
    image = hr.astype(np.float32)
    for nodule in nodules:
        added = profile(nodule.diameter, CONTRASTS[nodule.diameter])
        half = len(added) // 2
        image[nodule.y - half : nodule.y + half + 1, nodule.x - half : nodule.x + half + 1] += added
    result: GreyImage = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return result
