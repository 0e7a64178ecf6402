"""The figure of `benchmarks.noise`: noise by grey level, spectra, and computed radiographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.noise import DOSES, GREY, MODEL, SCALE, SIGNAL, Noise, common, detail
from benchmarks.noise_dicom import Curve
from srpipe.core.files import replacing

COLOURS = ("#1b4f8f", "#d95f02", "#1b9e77", "#7570b3", "#a6761d", "#444444")


def draw(path: Path, found: Noise, curves: Sequence[Curve]) -> None:
    """Draw what was measured as a PNG file; without radiographs in DICOM, the upper half alone.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = 2 if curves else 1
    figure = Figure(figsize=(10.5, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    _levels(axes[0, 0], found)
    _spectra(axes[0, 1], found)
    if curves:
        _exposures(axes[1, 0], curves)
        _shapes(axes[1, 1], curves)
    places = ("upper right", "lower left", "lower left", "lower left")
    for each, place in zip(axes.flat, places, strict=False):
        each.grid(alpha=0.3)
        each.legend(fontsize=8, loc=place)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=70)


def _levels(axes: Axes, found: Noise) -> None:
    known = common(found)
    at, root = GREY[known], np.sqrt(SIGNAL[known])
    lr = found.levels["LR"][..., known] * root / SCALE
    low, middle, high = np.nanpercentile(lr[:, 1], [25, 50, 75], axis=0)
    axes.plot(at, np.nanmedian(lr[:, 0], axis=0), ":", color=COLOURS[1], label="LR, residual")
    axes.plot(at, middle, "o-", color=COLOURS[1], label="LR, detail (quartiles of the images)")
    axes.fill_between(at, low, high, color=COLOURS[1], alpha=0.2)
    axes.plot(at, root * detail(found, "HR", known), "s-", color=COLOURS[0], label="HR, detail")
    axes.plot(GREY, MODEL / SCALE * np.sqrt(SIGNAL), "k--", label="model, LR at full dose")
    axes.set(
        xlabel="grey level",
        ylabel="standard deviation, grey levels",
        title="flat parts of HR, and of means of 4x4 pixels",
        ylim=(0, 2.2),
    )


def _spectra(axes: Axes, found: Noise) -> None:
    styles = {"HR": ("-", 0), "LR of HR": ("-", 2), "smooth": ("--", 3), "HR acquired": ("-", 1)}
    labelled = set()
    for name, power in found.power.items():
        source, _, dose = name.partition(", ")
        kind = "HR acquired" if dose and source == "HR" else source
        style, colour = styles[kind]
        label = f"{source}, acquired at 1/2, 1/4, 1/8" if dose else name
        axes.loglog(
            found.frequency[name],
            np.sqrt(np.median(power, axis=0)),
            style,
            color=COLOURS[colour],
            label=None if label in labelled else label,
        )
        labelled.add(label)
    for number, fraction in enumerate(DOSES):
        level = MODEL * np.sqrt((1 - fraction) / fraction)
        added = None if number else "added by the model"
        axes.loglog([0.125, 0.2], [level, level], "k:", label=added)
    axes.axhline(MODEL, color="black", linewidth=0.8, label="QUANTUM")
    axes.set(
        xlabel="cycles per HR pixel (LR ends at 0.125)",
        ylabel="q, grey levels",
        title="noise spectra, as the q of white noise",
        ylim=(0.7, 14),
    )
    _ticks(axes, (0.03, 0.06, 0.125, 0.25, 0.5), (1, 1.4, 2, 2.8, 4, 5.6, 8, 11))


def _ticks(axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    axes.minorticks_off()
    axes.set_xticks(across, [f"{each:g}" for each in across])
    axes.set_yticks(up, [f"{each:g}" for each in up])


def _exposures(axes: Axes, curves: Sequence[Curve]) -> None:
    for each, colour in zip(curves, COLOURS, strict=False):
        noise = 2**each.bits * each.noise
        axes.semilogy(each.exposure, noise, "o-", color=colour, markersize=4, label=each.name)
    exposure = np.linspace(0.05, 1, 40)
    axes.semilogy(exposure, 12 * np.sqrt(exposure), "k--", label="square root (linear scale)")
    axes.set(
        xlabel="value, from least to most exposed",
        ylabel="standard deviation, grey levels",
        title="computed radiographs: a straight line is a log scale",
        ylim=(0.15, 16),
    )
    _ticks(axes, (0, 0.2, 0.4, 0.6, 0.8, 1), (0.25, 0.5, 1, 2, 4, 8, 16))


def _shapes(axes: Axes, curves: Sequence[Curve]) -> None:
    for each, colour in zip(curves, COLOURS, strict=False):
        axes.loglog(each.frequency, each.spectrum, color=colour, label=each.name)
    axes.set(
        xlabel="cycles per pixel",
        ylabel="noise power, mean 1",
        title="their noise power spectra",
    )
    _ticks(axes, (0.06, 0.125, 0.25, 0.5), (0.03, 0.1, 0.3, 1, 3, 10))
