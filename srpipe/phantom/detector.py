"""From line integrals to the log signal of a flat detector.

The order is that of the real chain: attenuation, scatter, blur, quantum noise, logarithm. Scatter
is a wide blur of the primary image (the usual convolution model: J. A. Seibert and J. M. Boone,
Med. Phys. 15, 1988); noise is Poisson, here as its Gaussian limit, and is correlated because light
spreads in the scintillator.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition

_SCATTER_GRID = 64
_SCATTER_SIGMA = 5.0  # of 64 cells: about 30 mm
_ELECTRONIC_QUANTA = 60.0  # read-out noise, as a variance in quanta


def expose(line_integral: FloatArray, acquisition: Acquisition, noise: np.random.Generator
           ) -> FloatArray:  # fmt: skip
    """Return the log signal, float32 (size, size): the measured attenuation, about 0..7.

    Args:
        line_integral: float32 (size, size), attenuation times length, without unit.
        acquisition: scatter, dose and blur of this image.
        noise: stream of the quantum noise.
    """
    size = line_integral.shape[0]
    scale = size / 1024
    primary = np.exp(-line_integral)
    fluence = primary + _scatter(primary, acquisition.scatter)
    fluence = _blur(fluence, acquisition.focal_blur * scale)
    quanta = np.float32(np.exp(acquisition.log_dose) / scale**2)
    grain = _blur(
        noise.standard_normal(fluence.shape, dtype=np.float32), acquisition.noise_blur * scale
    )
    sigma = np.sqrt(fluence / quanta + np.float32(_ELECTRONIC_QUANTA) / quanta**2)
    fluence += sigma * grain
    return np.asarray(-np.log(np.maximum(fluence, np.float32(1e-4))), np.float32)


def _scatter(primary: FloatArray, ratio: float) -> FloatArray:
    size = primary.shape[0]
    small = Image.fromarray(primary).resize((_SCATTER_GRID,) * 2, Image.Resampling.BOX)
    field = ndimage.gaussian_filter(np.asarray(small), _SCATTER_SIGMA, mode="nearest")
    # Scatter comes from tissue, so little of it reaches the detector beside the body.
    field = np.minimum(field, 0.12)
    wide = Image.fromarray(np.float32(ratio) * field).resize((size,) * 2, Image.Resampling.BICUBIC)
    return np.asarray(np.maximum(np.asarray(wide), 0), np.float32)


def _blur(field: FloatArray, sigma: float) -> FloatArray:
    if sigma < 0.2:
        return field
    blurred = ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)
    return np.asarray(blurred, np.float32)
