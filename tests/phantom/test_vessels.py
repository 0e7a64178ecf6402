"""The vessel tree reaches below what an LR image can show."""

import numpy as np

from srpipe.phantom.acquisition import sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.canvas import Frame
from srpipe.phantom.vessels import grow_vessels, project_vessels


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
