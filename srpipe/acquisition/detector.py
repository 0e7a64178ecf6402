"""A model of how a small detector records the LR image of a radiograph at a low dose.

In order: a point spread (Gaussian MTF), sampling, quantum noise of the missing dose, electronic
noise, quantisation, and JPEG where an archive stores that.

**Signal.** The grey levels of ChestX-ray14 are processed, not exposure, so a dose is relative to
that of the HR image, and a mapping must be assumed: the detector's signal is `mu = 1 - grey`, with
grey in [0, 1], white where nothing arrives. With it, quantum noise has a variance proportional to
the signal, and so the standard deviation of noise in flat parts of those images falls with grey as
`sqrt(1 - grey)` does (docs/acquisition.md has the measurement and where it fails: below a quarter
of the range, where display curves compress).

**Quantum noise.** A radiograph at a fraction `d` of the dose is, on the scale of the full one, the
full one plus noise of variance `q^2 (1 - d) / d mu`, correlated by the scintillator (L. R. Borges
et al., "Method for simulating dose reduction in digital mammography using the Anscombe
transformation", Med. Phys. 43, 2016; W. J. H. Veldkamp et al., "A technique for simulating the
effect of dose reduction on image quality in digital chest radiography", J. Digit. Imaging 22,
2009). A detector pixel that is `scale` times as wide collects `scale^2` times as many quanta, so
that `q` is proportional to `1 / scale`.
"""

import io
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from srpipe.imaging.arrays import FloatImage, GreyImage, RecordedImage
from srpipe.imaging.resample import BICUBIC
from srpipe.settings.acquisition import IDEAL, Acquisition

# Standard deviation of the quantum noise of a pixel of HR size at full dose and signal, in [0, 1]:
# measured in flat parts of ChestX-ray14 images (docs/acquisition.md).
QUANTUM = 2.8 / 255
# Surroundings that an LR pixel depends on, in LR pixels: the kernel, the blur, and JPEG's blocks.
REACH = 8


@dataclass(frozen=True)
class Region:
    """A rectangle of the HR image, in its pixels, whose sides are multiples of the scale."""

    left: int
    top: int
    right: int
    bottom: int


def acquire(
    hr: GreyImage,
    scale: int,
    how: Acquisition,
    rng: np.random.Generator,
    region: Region | None = None,
) -> RecordedImage:
    """Record the LR image of an HR image.

    Args:
        hr: `uint8 (H, W)`.
        scale: HR side over LR side.
        how: the acquisition.
        rng: of the noise; not used where there is none.
        region: the part of `hr` to record; None: all of it.

    Returns:
        `(h, w)`, the region's sides over `scale`: uint8, or with more than 8 bits uint16, whose
        full scale is 65535. The ideal acquisition is `imaging.resample.downsample`.

    Raises:
        ValueError: a side of the region is not a multiple of `scale`.
    """
    height, width = hr.shape
    region = region or Region(0, 0, width, height)
    size = region.right - region.left, region.bottom - region.top
    if size[0] % scale or size[1] % scale:
        raise ValueError(f"sides must be multiples of {scale}, got {size[1]}x{size[0]}")
    grey = _sampled(hr, (size[0] // scale, size[1] // scale), scale, how, region)
    variance = QUANTUM**2 / scale**2 * (1 - how.dose) / how.dose
    if variance:
        quantum = _correlated(rng.standard_normal(grey.shape, np.float32), how.correlation)
        grey = grey + quantum * np.sqrt(np.float32(variance) * np.clip(1 - grey, 0, 1))
    if how.noise:
        electronic = rng.standard_normal(grey.shape, np.float32)
        grey = grey + electronic * np.float32(how.noise / 255)
    recorded = _quantised(grey, how.bits)
    return recorded if how.jpeg is None else _through_jpeg(recorded, how.jpeg)


def recorded(hr: GreyImage, image: str, scale: int, how: Acquisition, seed: int) -> RecordedImage:
    """Return `acquire` of an HR image, `uint8 (H, W)`, with the noise of its name and the seed."""
    return acquire(hr, scale, how, np.random.default_rng([seed, zlib.crc32(image.encode())]))


def noise_level(how: Acquisition, lr: RecordedImage, scale: int) -> float:
    """Return the standard deviation of the noise in an acquired LR image, in [0, 1].

    It is the mean over the image's grey levels, for methods that must be told it.
    """
    signal = 1 - float(lr.mean()) / float(np.iinfo(lr.dtype).max)
    quantum = QUANTUM**2 / scale**2 * (1 - how.dose) / how.dose * signal
    return float(np.sqrt(quantum + (how.noise / 255) ** 2))


def _sampled(
    hr: GreyImage, size: tuple[int, int], scale: int, how: Acquisition, region: Region
) -> FloatImage:
    """Return the noiseless LR image in [0, 1], still to be quantised."""
    box = region.left, region.top, region.right, region.bottom
    kernel = BICUBIC if how.sampling == "bicubic" else Image.Resampling.BOX
    # In 8 bits throughout, so that the ideal LR image is the same to the last bit.
    if how.sampling == "bicubic" and not how.blur and how.bits == IDEAL.bits:
        small = np.asarray(Image.fromarray(hr).resize(size, kernel, box))
        return small.astype(np.float32) / np.float32(255)
    signal = hr.astype(np.float32)
    if how.blur:
        signal = ndimage.gaussian_filter(signal, how.blur * scale, mode="nearest", truncate=3)
    return np.asarray(Image.fromarray(signal / 255).resize(size, kernel, box), np.float32)


def _correlated(white: FloatImage, sigma: float) -> FloatImage:
    """Filter white noise of variance 1 by a Gaussian, and keep its variance."""
    if not sigma:
        return white
    radius = max(1, round(4 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= np.sqrt((weights**2).sum())
    # Wrapped around: at a mirrored edge the variance would be another.
    for axis in (0, 1):
        white = ndimage.correlate1d(white, weights, axis, mode="wrap")
    return white.astype(np.float32)


def _quantised(grey: FloatImage, bits: int) -> RecordedImage:
    levels = 2**bits - 1
    steps = np.rint(np.clip(grey, 0, 1).astype(np.float64) * levels)
    if bits == IDEAL.bits:
        return np.asarray(steps, np.uint8)
    return np.asarray(np.rint(steps * (65535 / levels)), np.uint16)


def _through_jpeg(image: RecordedImage, quality: int) -> RecordedImage:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    with Image.open(file) as stored:
        return np.asarray(stored)
