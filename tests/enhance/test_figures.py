"""Figures of a result are what their names say, in pieces as of the whole."""

from pathlib import Path

import numpy as np
import pytest

from srpipe.enhance.figures import added_detail, added_share, lr_psnr
from srpipe.enhance.upscale import Method, upscale_file
from srpipe.formats.raster import Values, encode_png
from srpipe.imaging.consistency import undetermined
from srpipe.imaging.resample import downsample
from tests.conftest import MakeImage


def test_lr_psnr_is_that_of_the_scores(our_method: Method, make_image: MakeImage) -> None:
    """Of 8 bits as `metrics.scores` defines it, also in pieces; of more, over the range given."""
    lr = make_image(0, 400, 30)
    Path("a.png").write_bytes(encode_png(lr))
    made = upscale_file(Path("a.png"), Path("out.png"), our_method)
    error = ((downsample(made.sr, 4).astype(float) - lr) ** 2).mean()
    assert lr_psnr(made.sr, made.values, 4) == pytest.approx(
        20 * np.log10(255 / np.sqrt(error)), abs=1e-4
    )
    flat = Values(np.tile(np.arange(1000, 1020), (20, 1)), 0, 4095, 12, ())
    off = (flat.array + 1).repeat(4, 0).repeat(4, 1).astype(np.uint16)
    assert lr_psnr(off, flat, 4) == pytest.approx(20 * np.log10(19), abs=0.2)
    exact = Values(np.full((20, 20), 7, np.uint8), 0, 255, 8, ())
    assert lr_psnr(np.full((80, 80), 7, np.uint8), exact, 4) == 100


def test_added_detail_in_pieces_is_that_of_the_whole(make_image: MakeImage) -> None:
    """To a hundredth of a grey level; with what LR determines it is the result."""
    sr = make_image(0, 1700, 100)
    found, whole = added_detail(sr, 4), undetermined(sr - sr.mean(), 4)
    assert np.abs(found - whole).max() < 0.01
    assert found.std() > 0.1


def test_the_share_is_that_of_the_energy() -> None:
    """All of what alternates, next to nothing of what is smooth, nothing of a constant."""
    y, x = np.mgrid[:96, :128]
    finest = (100 + 20 * (-1) ** (x + y)).astype(np.uint8)
    smooth = np.rint(100 + 50 * np.sin(x / 30) * np.cos(y / 20)).astype(np.uint8)
    flat = np.full((96, 128), 7, np.uint8)
    shares = [added_share(added_detail(each, 4), each) for each in (finest, smooth, flat)]
    assert shares[0] > 0.95
    assert 0 < shares[1] < 0.01
    assert shares[2] == 0
