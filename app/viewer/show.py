"""Showing pictures of one size: two under a slider, and all at one zoom."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from srpipe.formats.raster import encode_png
from srpipe.imaging.arrays import FloatImage, GreyImage

# A difference or half width of as many grey levels of 255 is shown white.
WHITE = 16
# Pixels a side that are sent to the browser.
MOST_SIDE = 2048

_HERE = Path(__file__).parent
_viewer = st.components.v2.component(
    "srpipe_viewer",
    html=(_HERE / "viewer.html").read_text(encoding="utf-8"),
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
    js=(_HERE / "viewer.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Panel:
    """A picture as the browser gets it, with its name and a line about it; made by `panel`.

    The source is "" of a picture that is to come.
    """

    name: str
    about: str
    width: int
    height: int
    source: str


def panel(name: str, about: str, picture: GreyImage) -> Panel:
    """Return a picture `uint8 (H, W)` for the browser, smaller by `reduction`."""
    image = Image.fromarray(picture)
    if (by := reduction(picture)) > 1:
        image = image.reduce(by)
    encoded = base64.b64encode(encode_png(np.asarray(image))).decode("ascii")
    source = f"data:image/png;base64,{encoded}"
    return Panel(name, about, image.width, image.height, source)


def reduction(picture: GreyImage) -> int:
    """Return by which whole number a picture is made smaller for the browser."""
    return -(-int(max(picture.shape)) // MOST_SIDE)


def amplified(difference: FloatImage) -> GreyImage:
    """Return a picture of differences in [0, 1]: black is none, white `WHITE` grey levels."""
    picture: GreyImage = np.clip(np.rint(difference * (255 * 255 / WHITE)), 0, 255).astype(np.uint8)
    return picture


def show(panels: Sequence[Panel]) -> None:
    """Show pictures of one size; the first two are under the slider, too."""
    _viewer(
        key="viewer",
        data={
            "width": panels[0].width,
            "height": panels[0].height,
            "panels": [
                {"name": each.name, "about": each.about, "source": each.source} for each in panels
            ],
        },
    )
