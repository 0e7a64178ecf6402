"""The noise of computed radiographs in DICOM files: against the signal, and its spectrum.

Their 10 bits and more, hardly processed, tell more than 8 bits made for display. How quantum noise
depends on the stored value says what scale that is, with the exposure as the signal:

- **linear**: variance grows with the signal, and so does the standard deviation with its root.
- **log**: the value is the logarithm of exposure, so that noise falls exponentially with it. If `L`
  decades of exposure fill the range, the standard deviation falls by `L / 2` decades over it.
- neither: a display curve was applied, whose slope the noise follows.

Needs the extra `dicom`.
"""

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flat_noise import Array, Blocks, by_level, cut, flattest, spectra
from srpipe.core import console
from srpipe.core.errors import DataError, SrpipeError
from srpipe.core.extras import install
from srpipe.evaluation.tables import aligned_table
from srpipe.formats.listing import list_files

MODALITIES = ("CR", "DX")
SIDE = 16
WIDE = 32
LEVELS = 16
# As `benchmarks.noise.FITTED`: what a display shows as lighter than the middle.
BRIGHT = 0.06, 0.55


class MissingDecoderError(SrpipeError):
    """pydicom is not installed."""


@dataclass(frozen=True)
class Radiograph:
    """One file's image.

    Attributes:
        name: of the file and the body part.
        values: `(H, W)`, the stored ones, or of a modality LUT.
        bits: stored.
        exposure_rises: whether a larger value is a larger exposure (MONOCHROME1: black is high).
    """

    name: str
    values: Array
    bits: int
    exposure_rises: bool


@dataclass(frozen=True)
class Curve:
    """What was measured of a radiograph.

    Attributes:
        exposure: `(levels,)`, the values over their range, 1 where most arrived.
        noise: `(levels,)`, detail, in parts of the range; NaN where there are too few flat blocks.
        linear, log: how far the noise is from each law, root mean square of the ratio less 1.
        decades: of exposure over the range, by the log law.
        power: of exposure that the noise of the bright half follows; of the linear law it is 0.5.
        frequency, spectrum: cycles a pixel, and noise power, 1 on average.
    """

    name: str
    bits: int
    exposure: Array
    noise: Array
    linear: float
    log: float
    decades: float
    power: float
    frequency: Array
    spectrum: Array


def read(folder: Path) -> list[Radiograph]:
    """Read the different radiographs in a folder; say which other files are left out, and why.

    Raises:
        MissingDecoderError: pydicom is not installed.
        DataError: there is no radiograph.
    """
    try:
        pydicom: Any = importlib.import_module("pydicom")
    except ImportError as error:
        raise MissingDecoderError(
            f"--dicom needs pydicom: {install('dicom')}, or leave --dicom out"
        ) from error
    found: dict[str, Radiograph] = {}
    for name in sorted(list_files(folder)) if folder.is_dir() else ():
        if not name.lower().endswith((".dcm", ".dicom")):
            continue
        data = pydicom.dcmread(folder / name, force=True)
        if data.get("Modality") not in MODALITIES or data.get("SamplesPerPixel") != 1:
            continue
        if data.get("LossyImageCompression") == "01" or data.BitsStored <= 8:
            console.say(f"{name} is left out: lossy, or of no more than 8 bits")
            continue
        try:
            values = _values(pydicom, data)
        # What its decoders raise on a file that they do not know.
        except (RuntimeError, NotImplementedError, ValueError) as error:
            console.warn(f"{name} is left out: {str(error).splitlines()[0]}")
            continue
        for kind, each in values.items():
            # The same image may be there in several transfer syntaxes.
            digest = hashlib.sha256(each.tobytes()).hexdigest()
            part = str(data.get("BodyPartExamined", "")).lower()
            named = ", ".join(filter(None, (Path(name).stem, part, kind)))
            rises = data.PhotometricInterpretation == "MONOCHROME1"
            found.setdefault(digest, Radiograph(named, each, int(data.BitsStored), rises))
    if not found:
        raise DataError(
            f"--dicom: {folder} holds no radiograph of more than 8 bits, without loss: give a "
            f"folder of DICOM files ending in .dcm whose modality is {' or '.join(MODALITIES)}"
        )
    return list(found.values())


def _values(pydicom: Any, data: Any) -> dict[str, Array]:
    """Return the stored values, and beside them those of a modality LUT if there is one."""
    if "TransferSyntaxUID" not in data.file_meta:
        # Without a file meta group: what its bytes were parsed as.
        implicit, little = data.original_encoding
        if not little:
            raise ValueError("it has no transfer syntax and is big endian")
        data.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    stored = data.pixel_array
    found = {"": stored.astype(float)}
    if "ModalityLUTSequence" in data:
        found["LUT applied"] = np.asarray(pydicom.pixels.apply_modality_lut(stored, data), float)
    return found


def measure(of: Radiograph) -> Curve:
    """Measure the noise of one radiograph."""
    low, high = float(of.values.min()), float(of.values.max())
    exposure = (of.values - low) / (high - low)
    if not of.exposure_rises:
        exposure = 1 - exposure
    edges = np.linspace(0, 1, LEVELS + 1)
    at = (edges[1:] + edges[:-1]) / 2
    blocks = cut(exposure, SIDE, (0.0, 1.0))
    first = by_level(blocks, edges)[1]
    known = np.isfinite(first) & (first > 0)
    if not known.sum() > 2:
        raise DataError(f"--dicom: {of.name} has too few flat parts: leave that file out")

    def expected(of_blocks: Blocks) -> Array:
        return np.asarray(np.interp(of_blocks.level, at[known], first[known]) ** 2)

    # Once more, relative to what was found: noise changes within a level too.
    noise = first * by_level(blocks, edges, expected=expected(blocks))[1]
    linear, log, decades = laws(at, noise)
    bright = known & (at > BRIGHT[0]) & (at < BRIGHT[1])
    slope = float(np.polyfit(np.log(at[bright]), np.log(noise[bright]), 1)[0])
    wide = cut(exposure, WIDE, (0.0, 1.0))
    variance = expected(wide)
    here = flattest(wide, np.flatnonzero(wide.whole), variance)
    frequency, power = spectra(wide.values[here])
    mean = (power / variance[here, None]).mean(axis=0)
    return Curve(
        of.name, of.bits, at, noise, linear, log, decades, slope, frequency, mean / mean.mean()
    )


def laws(exposure: Array, noise: Array) -> tuple[float, float, float]:
    """Return the misfits of the linear and the log law, and the decades of exposure by the latter.

    Noise is compared as logarithms, each level alike; levels without a value are left out.
    """
    known = np.isfinite(noise) & (noise > 0)
    at, sought = exposure[known], np.log(noise[known])
    root = sought - np.log(at) / 2
    line = np.polyfit(at, sought, 1)
    linear, log = root.std(), (sought - np.polyval(line, at)).std()
    return float(np.expm1(linear)), float(np.expm1(log)), float(-2 * line[0] / np.log(10))


def text(curves: list[Curve]) -> str:
    """Return a Markdown table."""
    rows = []
    for each in curves:
        known = each.noise[np.isfinite(each.noise)]
        ends = [f"{2**each.bits * known[index]:.1f}" for index in (0, len(known) // 2, -1)]
        misfits = [f"{100 * value:.0f} %" for value in (each.linear, each.log)]
        rows.append([each.name, *ends, *misfits, f"{each.decades:.1f}", f"{each.power:.2f}"])
    head = ["radiograph", "least exposed", "middle", "most", "linear", "log", "decades", "power"]
    title = "Noise by exposure (detail, in grey levels), misfit of the laws, and what fits best"
    return f"{title}\n\n{aligned_table(head, rows)}"
