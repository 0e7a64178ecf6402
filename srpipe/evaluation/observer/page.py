"""The page that the study writes: tables between markers, and a figure."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srpipe.core.files import replacing
from srpipe.evaluation.comparison.pages import spread
from srpipe.evaluation.intervals import Interval
from srpipe.evaluation.observer.examine import HR
from srpipe.evaluation.observer.summary import AREA, GAIN, INVENTED, LOST, SIZES, TOGETHER
from srpipe.evaluation.tables import aligned_table

PAGE = Path("docs/observer.md")
SCORES = Path("docs/observer.csv")
DETAIL = Path("docs/observer_detail.csv")
SUMMARY = Path("docs/observer.json")
FIGURE = Path("docs/figures/observer.png")


def text(results: pd.DataFrame, about: str) -> str:
    """Return what stands between the page's markers; `about` says of which images it is."""
    single = [size for size in SIZES if size != TOGETHER]
    parts = [
        about,
        "## Area under the ROC curve\n\nMean over sizes.",
        table(results, AREA, TOGETHER),
        f"![]({FIGURE.relative_to('docs')})",
        "## Gained over bicubic\n\nPaired differences of these areas.",
        table(results, GAIN, TOGETHER),
        "## By size",
        *(
            f"{size}: area, and what is gained over bicubic.\n\n"
            f"{table(results, AREA, size)}\n\n{table(results, GAIN, size)}"
            for size in single
        ),
        "## Detail lost and invented\n\nLost, in % of HR's:",
        table(results, LOST),
        "Invented, in % of SR's:",
        table(results, INVENTED),
    ]
    return "\n\n".join(parts)


def table(results: pd.DataFrame, quantity: str, size: str = "") -> str:
    """Return a table, methods by acquisitions; HR, which is not acquired, in the first column."""
    rows = results[(results["quantity"] == quantity) & (results["size"] == size)]
    columns = list(dict.fromkeys(rows.loc[rows["method"] != HR, "acquisition"]))
    cells: dict[str, dict[str, str]] = {}
    for method, acquisition, *sides in rows[
        ["method", "acquisition", "mean", "low", "high"]
    ].itertuples(index=False):
        value = Interval(*(side * (100 if quantity in (LOST, INVENTED) else 1) for side in sides))
        cell = spread(value, 3 if size else 1, "+" if quantity == GAIN else "")
        cells.setdefault(method, {})[columns[0] if method == HR else acquisition] = cell
    lines = [
        [method, *(found.get(name, "") for name in columns)] for method, found in cells.items()
    ]
    return aligned_table(["method", *columns], lines)


def draw(results: pd.DataFrame) -> None:
    """Draw the areas and their intervals by acquisition and method, a panel a size.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = Figure(figsize=(4.2 * len(SIZES), 4.4), layout="constrained")
    panels = figure.subplots(1, len(SIZES), sharey=True)
    for panel, size in zip(panels, SIZES, strict=True):
        rows = results[(results["quantity"] == AREA) & (results["size"] == size)]
        original, acquired = rows[rows["method"] == HR], rows[rows["method"] != HR]
        panel.axhspan(original["low"].item(), original["high"].item(), color="0.9", label=HR)
        panel.axhline(original["mean"].item(), color="0.6")
        panel.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
        places = {name: at for at, name in enumerate(dict.fromkeys(acquired["acquisition"]))}
        methods = list(dict.fromkeys(acquired["method"]))
        for index, method in enumerate(methods):
            own = acquired[acquired["method"] == method]
            shift = (index - (len(methods) - 1) / 2) * 0.6 / len(methods)
            sides = [own["mean"] - own["low"], own["high"] - own["mean"]]
            at = [places[name] + shift for name in own["acquisition"]]
            panel.errorbar(at, own["mean"], sides, fmt="o", markersize=4, label=method)
        panel.set_xticks(range(len(places)), list(places), rotation=60)
        panel.set_title(size)
    panels[0].set_ylabel("area under the ROC curve")
    panels[0].legend(fontsize=8, loc="lower left")
    with replacing(FIGURE) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
