"""The page itself; Streamlit runs this file anew whenever a visitor changes anything."""

import hashlib
import time
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import texts
from app.samples import SAMPLES, sample
from app.shown import Asked, Shown, completed, shown_of
from app.uploads import plain, shown_name
from app.viewer.show import show
from app.work import Result, busy, compare, compare_sample, enhance
from srpipe.core.errors import SrpipeError
from srpipe.enhance.engine import load
from srpipe.enhance.upscale import Method, method
from srpipe.trust.interval import RECORD

OWN = "Your own"
MIXTURE = texts.MIXTURE
LOW, HIGH = "low-resolution: enlarge it", "high-resolution: compare with it"


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
    if source == OWN and upload is None:
        st.session_state.pop("shown", None)
        right.info("Choose a file, or drop it on the field.")
        return
    given = source if upload is None else shown_name(upload.name)
    data = b"" if upload is None else upload.getvalue()
    asked = Asked(hashlib.sha256(data).hexdigest(), given, kind, name, alpha, consistent)
    shown: Shown | None = st.session_state.get("shown")
    if shown is not None and shown.asked == asked:
        with right.container():
            _show(shown)
        return
    # A result is this session's alone, and the last one makes room first.
    st.session_state.pop("shown", None)
    # One place, so that what was shown before is gone as soon as this run comes here.
    place = right.empty()
    try:
        with place:
            used = loaded(name, alpha, consistent)
        shown = _made(place, asked, data, used)
    except SrpipeError as error:
        place.error(plain(str(error)))
        return
    st.session_state["shown"] = shown
    if used.interval is not None:
        st.rerun()  # only another run can give other pictures to a viewer that is there already
    with place.container():
        _show(shown)


def _show(shown: Shown, *, complete: bool = True) -> None:
    if shown.unusual:
        st.warning(texts.OUT_OF_RANGE.format("; ".join(shown.unusual)))
    show(shown.panels)
    st.caption(shown.told)
    rows = [
        f"| {name} | {each['bicubic']:.2f} dB | {each['SR']:.2f} dB |"
        for name, each in shown.scores.items()
    ]
    st.markdown("\n".join(["| | bicubic | SR |", "|---|---:|---:|", *rows]))
    if not complete:
        return
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
    first: Shown | None = None

    def tell(done: int, of: int) -> None:
        nonlocal began
        if done == 0:
            began = time.perf_counter()  # the wait for others is over
        place.progress(done / of, "Enhancing" if of == 1 else f"Enhancing: {done} of {of} parts")

    def early(result: Result) -> None:
        nonlocal first
        first = shown_of(asked, result, used, time.perf_counter() - began)
        with place.container():
            _show(first, complete=False)

    place.progress(0.0, "Waiting for another image to be enhanced" if busy() else "Enhancing")
    hr = sample(asked.given) if asked.given in SAMPLES and not data else None
    if hr is not None:
        result = compare_sample(hr, used, tell, early)
    elif asked.kind == HIGH:
        result = compare(data, asked.given, used, tell, early)
    else:
        result = enhance(data, asked.given, used, tell, early)
    if first is not None:
        return completed(first, result)
    return shown_of(asked, result, used, time.perf_counter() - began)


main()
