"""Lead letters and burned-in text, as often and as sharp as on radiographs."""

import numpy as np

from srpipe.phantom.acquisition import View
from srpipe.phantom.markers import BurnedText, burn_in, lead_thickness, sample_markers
from srpipe.phantom.seeding import Stream, generator


def test_markers_come_in_the_stated_share() -> None:
    """Four of five images have a lead marker, more AP than PA images have burned-in text."""
    views: tuple[View, View] = ("PA", "AP")
    drawn = {
        view: [
            sample_markers(generator(0, Stream.MARKERS, patient, 0), view)
            for patient in range(1, 301)
        ]
        for view in views
    }
    lead = np.mean([m[0] is not None for m in drawn["PA"]])
    burned = {view: np.mean([len(m[1]) > 0 for m in d]) for view, d in drawn.items()}
    assert 0.72 < lead < 0.88
    assert 0.25 < burned["PA"] < 0.45
    assert 0.65 < burned["AP"] < 0.85
    assert any(t.text == "PORTABLE" for m in drawn["AP"] for t in m[1])


def test_burned_text_is_saturated_and_sharp() -> None:
    """White letters on a dark rim, with full swings between neighbouring pixels."""
    image = np.full((512, 512), 120, np.float32)
    text = BurnedText("PORTABLE", 500, 500, 40, "DejaVuSans-Bold", "outlined", False, False, 255)
    burn_in(image, text)
    assert (image == 255).sum() > 200
    assert image.min() < 10
    assert np.abs(np.diff(image, axis=1)).max() > 200


def test_text_at_the_edge_is_cut_off() -> None:
    """A marker may lie partly outside the image; the rest is drawn."""
    image = np.zeros((256, 256), np.float32)
    burn_in(image, BurnedText("L", 1020, 4, 60, "DejaVuSans", "plain", True, True, 255))
    assert image.max() > 200


def test_lead_is_opaque() -> None:
    """A lead letter adds its full strength somewhere and nothing far away."""
    lead = next(
        marker
        for patient in range(1, 50)
        if (marker := sample_markers(generator(0, Stream.MARKERS, patient, 0), "PA")[0])
    )
    thickness = lead_thickness(lead, 512)
    assert thickness.max() > 0.9 * lead.strength
    assert thickness[300:].max() == 0
