"""The ribs are complete and even."""

import pytest

from srpipe.phantom.acquisition import sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.skeleton import RIB_PAIRS, project_ribs


def test_there_are_twelve_pairs_of_ribs() -> None:
    """Each is one tube; the image's two halves carry about the same bone."""
    anatomy = sample_anatomy(2, 2)
    acquisition = sample_acquisition(anatomy, 2, 2, 0)
    ribs = project_ribs(anatomy, acquisition, 0.8, 2, 2)
    assert len(ribs) == 2 * RIB_PAIRS
    left, right = (sum(float(r.mass.sum()) for r in half) for half in (ribs[:12], ribs[12:]))
    assert left == pytest.approx(right, rel=0.1)
