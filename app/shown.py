"""What a visitor asks for, and what is shown of its result.

No part of the page's own file, which defines its classes anew in each run: of such, no two are
equal.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from app import texts
from app.uploads import result_name
from app.viewer.show import WHITE, Panel, amplified, panel, reduction
from app.work import Result, figures
from srpipe.enhance.upscale import Method
from srpipe.imaging.arrays import GreyImage

INTERVAL = "Interval half width"
_SCALE = f"White: {WHITE} grey levels of 255, or more."


@dataclass(frozen=True)
class Asked:
    """What a visitor asks for: of the same there is the same result."""

    digest: str  # of the file
    given: str
    kind: str
    model: str
    alpha: float
    consistent: bool


@dataclass(frozen=True)
class Shown:
    """A result as a session keeps it, until it shows another."""

    asked: Asked
    panels: list[Panel]
    scores: dict[str, dict[str, float]]
    encode: Callable[[], bytes]
    name: str
    told: str
    unusual: list[str]


def shown_of(asked: Asked, result: Result, used: Method, took: float) -> Shown:
    """Return what is shown of a result, whose SR took so many seconds."""
    told = f"{_size(result.lr)} to {_size(result.sr)} in {took:.2f} s on {used.device}."
    if (by := reduction(result.sr)) > 1:
        told += f" Shown at 1/{by} of this size; the download has all of it."
    if used.interval is None:
        told += texts.NO_INTERVAL
    how = (
        f"alpha{asked.alpha}_x{used.network.scale}" if asked.model == texts.MIXTURE else asked.model
    )
    return Shown(
        asked=asked,
        panels=_panels(result, used),
        scores=figures(result),
        encode=result.encode,
        name=result_name(asked.given, how + "_consistent" * asked.consistent, result.suffix),
        told=told,
        unusual=result.unusual,
    )


def completed(shown: Shown, result: Result) -> Shown:
    """Return what was shown before the result had its interval, with that."""
    panels = [_interval(result) if each.name == INTERVAL else each for each in shown.panels]
    return replace(shown, panels=panels)


def _panels(result: Result, used: Method) -> list[Panel]:
    truth, name = (result.bicubic, "bicubic") if result.hr is None else (result.hr, "HR")
    pictures = [
        ("Bicubic", "Interpolation, without a network.", result.bicubic),
        ("SR", f"By {used.provenance.model}.", result.sr),
        *[("HR", "The truth.", result.hr)] * (result.hr is not None),
        ("Difference", f"|SR - {name}|. {_SCALE}", _difference(result.sr, truth)),
    ]
    with ThreadPoolExecutor() as pool:  # Pillow encodes them side by side
        panels = list(pool.map(lambda each: panel(*each), pictures))
    if used.interval is not None:
        panels.insert(-1, _interval(result))
    return panels


def _interval(result: Result) -> Panel:
    if result.half_width is None:
        return Panel(INTERVAL, "Being computed.", result.sr.shape[1], result.sr.shape[0], "")
    return panel(INTERVAL, f"90%. {_SCALE}", amplified(result.half_width))


def _difference(a: GreyImage, b: GreyImage) -> GreyImage:
    return amplified(np.abs(a.astype(np.float32) - b) / np.float32(255))


def _size(image: GreyImage) -> str:
    height, width = image.shape
    return f"{width}x{height}"
