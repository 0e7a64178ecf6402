"""What every generator starts from: Pillow's bicubic, and the detail beside it."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from srpipe.imaging.resample import BICUBIC
from srpipe.models.base import SKIP_GAIN, local_detail, upscale_bicubic

LR = np.random.default_rng(2).random((20, 24), dtype=np.float32)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_skip_interpolates_as_the_baseline_does(scale: int) -> None:
    """Pillow's kernel, of floats, at the borders too: nothing is rounded or clipped."""
    sr = upscale_bicubic(torch.tensor(LR)[None, None], scale)[0, 0].numpy()
    wanted = np.asarray(Image.fromarray(LR).resize((24 * scale, 20 * scale), BICUBIC))
    assert (sr.min() < 0, sr.max() > 1) == (True, True)
    # Float32 of numbers about 1, summed in two passes of four terms each.
    assert np.abs(sr - wanted).max() < 2e-6


def test_detail_is_the_difference_to_the_mean_around() -> None:
    """Ten times that of 5x5 pixels, mirrored at the border without repeating it."""
    image = LR.astype(np.float64)
    found = local_detail(torch.tensor(image)[None, None])[0, 0].numpy()
    wanted = SKIP_GAIN * (image - ndimage.uniform_filter(image, 5, mode="mirror"))
    assert SKIP_GAIN == 10
    assert np.abs(found - wanted).max() < 1e-10
    flat = torch.full((2, 1, 3, 3), 0.5)
    assert torch.equal(local_detail(flat), torch.zeros_like(flat))
