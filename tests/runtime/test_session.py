"""A session super-resolves, refuses what is no image, and may be shared by threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from srpipe.core.errors import CheckpointError
from srpipe.runtime.session import session
from tests.models.made import loaded


def test_threads_share_a_session() -> None:
    """Each gets its own image's result."""
    run = session(loaded(0, "plain_sr", bicubic_skip=True).weights)
    images = [np.random.default_rng(seed).random((24, 32), np.float32) for seed in range(8)]
    alone = [run(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, images))
    assert all(map(np.array_equal, alone, together))
    assert not np.array_equal(alone[0], alone[1])


def test_the_layout_in_memory_does_not_matter() -> None:
    """Tiles are views."""
    run = session(loaded(0, "plain_sr", bicubic_skip=True).weights)
    image = np.random.default_rng(0).random((40, 50), np.float32)
    part = image[5:30, 10:40]
    assert np.array_equal(run(part), run(part.copy()))


def test_an_output_of_no_numbers_is_refused() -> None:
    """Damaged weights do not become a black image."""
    weights = loaded(0, "plain_sr", bicubic_skip=True).weights
    bias = np.full_like(weights.arrays["tail.bias"], np.nan)
    run = session(replace(weights, arrays={**weights.arrays, "tail.bias": bias}))
    with pytest.raises(CheckpointError, match="values that are no numbers"):
        run(np.zeros((16, 16), np.float32))
