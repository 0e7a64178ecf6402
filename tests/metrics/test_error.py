"""PSNR has peak 1 and an end, and 8-bit differences do not wrap around."""

import numpy as np
import pytest

from srpipe.metrics.error import psnr, squared_error


def test_differences_do_not_wrap_around() -> None:
    """0 against 255 is the largest error there is, not 1."""
    black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert np.all(squared_error(black, white) == 1)
    assert np.all(squared_error(white, black) == 1)
    assert psnr(1.0) == 0


def test_psnr_is_capped_without_a_jump() -> None:
    """An MSE of 1e-10 is 100 dB by the formula too."""
    assert psnr(0.0) == 100
    assert psnr(1e-12) == 100
    assert psnr(1.001e-10) == pytest.approx(100, abs=0.01)
    assert psnr(0.01) == pytest.approx(20)
