"""Draw the synthetic cohort beside real radiographs: looks, spectra, grey levels, bicubic PSNR.

Run from the repository root::

    python -m docs.figures.phantom_vs_nih --nih PATH --out docs/figures/phantom_vs_nih.png

PATH is a folder of ChestX-ray14 images (1024x1024 PNG). The same numbers are printed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from srpipe.imaging.resample import bicubic, downsample
from srpipe.metrics.scores import reference, score
from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.render import render

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend must be chosen first
from matplotlib.axes import Axes

Grey = NDArray[np.uint8]
SIDE = 1024
SHOWN = 4
CROP = 256
SCALE = 4
COLOURS = {"phantom": "#d95f02", "NIH": "#1b4f8f"}


@dataclass(frozen=True)
class Measured:
    """Statistics of one image.

    Attributes:
        whole: bicubic PSNR of all pixels, dB.
        masked: the same without markers and an 8-px border, dB.
        marked: share of the pixels that the mask leaves out.
        ssim: bicubic SSIM; all conventions are those of `srpipe.metrics.scores`.
        spectrum: radially averaged power, dB, in steps of 1/200 cycle per pixel up to 0.5.
        histogram: share of pixels at each of 256 grey levels.
    """

    whole: float
    masked: float
    marked: float
    ssim: float
    spectrum: NDArray[np.float64]
    histogram: NDArray[np.float64]


def main() -> int:
    """Measure both sets, print a table, write the figure; 2 if the real images are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nih", type=Path, required=True, help="folder of ChestX-ray14 PNG files")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/phantom_vs_nih.png"))
    parser.add_argument("--patients", type=int, default=100, help="phantom patients, 1 image each")
    parser.add_argument("--seed", type=int, default=2026, help="seed of the phantom cohort")
    options = parser.parse_args()
    files = sorted(options.nih.glob("*.png")) if options.nih.is_dir() else []
    if len(files) < SHOWN:
        print(
            f"--nih {options.nih}: need a folder with at least {SHOWN} ChestX-ray14 PNG files, "
            f"found {len(files)}",
            file=sys.stderr,
        )
        return 2
    plan = plan_cohort(options.patients, 1, options.seed)
    images = {
        "phantom": [render(exposure) for exposure in plan],
        "NIH": [_read(path) for path in files],
    }
    measured = {name: [measure(image) for image in group] for name, group in images.items()}
    for name, rows in measured.items():
        print(_summary(name, rows))
    print(_spectrum_gap(measured))
    _draw(images, measured, options.out)
    return 0


def measure(image: Grey) -> Measured:
    """Return the statistics of one image, uint8 (1024, 1024), by the pipeline's own scorer."""
    against = reference(image, downsample(image, SCALE))
    scores = score(bicubic(against.lr, SCALE), against)
    return Measured(
        whole=scores.psnr,
        masked=scores.psnr_masked,
        marked=1 - float(against.mask.mean()),
        ssim=scores.ssim,
        spectrum=_radial_power(image),
        histogram=np.bincount(image.ravel(), minlength=256) / image.size,
    )


def _read(path: Path) -> Grey:
    with Image.open(path) as picture:
        grey = picture.convert("L")
    if grey.size != (SIDE, SIDE):
        raise ValueError(f"{path.name}: need {SIDE}x{SIDE} pixels, got {grey.size}")
    return np.array(grey)


def _radial_power(image: Grey) -> NDArray[np.float64]:
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    power = np.abs(fft.rfft2((image / 255 - image.mean() / 255) * window)) ** 2
    radius = np.hypot(fft.fftfreq(SIDE)[:, None], fft.rfftfreq(SIDE)[None, :])
    ring = np.rint(radius * 200).astype(int).ravel()
    total = np.bincount(ring, power.ravel())[:101] / np.bincount(ring)[:101]
    return np.asarray(10 * np.log10(total / (window**2).sum() + 1e-12))


def _summary(name: str, rows: list[Measured]) -> str:
    def spread(values: list[float]) -> str:
        low, middle, high = np.percentile(values, [25, 50, 75])
        text = f"{np.mean(values):.2f} +- {np.std(values):.2f}"
        return f"{text} ({low:.2f} / {middle:.2f} / {high:.2f})"

    histogram = np.mean([row.histogram for row in rows], axis=0)
    grey = float(histogram @ np.arange(256))
    return (
        f"{name}, {len(rows)} images; mean +- standard deviation (quartiles)\n"
        f"  bicubic PSNR whole  {spread([r.whole for r in rows])} dB\n"
        f"  bicubic PSNR masked {spread([r.masked for r in rows])} dB\n"
        f"  bicubic SSIM {np.mean([r.ssim for r in rows]):.4f}, "
        f"masked {100 * np.mean([r.marked for r in rows]):.1f}% of the pixels\n"
        f"  mean grey {grey:.1f}, at 0 {100 * histogram[0]:.2f}%, "
        f"at 255 {100 * histogram[255]:.3f}%"
    )


def _spectrum_gap(measured: dict[str, list[Measured]]) -> str:
    mean = {name: np.mean([r.spectrum for r in rows], axis=0) for name, rows in measured.items()}
    gap = (mean["phantom"] - mean["NIH"])[2:100]  # 0.01 to 0.495 cycles per pixel
    return (
        f"spectrum, phantom against NIH: rms {np.sqrt(np.mean(gap**2)):.2f} dB, "
        f"from {gap.min():+.2f} to {gap.max():+.2f} dB"
    )


def _draw(images: dict[str, list[Grey]], measured: dict[str, list[Measured]], out: Path) -> None:
    figure = plt.figure(figsize=(16, 9.4), dpi=100)
    figure.suptitle(
        "Synthetic cohort beside real radiographs  -  real images: NIH Clinical Center "
        "(Wang et al., CVPR 2017)",
        fontsize=14,
    )
    rows = figure.add_gridspec(3, 1, height_ratios=(1, 1, 1.45), hspace=0.16, top=0.93, bottom=0.06,
                               left=0.04, right=0.98)  # fmt: skip
    for row, (name, group) in enumerate(images.items()):
        grid = rows[row].subgridspec(1, 2 * SHOWN, wspace=0.02)
        step = max(len(group) // SHOWN, 1)
        for column in range(SHOWN):
            _picture(figure.add_subplot(grid[0, 2 * column]), group[column * step], name, column)
            _detail(figure.add_subplot(grid[0, 2 * column + 1]), group[column * step])
    plots = rows[2].subgridspec(1, 3, wspace=0.16)
    _spectra(figure.add_subplot(plots[0]), measured)
    _histograms(figure.add_subplot(plots[1]), measured)
    _scores(figure.add_subplot(plots[2]), measured)
    figure.savefig(out)
    plt.close(figure)


def _picture(axes: Axes, image: Grey, name: str, column: int) -> None:
    small = Image.fromarray(image).resize((SIDE // 4,) * 2, Image.Resampling.LANCZOS)
    axes.imshow(np.asarray(small), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.axis("off")
    if column == 0:
        axes.set_title(
            f"{name} (and {CROP}-pixel details)",
            loc="left",
            color=COLOURS[name],
            fontsize=13,
            pad=3,
        )


def _detail(axes: Axes, image: Grey) -> None:
    top, left = 380, 600
    crop = image[top : top + CROP, left : left + CROP]
    axes.imshow(crop, cmap="gray", interpolation="nearest")
    axes.axis("off")


def _spectra(axes: Axes, measured: dict[str, list[Measured]]) -> None:
    frequency = np.arange(1, 101) / 200
    for name, rows in measured.items():
        stack = np.stack([r.spectrum for r in rows])[:, 1:]
        mean, spread = stack.mean(axis=0), stack.std(axis=0)
        axes.semilogx(frequency, mean, color=COLOURS[name], label=name)
        axes.fill_between(frequency, mean - spread, mean + spread, color=COLOURS[name], alpha=0.18)
    axes.set(xlabel="cycles per pixel", ylabel="dB", title="radial power, mean and +- 1 s.d.")
    axes.legend()


def _histograms(axes: Axes, measured: dict[str, list[Measured]]) -> None:
    for name, rows in measured.items():
        mean = np.mean([r.histogram for r in rows], axis=0)
        axes.plot(100 * mean, color=COLOURS[name], label=name)
    axes.set(xlabel="grey level", ylabel="% of pixels", ylim=(0, 2), title="grey levels")
    axes.legend()


def _scores(axes: Axes, measured: dict[str, list[Measured]]) -> None:
    bins = np.arange(26, 54, 1.5).tolist()
    for name, rows in measured.items():
        for kind, style in (("whole", "--"), ("masked", "-")):
            values = [getattr(row, kind) for row in rows]
            axes.hist(values, bins, density=True, histtype="step", color=COLOURS[name],
                      linestyle=style, linewidth=1.6, label=f"{name}, {kind}")  # fmt: skip
    axes.set(xlabel="bicubic PSNR, dB", ylabel="density", title="how hard the images are")
    axes.legend(fontsize=9)


if __name__ == "__main__":
    sys.exit(main())
