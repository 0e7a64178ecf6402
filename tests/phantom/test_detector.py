"""Noise is that of counted quanta."""

import numpy as np

from srpipe.phantom.acquisition import sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.detector import expose


def test_noise_grows_where_fewer_quanta_arrive() -> None:
    """Relative noise of the log signal is larger behind more tissue."""
    anatomy = sample_anatomy(1, 1)
    acquisition = sample_acquisition(anatomy, 1, 1, 0)
    thin = expose(np.full((128, 128), 1.0, np.float32), acquisition, np.random.default_rng(0))
    thick = expose(np.full((128, 128), 4.5, np.float32), acquisition, np.random.default_rng(0))
    assert thick.std() > 2 * thin.std()
