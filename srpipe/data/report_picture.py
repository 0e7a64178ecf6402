"""The data report's picture: a few images, the odd ones first, and histograms."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srpipe.core.console import ascii_text
from srpipe.core.files import replacing
from srpipe.data.packed import Packed

# Images shown, in two rows, and how many kinds of changed ones at most.
SHOWN = 12
CHANGED = 4
# Letters of a name that fit below an image.
NAME = 24


def draw(path: Path, table: pd.DataFrame, packed: Packed) -> None:
    """Draw LR images and the histograms of mean grey and of size, as PNG.

    Args:
        path: the PNG file.
        table: as `report.image_table` makes it.
        packed: the images.

    Raises:
        OutputError: the file cannot be written.
    """
    used = table[table["excluded"] == ""]
    figure = Figure(figsize=(14, 10), layout="constrained")
    left_out = len(table) - len(used)
    figure.suptitle(
        f"{len(used)} images of {used['patient'].nunique()} patients"
        + f"; {left_out} left out" * bool(left_out)
    )
    grid = figure.add_gridspec(3, SHOWN // 2)
    axes = [figure.add_subplot(grid[row, column]) for row in (0, 1) for column in range(SHOWN // 2)]
    shown = chosen(used)
    for axis, (image, why) in zip(axes, shown.items(), strict=False):
        (row,) = packed.rows([image])
        axis.imshow(packed.lr(row), cmap="gray", vmin=0, vmax=255)
        # A name is text, whatever is in it: no formulas, and letters that every font has.
        plain = ascii_text(image)[-NAME:]
        axis.set_title(f"{plain}\n{why}", fontsize=8, parse_math=False)
    for axis in axes:
        axis.set_axis_off()
    half = SHOWN // 4
    grey = figure.add_subplot(grid[2, :half])
    grey.hist(used["mean_grey"].to_numpy(float), bins=np.linspace(0, 255, 52).tolist())
    grey.set(xlabel="mean grey of HR (0 black, 255 white)", ylabel="images")
    _sizes(figure.add_subplot(grid[2, half:]), used)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})


def _sizes(axis: Axes, used: pd.DataFrame) -> None:
    sides = {side: used[f"file_{side}"].to_numpy(float) for side in ("width", "height")}
    low, high = min(map(np.min, sides.values())), max(map(np.max, sides.values()))
    # At least ten pixels, so that images of one size are no field of colour.
    bins = np.linspace(low - 5, high + 5, min(41, int(high - low) + 11)).tolist()
    axis.hist(list(sides.values()), bins=bins, label=list(sides))
    axis.set(xlabel="side of the file's image (pixels)", ylabel="images")
    axis.legend()


def chosen(used: pd.DataFrame) -> dict[str, str]:
    """Return images to show and why: changed, repeated and extreme ones, then others, evenly."""
    found: dict[str, list[str]] = {}
    kinds = used[used["changes"] != ""].drop_duplicates(["form", "changes"]).head(CHANGED)
    for image, form, changes in kinds[["image", "form", "changes"]].to_numpy().tolist():
        found.setdefault(image, []).append(f"{form}: {changes}".replace("; ", "\n"))
    for image, same in (
        used[used["same_as"] != ""][["image", "same_as"]].head(1).to_numpy().tolist()
    ):
        found.setdefault(same, []).append("there twice")
        found.setdefault(image, []).append("there twice")
    area = used["width"].astype(int) * used["height"].astype(int)
    extremes = [("darkest", used["mean_grey"], False), ("brightest", used["mean_grey"], True)]
    if area.nunique() > 1:
        extremes += [("smallest", area, False), ("largest", area, True)]
    for why, values, largest in extremes:
        numbers = values.to_numpy(float)
        at = int(numbers.argmax() if largest else numbers.argmin())
        found.setdefault(str(used["image"].iloc[at]), []).append(why)
    rest = used["image"][~used["image"].isin(list(found))].tolist()
    more = max(0, min(SHOWN - len(found), len(rest)))
    for index in range(more):
        found[rest[index * len(rest) // more]] = [""]
    return {image: "\n".join(why) for image, why in found.items()}
