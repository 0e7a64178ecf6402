"""The page itself; Streamlit runs this file anew whenever a visitor changes anything."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import texts
from app.samples import SAMPLES, sample
from app.uploads import plain, result_name, shown_name
from app.viewer.show import WHITE, Panel, amplified, panel, reduction, show
from app.work import Result, busy, compare, compare_sample, enhance, figures
from srpipe.core.errors import SrpipeError
from srpipe.enhance.engine import load
from srpipe.enhance.upscale import Method, method
from srpipe.imaging.arrays import GreyImage
from srpipe.trust.interval import RECORD

OWN = "Your own"
MIXTURE = texts.MIXTURE
LOW, HIGH = "low-resolution: enlarge it", "high-resolution: compare with it"


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
    """A result as this session keeps it, until it shows another."""

    asked: Asked
    panels: list[Panel]
    scores: dict[str, dict[str, float]]
    encode: Callable[[], bytes]
    name: str
    told: str
    unusual: list[str]


# The same for all sessions; the last few are kept.
@st.cache_resource(show_spinner="Loading the model", max_entries=8)
def loaded(name: str, alpha: float, consistent: bool) -> Method:
    """Return a released model, or for `MIXTURE` that of an alpha, loaded once."""
    if name == MIXTURE:
        return method(alpha=alpha, consistent=consistent)
    # A consistent result agrees with LR whatever the error is: not what was calibrated.
    interval = RECORD in load(name).record and not consistent
    return method(name, consistent=consistent, interval=interval)


def main() -> None:
    """Show the page."""
    st.set_page_config("Super-resolution of chest radiographs", layout="wide")
    st.header("Super-resolution of chest radiographs")
    st.html(Path(__file__).with_name("page.css"))
    st.warning(texts.WARNING)
    left, right = st.columns([1, 3], gap="medium")
    st.write(texts.WHAT)
    for title, text in (("Method", texts.METHOD), ("Risks", texts.RISKS)):
        with st.expander(title):
            st.markdown(text)
    with left:
        source = st.radio("Radiograph", [*SAMPLES, OWN], horizontal=True)
        upload, kind = None, HIGH
        if source == OWN:
            upload = st.file_uploader(
                "PNG, JPEG, TIFF, BMP, JPEG 2000 or DICOM",
                help="Up to 1024x1024 pixels, or 4096x4096 to compare.",
            )
            kind = st.radio("It is", [LOW, HIGH])
        else:
            st.caption("Synthetic: of nobody. High-resolution, made smaller, and enlarged again.")
    with left, st.container(key="settings"):
        name = st.selectbox("Model", list(texts.MODELS))
        st.caption(texts.MODELS[name])
        alpha = 0.0
        if name == MIXTURE:
            alpha = st.slider("Alpha: from fidelity to sharpness", 0.0, 1.0, 0.5, 0.1)
        consistent = st.checkbox(
            "Consistent", help="The result, made smaller again, is the input within 8-bit rounding."
        )
    with right:
        # One place, so that what was shown before is gone as soon as this run comes here.
        place = st.empty()
    if source == OWN and upload is None:
        st.session_state.pop("shown", None)
        place.info("Choose a file, or drop it on the field.")
        return
    given = source if upload is None else shown_name(upload.name)
    data = b"" if upload is None else upload.getvalue()
    asked = Asked(hashlib.sha256(data).hexdigest(), given, kind, name, alpha, consistent)
    try:
        shown = st.session_state.get("shown")
        if shown is None or shown.asked != asked:
            # A result is this session's alone, and the last one makes room first.
            st.session_state.pop("shown", None)
            with place:
                used = loaded(name, alpha, consistent)
            shown = _made(place, asked, data, used)
            st.session_state["shown"] = shown
        with place.container():
            _show(shown)
    except SrpipeError as error:
        place.error(plain(str(error)))


def _show(shown: Shown) -> None:
    if shown.unusual:
        st.warning(texts.OUT_OF_RANGE.format("; ".join(shown.unusual)))
    show(shown.panels)
    st.caption(shown.told)
    rows = [
        f"| {name} | {each['bicubic']:.2f} dB | {each['SR']:.2f} dB |"
        for name, each in shown.scores.items()
    ]
    st.markdown("\n".join(["| | bicubic | SR |", "|---|---:|---:|", *rows]))
    st.download_button(
        f"Download {shown.name.rpartition('.')[2].upper()}",
        shown.encode,
        shown.name,
        "application/octet-stream",
        on_click="ignore",
    )


def _made(place: DeltaGenerator, asked: Asked, data: bytes, used: Method) -> Shown:
    """Return the result; `place` tells meanwhile how far it is."""
    began = time.perf_counter()

    def tell(done: int, of: int) -> None:
        nonlocal began
        if done == 0:
            began = time.perf_counter()  # the wait for others is over
        place.progress(done / of, "Enhancing" if of == 1 else f"Enhancing: {done} of {of} parts")

    place.progress(0.0, "Waiting for another image to be enhanced" if busy() else "Enhancing")
    hr = sample(asked.given) if asked.given in SAMPLES and not data else None
    if hr is not None:
        result = compare_sample(hr, used, tell)
    elif asked.kind == HIGH:
        result = compare(data, asked.given, used, tell)
    else:
        result = enhance(data, asked.given, used, tell)
    took = time.perf_counter() - began
    told = f"{_size(result.lr)} to {_size(result.sr)} in {took:.2f} s on {used.device}."
    if (by := reduction(result.sr)) > 1:
        told += f" Shown at 1/{by} of this size; the download has all of it."
    if result.half_width is None:
        told += texts.NO_INTERVAL
    how = f"alpha{asked.alpha}_x{used.network.scale}" if asked.model == MIXTURE else asked.model
    return Shown(
        asked=asked,
        panels=_panels(result, used),
        scores=figures(result),
        encode=result.encode,
        name=result_name(asked.given, how + "_consistent" * asked.consistent, result.suffix),
        told=told,
        unusual=result.unusual,
    )


def _panels(result: Result, used: Method) -> list[Panel]:
    truth, name = (result.bicubic, "bicubic") if result.hr is None else (result.hr, "HR")
    scale = f"White: {WHITE} grey levels of 255, or more."
    pictures = [
        ("Bicubic", "Interpolation, without a network.", result.bicubic),
        ("SR", f"By {used.provenance.model}.", result.sr),
    ]
    if result.hr is not None:
        pictures.append(("HR", "The truth.", result.hr))
    if result.half_width is not None:
        pictures.append(("Interval half width", f"90%. {scale}", amplified(result.half_width)))
    pictures.append(("Difference", f"|SR - {name}|. {scale}", _difference(result.sr, truth)))
    with ThreadPoolExecutor() as pool:  # Pillow encodes them side by side
        return list(pool.map(lambda each: panel(*each), pictures))


def _difference(a: GreyImage, b: GreyImage) -> GreyImage:
    return amplified(np.abs(a.astype(np.float32) - b) / np.float32(255))


def _size(image: GreyImage) -> str:
    height, width = image.shape
    return f"{width}x{height}"


main()
