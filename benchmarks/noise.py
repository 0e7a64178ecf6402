"""Does the noise of real radiographs agree with what `srpipe.acquisition` assumes of it?

    python -m benchmarks.noise FOLDER [--dicom FOLDER] [--figure OUT.png]

FOLDER holds HR radiographs, at best some hundreds; the DICOM folder CRs or DXs
(`benchmarks.noise_dicom`). How noise is measured: `benchmarks.flat_noise`; here by image and grey
level, and then the median over images. The rounding of 8-bit files (a variance of 1/12) is
subtracted. LR is the mean of 4x4 pixels where levels are compared, and that of
`acquisition.detector.acquire`, in 12 bits, where spectra are.

`q` is what `acquisition.detector.QUANTUM` is, in grey levels of 255: the standard deviation of
LR's noise, times the scale, over sqrt(1 - grey). A spectrum is noise power over (1 - grey), times
the scale squared: white noise of the model is at `q` squared in all of them.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from benchmarks import noise_dicom
from benchmarks.flat_noise import Array, bias, by_level, cut, flattest, spectra
from srpipe.acquisition.detector import QUANTUM, acquire
from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.evaluation.tables import aligned_table
from srpipe.formats.listing import image_files
from srpipe.formats.raster import read_file
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import crop_to_multiple
from srpipe.settings.acquisition import Acquisition

SCALE = 4
MODEL = 255 * QUANTUM
EDGES = np.linspace(0, 255, 17)
GREY = (EDGES[1:] + EDGES[:-1]) / 2
SIGNAL = 1 - GREY / 255
SIDES = {"HR": 16, "LR": 8}
# Of a block whose spectrum is taken, in LR pixels.
WIDE = 16
LIMITS = 2.0, 253.0
ROUNDING = 1 / 12
# Grey levels where the law is fitted: display curves compress what is darker.
FITTED = (GREY > 115) & (GREY < 240)
# A level counts where so large a part of the images has it.
COMMON = 0.2
DOSES = (1 / 2, 1 / 4, 1 / 8)
# Frequencies in the table, cycles per HR pixel; LR ends at an eighth.
SHOWN = (0.0625, 0.09375, 0.125, 0.25, 0.5)
HR, LR = "HR", "LR of HR"


@dataclass(frozen=True)
class Noise:
    """The noise of a set of images.

    Attributes:
        levels: q of "HR" and "LR" (means of 4x4 pixels), `(images, 2, levels)`: by residual and
            detail. In HR, q is the standard deviation over sqrt(1 - grey).
        frequency: by name, cycles per HR pixel.
        power: by name, `(images, frequencies)`; see the module.
    """

    levels: dict[str, Array]
    frequency: dict[str, Array]
    power: dict[str, Array]


@console.entry_point
def main() -> None:
    """Measure, print the tables, and draw the figure if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.noise", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("images", type=Path, metavar="FOLDER", help="HR radiographs, 8 bits")
    parser.add_argument("--dicom", type=Path, metavar="FOLDER", help="CRs or DXs, nearly raw")
    parser.add_argument("--figure", type=Path, metavar="OUT", help="draw all into this PNG file")
    given = parser.parse_args()
    # Before the images, which take a while: pydicom may be missing.
    radiographs = noise_dicom.read(given.dicom) if given.dicom else []
    files, listing = image_files(given.images, "FOLDER")
    if listing.left_out:
        console.say(f"not read: {listing.describe()}")
    shown = console.progress(files.values(), what="noise", total=len(files), unit="image")
    found = measure(read_file(path, "minmax") for path in shown)
    print(text(found))
    curves = [noise_dicom.measure(each) for each in radiographs]
    if curves:
        print(f"\n{noise_dicom.text(curves)}")
    if given.figure:
        from benchmarks import noise_figure  # imports this module

        noise_figure.draw(given.figure, found, curves)


def measure(images: Iterable[GreyImage]) -> Noise:
    """Measure the noise of images, uint8 (H, W)."""
    levels: dict[str, list[Array]] = {name: [] for name in SIDES}
    frequency: dict[str, Array] = {}
    power: dict[str, list[Array]] = {}
    for number, image in enumerate(images):
        hr = crop_to_multiple(image, SCALE * WIDE)
        for name, values in (("HR", hr.astype(float)), ("LR", means(hr))):
            blocks = cut(values, SIDES[name], LIMITS)
            pixels = (hr.size / values.size) ** 0.5
            signal = 1 - blocks.level / 255
            by_root = by_level(blocks, EDGES, ROUNDING / pixels**2, signal)
            levels[name].append(by_root * pixels)
        for name, (at, found) in _power(hr, np.random.default_rng(number)).items():
            frequency[name] = at
            power.setdefault(name, []).append(found)
    stacked = {name: np.stack(each) for name, each in levels.items()}
    return Noise(stacked, frequency, {name: np.stack(each) for name, each in power.items()})


def means(hr: GreyImage) -> Array:
    """Return the means of 4x4 pixels."""
    height, width = (side // SCALE for side in hr.shape)
    return np.asarray(hr.reshape(height, SCALE, width, SCALE).mean(axis=(1, 3), dtype=float))


def _power(hr: GreyImage, rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Return frequencies and power of HR and of LR images of it, in the same flat blocks."""
    wide = cut(hr.astype(float), SCALE * WIDE, LIMITS)
    signal = 1 - wide.level / 255
    among = np.flatnonzero(wide.whole & (wide.level > 100) & (wide.level < 240))
    if len(among) < 20:
        return {}
    here = flattest(wide, among, signal)
    # Rounded with dither: rounding a smooth ramp leaves steps that LR would keep.
    smooth = ndimage.gaussian_filter(hr.astype(float), 2 * SCALE) + rng.random(hr.shape)
    sources = {"smooth": np.clip(smooth, 0, 255).astype(np.uint8), "HR": hr}
    found = {HR: (wide.values[here], 1), LR: (_lr(hr, 1.0, rng)[here], SCALE)}
    for name, source in sources.items():
        for dose in DOSES:
            found[f"{name}, dose 1/{1 / dose:.0f}"] = (_lr(source, dose, rng)[here], SCALE)
    result = {}
    for name, (values, scale) in found.items():
        frequency, power = spectra(values)
        mean = (power / signal[here, None]).mean(axis=0) * scale**2
        result[name] = frequency / scale, mean
    return result


def _lr(hr: GreyImage, dose: float, rng: np.random.Generator) -> Array:
    how = Acquisition(dose=dose, bits=12)
    return cut(acquire(hr, SCALE, how, rng) / 257, WIDE).values


def common(found: Noise) -> npt.NDArray[np.bool_]:
    """Say which levels enough images have, in HR and in LR, `(levels,)`."""
    known = [np.isfinite(each[:, 1]).mean(axis=0) >= COMMON for each in found.levels.values()]
    return np.asarray(np.logical_and(*known))


def detail(found: Noise, name: str, levels: npt.NDArray[np.bool_]) -> Array:
    """Return the median q over images, by the detail in "HR" or "LR", at some levels."""
    return np.asarray(np.nanmedian(found.levels[name][:, 1, levels], axis=0))


def fit(found: Noise) -> tuple[Array, dict[str, float]]:
    """Return q by image, and the power of (1 - grey) that fits best in "HR" and in "LR".

    Raises:
        DataError: there are too few flat blocks.
    """
    fitted = FITTED & common(found)
    q = found.levels["LR"][:, 1, fitted]
    q = q[np.isfinite(q).sum(axis=1) >= 3]
    if not len(q):
        raise DataError(
            f"FOLDER has too few flat parts at grey levels {_ends()}: give more radiographs, or "
            "larger ones, of about 1024x1024"
        )
    signal = np.log(SIGNAL[fitted])
    powers = {
        name: 0.5 + float(np.polyfit(signal, np.log(detail(found, name, fitted)), 1)[0])
        for name in SIDES
    }
    return np.exp(np.nanmean(np.log(q), axis=1)), powers


def text(found: Noise) -> str:
    """Return Markdown tables and the fit."""
    by_image, powers = fit(found)
    low, middle, high = np.percentile(by_image, [25, 50, 75])
    rows = []
    for level in np.flatnonzero(common(found)):
        hr, q = (np.nanmedian(found.levels[name][:, :, level], axis=0) for name in SIDES)
        hr = hr * np.sqrt(SIGNAL[level])
        images = str(np.isfinite(found.levels["LR"][:, 1, level]).sum())
        cells = [hr[1], hr[0], q[1], q[0], q[1] / MODEL]
        rows.append([f"{GREY[level]:.0f}", images, *(f"{each:.2f}" for each in cells)])
    head = ["grey", "images", "HR detail", "HR residual", "q detail", "q residual", "q / QUANTUM"]
    factors = (f"{name} {bias(side)[0]:.3f}, {bias(side)[1]:.3f}" for name, side in SIDES.items())
    return "\n\n".join(
        (
            f"Noise in flat parts of {len(found.levels['LR'])} images, in grey levels of 255",
            aligned_table(head, rows),
            f"Bias of residual and detail on white noise, divided by: {'; '.join(factors)}\n"
            f"q of an image, grey levels {_ends()}: median {middle:.2f} (quartiles {low:.2f} to "
            f"{high:.2f}); QUANTUM is {MODEL:.2f}\n"
            f"There noise follows (1 - grey) to the power {powers['LR']:.2f} in LR and "
            f"{powers['HR']:.2f} in HR; the model's is 0.5",
            _spectra_table(found),
        )
    )


def _ends() -> str:
    return f"{GREY[FITTED][0]:.0f} to {GREY[FITTED][-1]:.0f}"


def _spectra_table(found: Noise) -> str:
    rows = []
    for name, power in found.power.items():
        q, frequency = np.sqrt(np.median(power, axis=0)), found.frequency[name]
        near = [int(np.argmin(np.abs(frequency - each))) for each in SHOWN]
        cells = [
            f"{q[at]:.2f}" if each <= frequency[-1] else ""
            for at, each in zip(near, SHOWN, strict=True)
        ]
        rows.append([name, *cells])
    return aligned_table(["q, at cycles per HR pixel", *map(str, SHOWN)], rows)


if __name__ == "__main__":
    main()
