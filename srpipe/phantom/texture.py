"""Textures: random fields with a chosen power spectrum, tied to the patient.

Lung parenchyma, trabecular bone and muscle are too fine to draw, but they are structure, not noise:
they are made before the detector, from the patient's own stream, and move with the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.canvas import Frame
from srpipe.phantom.seeding import Stream, generator


@dataclass(frozen=True)
class Textures:
    """Fields of shape (size, size), float32, mean 0 and variance 1.

    Attributes:
        lung: reticular: thin bright lines around darker cells.
        bone: trabecular: elongated fine grain.
        muscle: fibrous, with most power at large scales.
    """

    lung: FloatArray
    bone: FloatArray
    muscle: FloatArray


def make_textures(frame: Frame, seed: int, patient: int) -> Textures:
    """Return the textures of a patient as seen through ``frame``."""
    rng = generator(seed, Stream.TEXTURE, patient)
    size = frame.size
    white = rng.standard_normal((size, size), dtype=np.float32)
    spectrum = fft.rfft2(white)
    fy = fft.fftfreq(size).astype(np.float32)[:, None]
    fx = fft.rfftfreq(size).astype(np.float32)[None, :]
    # Frequencies in cycles per 1024-pixel-image pixel, so that a small image shows the same body.
    scale = np.float32(1024 / size)
    f2 = (fx * fx + fy * fy) / (scale * scale) + np.float32(1e-6)
    coarse = _unit(fft.irfft2(spectrum * _band(f2, 0.012, 0.09), s=(size, size)))
    fine = _unit(fft.irfft2(spectrum * _band(f2, 0.08, 0.3), s=(size, size)))
    # Ridges of a smooth field are connected lines: the look of septa and of small vessels.
    lung = _unit(np.exp(-2.2 * np.abs(coarse)) + 1.0 * np.exp(-2.2 * np.abs(fine)))
    slow = _unit(
        fft.irfft2(spectrum * (f2 + np.float32(2e-5)) ** np.float32(-0.72), s=(size, size))
    )
    # The pose moves the patient under the fields; whole pixels keep the texture exact.
    shift = (-round(frame.centre_y / frame.pitch), -round(frame.centre_x / frame.pitch))
    return Textures(*(np.roll(field, shift, (0, 1)) for field in (lung, fine, slow)))


def _band(f2: FloatArray, low: float, high: float) -> FloatArray:
    """Band-pass amplitude: rises below ``low``, falls above ``high`` (cycles per pixel)."""
    return np.asarray(
        f2 / (f2 + np.float32(low**2)) / (1 + f2 / np.float32(high**2)) ** 1.5
        / np.sqrt(f2 + np.float32(low**2)),
        np.float32,
    )  # fmt: skip


def _unit(field: NDArray[np.floating[Any]]) -> FloatArray:
    field = field - field.mean()
    return np.asarray(field / field.std(), np.float32)
