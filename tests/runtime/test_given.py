"""What a network is given: an image from black to white, without padding."""

import numpy as np

from srpipe.formats.raster import Values
from srpipe.runtime.given import given


def test_what_the_network_is_given() -> None:
    """8 bits as they are, more from the image's own black to its white, without padding."""
    eight = np.array([[0, 51], [102, 204]], np.uint8)
    assert given(Values(eight, 0, 255, 8, ())).tolist() == (eight / np.float32(255)).tolist()
    padded = np.array([[0, 1000, 1500], [0, 1500, 2000]])
    found = given(Values(padded, 0, 4095, 12, (), None, (0, 0)))
    assert found.tolist() == [[0, 0, 0.5], [0.5, 0.5, 1]]
    assert not given(Values(np.full((4, 4), 900), 0, 4095, 12, ())).any()
