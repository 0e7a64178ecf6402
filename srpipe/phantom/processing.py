"""Vendor processing of the log signal: equalisation, sharpening, windowing, tone curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition

_EQUALISE_SIGMA = 0.07  # of the image side
_AIR_FALL = 7.0  # how fast grey drops from the lungs to direct exposure
_TOE = 0.15  # keeps the slope of the tone curve finite at the darkest lung


def develop(log_signal: FloatArray, seen: NDArray[np.bool_], acquisition: Acquisition
            ) -> FloatArray:  # fmt: skip
    """Return grey levels, float32 (size, size), nominally 0..255, bone bright.

    Args:
        log_signal: float32 (size, size), from ``detector.expose``.
        seen: bool (size, size), the exposed field; the window is set from it alone.
        acquisition: the processing of this image.
    """
    size = log_signal.shape[0]
    large = _large_scales(log_signal)
    middle = float(np.percentile(_central(log_signal, seen), 50))
    # Compress the large scales (dynamic range reduction) and keep the small ones.
    signal = log_signal - np.float32(0.5 * acquisition.flatten) * (large - np.float32(middle))
    if acquisition.detail_gain > 0:
        smooth = ndimage.gaussian_filter(
            signal, acquisition.detail_sigma * size / 1024, mode="nearest", truncate=2.5
        )
        signal += np.float32(acquisition.detail_gain) * (signal - smooth)
    low, high = (float(v) for v in np.percentile(_central(signal, seen), [3, 98.5]))
    x = (signal - np.float32(low)) / np.float32(max(high - low, 1e-3))
    return _tone(x, acquisition)


def _tone(x: FloatArray, acquisition: Acquisition) -> FloatArray:
    """Tone curve: lung at grey_low, densest tissue at grey_high, soft toe and shoulder."""
    low, high, air = acquisition.grey_low, acquisition.grey_high, acquisition.air_grey
    power, offset = acquisition.curve, _TOE
    scale = 1 / ((1 + offset) ** power - offset**power)
    rise = (np.maximum(x, 0) + np.float32(offset)) ** np.float32(power) - np.float32(offset**power)
    rise *= np.float32(scale)
    # Shoulder: straight up to 0.85, then levelling off.
    over = np.maximum(rise - np.float32(0.85), 0)
    rise -= over - over / (1 + 4 * over)
    # Toe: meets the curve at x = 0 with the same slope and falls off towards the grey of air.
    depth = max(low - air, 1.0)
    slope = (high - low) * scale * power * offset ** (power - 1) / depth
    dark = np.minimum(x, 0)
    fall = np.float32(depth) * (
        1 - np.exp(np.float32(slope) * dark - np.float32(_AIR_FALL) * dark * dark)
    )
    return np.asarray(np.float32(low) + np.float32(high - low) * rise - fall, np.float32)


def _large_scales(field: FloatArray) -> FloatArray:
    size = field.shape[0]
    small = np.asarray(Image.fromarray(field).resize((128, 128), Image.Resampling.BOX))
    small = ndimage.gaussian_filter(small, _EQUALISE_SIGMA * 128, mode="nearest")
    return np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def _central(field: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """A few thousand values from the exposed middle of the image, from which to set the window."""
    size = field.shape[0]
    edge, step = size // 10, max(size // 200, 1)
    inner = slice(edge, size - edge, step)
    picked = field[inner, inner][seen[inner, inner]]
    return picked if picked.size else field[inner, inner].ravel()
