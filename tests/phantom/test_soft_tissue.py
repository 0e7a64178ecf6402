"""Air and water are where a chest has them."""

import numpy as np

from srpipe.phantom.acquisition import sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.canvas import Frame
from srpipe.phantom.soft_tissue import project_soft_tissue


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
