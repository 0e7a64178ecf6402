"""What is said of radiographs and other images is counted and written down."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import CTImageStorage

from srpipe.data.packed import Pair
from srpipe.evaluation.out_of_range.__main__ import (
    FITTED,
    OTHERS,
    PHANTOM,
    TEST,
    WENT_WRONG,
    answer,
    count,
    text,
)
from srpipe.evaluation.out_of_range.fit import fits
from srpipe.evaluation.out_of_range.kinds import (
    IDEAL,
    USUAL,
    WRONG,
    Shown,
    dicom_files,
    judged,
    made,
    pictures,
)
from srpipe.imaging.resample import downsample
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from tests.formats.radiographs import encoded, radiograph


def chest(patient: str) -> Pair:
    hr = render(Exposure(1, 0, 14))
    return Pair("a.png", patient, "", hr, downsample(hr, 4))


def test_a_radiograph_is_judged_as_it_is_and_as_it_went_wrong() -> None:
    """Each kind that went wrong and has words is told by them, but for parts of an image; of a
    fitted patient the ideal image alone is looked at.
    """
    patients = [f"p{number}" for number in range(20)]
    other = judged(chest(next(each for each in patients if not fits(each))))
    assert set(other.usual) == set(USUAL)
    assert other.usual[IDEAL] == other.usual["noise 8"] == ""
    right = {name for name, (_, words) in WRONG.items() if words and words in other.wrong[name]}
    parts = {"the left lung alone", "the lower half alone"}
    assert right >= {name for name, (_, words) in WRONG.items() if words} - parts
    fitted = judged(chest(next(each for each in patients if fits(each))))
    assert (fitted.usual, fitted.wrong) == ({IDEAL: ""}, {})


def test_what_is_refused_is_shown_as_a_picture_too(tmp_path: Path) -> None:
    hr = render(Exposure(1, 0, 14), 256)
    (tmp_path / "a.dcm").write_bytes(encoded(radiograph(hr, 8)))
    ct: Any = radiograph(255 - hr, 8, SOPClassUID=CTImageStorage)
    (tmp_path / "b.dcm").write_bytes(encoded(ct))
    said = [(each.group, each.name, answer(each)[:24]) for each in dicom_files(tmp_path)]
    assert said == [
        ("DICOM", "a.dcm", ""),
        ("DICOM", "b.dcm", "refused: is of the SOP c"),
        ("pixels of refused DICOM", "b.dcm", "looks inverted (MONOCHRO"),
    ]


def test_all_that_is_made_can_be_answered() -> None:
    """Pictures of installed packages, too; what is too small is refused."""
    for each in (*pictures(), *made()):
        assert isinstance(answer(each), str)
    tiny = Shown("made", "tiny", np.zeros((10, 20), np.float32))
    assert answer(tiny) == "refused: a side is shorter than 16 pixels"


def test_the_page_has_every_count() -> None:
    counts: dict[str, Any] = {each: {} for each in (FITTED, OTHERS, TEST, PHANTOM, WENT_WRONG)}
    for said in ("", "looks upside down", "", ""):
        count(counts[OTHERS], dict.fromkeys(USUAL, said))
        count(counts[TEST], dict.fromkeys(USUAL, ""))
        count(counts[WENT_WRONG], {"upside down": said})
    for each in (FITTED, PHANTOM):
        count(counts[each], {IDEAL: ""})
    page = text(counts, [(Shown("made", "black", None), ""), (Shown("made", "grey", None), "x")])
    lines = [line.replace(" ", "") for line in page.splitlines()]
    assert "|ideal|25.0%(1of4)|0.0%(0of4)|" in lines
    assert "|upsidedown|25.0%(1of4)|25.0%(1of4)|" in lines
    assert "|black|**nothing**|" in lines
    assert "|grey|x|" in lines
