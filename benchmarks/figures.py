"""The figures of the benchmarks: bars, with whiskers from quartile to quartile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

from benchmarks.turns import Spread
from srpipe.core.files import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # the backend must be chosen first
from matplotlib.axes import Axes

BLUE, ORANGE, GREY = "#1b4f8f", "#d95f02", "#9aa5b1"


@dataclass(frozen=True)
class Bars:
    """A panel of ratios or speeds by name; `target` is what we want at least, if anything."""

    title: str
    unit: str
    values: Mapping[str, Spread]
    target: float | None = None

    def draw(self, axes: Axes) -> None:
        """Draw the panel, its first bar on top."""
        names = list(self.values)[::-1]
        spreads = [self.values[name] for name in names]
        medians = [each.median for each in spreads]
        whiskers = [
            [each.median - each.low for each in spreads],
            [each.high - each.median for each in spreads],
        ]
        axes.barh(names, medians, xerr=whiskers, color=BLUE, ecolor="black", capsize=3, height=0.6)
        for place, each in enumerate(spreads):
            axes.annotate(
                f"{each.median:,.3g}" if each.median < 1000 else f"{each.median:,.0f}",
                (each.high, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
            )
        if self.target is not None:
            axes.axvline(
                self.target, color=ORANGE, linestyle="--", label=f"wanted: {self.target:,g}"
            )
            axes.legend(loc="lower right", fontsize=9)
        axes.set_xlim(0, max(each.high for each in spreads) * 1.25)
        axes.set(title=self.title, xlabel=self.unit)


@dataclass(frozen=True)
class Floors:
    """A panel of what kinds of operations took, beside the least that they could."""

    title: str
    unit: str
    took: Mapping[str, float]
    floors: Mapping[str, float]

    def draw(self, axes: Axes) -> None:
        """Draw the panel, its first kind on top."""
        names = list(self.took)[::-1]
        places = range(len(names))
        took = [self.took[name] for name in names]
        floors = [self.floors[name] for name in names]
        axes.barh([each + 0.2 for each in places], took, height=0.4, color=GREY, label="took")
        axes.barh([each - 0.2 for each in places], floors, height=0.4, color=BLUE, label="floor")
        axes.set_yticks(list(places), names)
        axes.legend(loc="lower right", fontsize=9)
        axes.set(title=self.title, xlabel=self.unit)


def draw(path: Path, panels: Sequence[Bars | Floors]) -> None:
    """Draw panels side by side, at most two in a row.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(7.5 * columns, 4.2 * rows), squeeze=False, layout="constrained"
    )
    for axes, panel in zip(grid.flat, panels, strict=False):
        panel.draw(axes)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    plt.close(figure)
