"""The layers below an image: mass, vessels, bones, markers, collimation."""

import numpy as np
import pytest

from srpipe.imaging.lettering import letter_tile
from srpipe.phantom.acquisition import View, sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.canvas import Frame, deposit, tube
from srpipe.phantom.collimation import Field, bar_mask, exposed_share, sample_field
from srpipe.phantom.detector import expose
from srpipe.phantom.markers import BurnedText, burn_in, lead_thickness, sample_markers
from srpipe.phantom.seeding import Stream, generator
from srpipe.phantom.skeleton import RIB_PAIRS, project_ribs
from srpipe.phantom.soft_tissue import project_soft_tissue
from srpipe.phantom.vessels import grow_vessels, project_vessels

FRAME = Frame(size=512, field_mm=400.0, centre_x=0.0, centre_y=0.0, tilt=0.0)


def test_a_tube_keeps_its_volume() -> None:
    """The projected thickness times the pixel area is the volume, also below one pixel."""
    for radius in (0.05, 0.4, 6.0):
        samples = tube([(-100, -40), (100, 60)], radius, radius, FRAME.pitch)
        volume = deposit(FRAME, [samples]).sum() * FRAME.pitch**2
        assert volume == pytest.approx(np.pi * radius**2 * np.hypot(200, 100), rel=0.02)


def test_a_tube_along_the_beam_is_brighter_than_one_across() -> None:
    """Overlap adds: this is what makes the lateral turns of the ribs bright."""
    across = tube([(-50, 0, 0), (50, 0, 0)], 2.0, 2.0, FRAME.pitch)
    steep = tube([(-5, 0, -50), (5, 0, 50)], 2.0, 2.0, FRAME.pitch)
    assert deposit(FRAME, [steep]).max() > 4 * deposit(FRAME, [across]).max()


def test_a_walled_tube_has_bright_edges() -> None:
    """Cortex shows as two edges brighter than the marrow between them."""
    wall = deposit(FRAME, [tube([(-80, 0), (80, 0)], 8.0, 8.0, FRAME.pitch, wall=1.0, core=0.1)])
    profile = wall[200:312, 256]
    assert profile.max() > 1.5 * profile[56]
    assert abs(int(profile.argmax()) - 56) > 5


def test_mass_outside_the_image_is_dropped() -> None:
    """Parts of the body beyond the field do not wrap round or raise."""
    assert deposit(FRAME, [tube([(900, 900), (950, 900)], 3.0, 3.0, FRAME.pitch)]).max() == 0


def test_vessels_reach_below_one_low_resolution_pixel() -> None:
    """Most branches are narrower than the 4 HR pixels that make one LR pixel, some than one."""
    anatomy = sample_anatomy(1, 1)
    acquisition = sample_acquisition(anatomy, 1, 1, 0)
    generations = grow_vessels(anatomy, acquisition, 1, 1)
    pitch = acquisition.field_mm / 1024
    width = np.concatenate([2 * g.radius for g in generations]) / pitch
    assert np.mean(width < 4) > 0.5
    assert (width < 1).sum() > 100
    assert (width > 8).sum() > 20
    # They are drawn, not only grown: the finest generations alone leave mass in the image.
    frame = Frame(1024, acquisition.field_mm, 0.0, acquisition.centre_y, 0.0)
    assert (project_vessels(generations[-3:], frame) > 0).mean() > 0.005


def test_the_lung_is_in_the_chest_and_nowhere_else() -> None:
    """Air thickness is positive in both lungs, zero above the apices, midline and abdomen."""
    anatomy = sample_anatomy(3, 4)
    acquisition = sample_acquisition(anatomy, 3, 4, 0)
    frame = Frame(256, 500.0, 0.0, 0.5 * anatomy.lung_height, 0.0)
    tissue = project_soft_tissue(anatomy, acquisition, frame)
    column, row = frame.to_pixels(
        np.array([-70, 80, 0, 0], np.float32),
        np.array([0.5, 0.45, -0.2, 1.5], np.float32) * np.float32(anatomy.lung_height),
    )
    air = tissue.air[row.astype(int), column.astype(int)]
    assert (air[:2] > 50).all()
    assert (air[2:] == 0).all()
    assert np.isfinite(tissue.water).all()
    assert (tissue.water >= 0).all()


def test_there_are_twelve_pairs_of_ribs() -> None:
    """Each is one tube; the image's two halves carry about the same bone."""
    anatomy = sample_anatomy(2, 2)
    acquisition = sample_acquisition(anatomy, 2, 2, 0)
    ribs = project_ribs(anatomy, acquisition, 0.8, 2, 2)
    assert len(ribs) == 2 * RIB_PAIRS
    left, right = (sum(float(r.mass.sum()) for r in half) for half in (ribs[:12], ribs[12:]))
    assert left == pytest.approx(right, rel=0.1)


def test_noise_grows_where_fewer_quanta_arrive() -> None:
    """Relative noise of the log signal is larger behind more tissue."""
    anatomy = sample_anatomy(1, 1)
    acquisition = sample_acquisition(anatomy, 1, 1, 0)
    thin = expose(np.full((128, 128), 1.0, np.float32), acquisition, np.random.default_rng(0))
    thick = expose(np.full((128, 128), 4.5, np.float32), acquisition, np.random.default_rng(0))
    assert thick.std() > 2 * thin.std()


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


def test_letters_refuse_unknown_faces_and_missing_heights() -> None:
    """The messages say what is allowed."""
    with pytest.raises(ValueError, match="face must be one of"):
        letter_tile(("L",), (20,), "Comic")
    with pytest.raises(ValueError, match="one height for each line"):
        letter_tile(("L", "AB"), (20,))


def test_collimation_leaves_the_middle_and_takes_the_margins() -> None:
    """Shares are 0 outside and 1 inside; bars are exactly as wide as asked."""
    field = Field((0.1, 0.0, 0.05, 0.0), (0.0,) * 4, 1.0, True, (0.0, 0.25, 0.0, 0.0))
    share = exposed_share(field, 200)
    assert share[100, 100] == 1
    assert share[100, 5] == 0
    assert share[3, 100] == 0
    assert bar_mask(field, 200)[:, 150:].all()
    assert not bar_mask(field, 200)[:, :150].any()


def test_some_fields_show_edges_and_some_do_not() -> None:
    """Both kinds are common, so that neither is a surprise."""
    fields = [sample_field(generator(0, Stream.MARKERS, p, 0)) for p in range(1, 200)]
    with_edges = np.mean([any(f.margins) or any(f.bars) for f in fields])
    assert 0.5 < with_edges < 0.95
