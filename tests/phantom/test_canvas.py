"""Mass is deposited on the image: kept, added where it overlaps, dropped outside."""

import numpy as np
import pytest

from srpipe.phantom.canvas import Frame, deposit, tube

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
