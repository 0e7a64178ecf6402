"""Downsampling is Pillow's, and what is made consistent downsamples to its LR image."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.imaging.consistency import downsampling_matrix, make_consistent, undetermined
from srpipe.imaging.resample import BICUBIC, bicubic, downsample, to_grey
from tests.conftest import MakeImage

Grey = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
SCALES = pytest.mark.parametrize("scale", [2, 4, 8])


def in_range(image: Grey) -> Float:
    """Return an 8-bit image in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def psnr(a: Grey, b: Grey) -> float:
    """Return the PSNR of 8-bit images."""
    mse = float(((a.astype(float) - b) ** 2).mean()) / 255**2
    return -10 * float(np.log10(max(mse, 1e-10)))


def lettered(image: Grey) -> Grey:
    """Return a radiograph with a black frame and white strokes, where everything overshoots."""
    image = image.copy()
    image[:, :10] = 0
    image[20:44, 30:34] = 255
    image[20:24, 30:60] = 255
    return image


# ------------------------------------------------------------------ the matrix


@SCALES
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 33, 100])
def test_the_matrix_is_pillows_resize(scale: int, count: int) -> None:
    """Of floats along one axis, and along both one after the other; down to a single pixel."""
    numbers = np.random.default_rng(0)
    length = count * scale
    column = numbers.random((length, 7), dtype=np.float32) * 255
    matrix = downsampling_matrix(length, scale)
    assert matrix.shape == (count, length)
    wanted = np.asarray(Image.fromarray(column).resize((7, count), BICUBIC))
    assert np.abs(matrix @ column - wanted).max() < 1e-3
    image = numbers.random((length, 6 * scale), dtype=np.float32) * 255
    both = (downsampling_matrix(6 * scale, scale) @ (matrix @ image).T).T
    wanted = np.asarray(Image.fromarray(image).resize((6, count), BICUBIC))
    assert np.abs(both - wanted).max() < 1e-3


@SCALES
@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_every_lr_pixel_is_a_weighted_mean(scale: int, count: int) -> None:
    """The weights of a row sum to 1, at the borders too, and a row is its mirrored one reversed."""
    matrix = downsampling_matrix(count * scale, scale).toarray()
    assert matrix.sum(1) == pytest.approx(np.ones(count))
    assert np.allclose(matrix, matrix[::-1, ::-1])


# ------------------------------------------------------------------ the projection


def unsaturated(image: Grey) -> Grey:
    """Return an image whose grey levels keep away from black and white."""
    return image // 2 + 60


@pytest.mark.parametrize(("scale", "share"), [(2, 0.005), (4, 0.001), (8, 0.001)])
@pytest.mark.parametrize("seed", range(3))
def test_it_downsamples_to_its_lr_image(
    make_image: MakeImage, seed: int, scale: int, share: float
) -> None:
    """Rounded to 8 bits and made small by Pillow, hardly a pixel is wrong, and by no more than a
    grey level: from bicubic, from noise about HR, and from an even grey. At 2x an LR pixel has few
    HR pixels over which their rounding evens out.
    """
    hr = unsaturated(make_image(seed, 96, 128))
    lr = downsample(hr, scale)
    noise = np.random.default_rng(0).normal(0, 0.02, hr.shape).astype(np.float32)
    for start in (in_range(bicubic(lr, scale)), in_range(hr) + noise, np.full_like(noise, 0.5)):
        sr = make_consistent(start, lr)
        assert (sr.shape, sr.dtype) == (hr.shape, np.float32)
        made = downsample(to_grey(sr), scale)
        off = np.abs(made.astype(int) - lr)
        assert off.max() <= 1
        assert (off > 0).mean() < share
        assert psnr(made, lr) >= 65


@SCALES
def test_saturated_letters_are_nearly_consistent(make_image: MakeImage, scale: int) -> None:
    """A black frame and white strokes overshoot and are clipped, which undoes a little: all but a
    few pixels beside them are within a grey level, and far more of them right than in bicubic.
    """
    hr = lettered(make_image(0, 256, 256))
    lr = downsample(hr, scale)
    plain = bicubic(lr, scale)
    off, before = (
        np.abs(downsample(sr, scale).astype(int) - lr)
        for sr in (to_grey(make_consistent(in_range(plain), lr)), plain)
    )
    assert off.max() <= 4
    assert (off > 1).mean() < 0.04
    assert (off > 0).mean() < (before > 0).mean() / 5


@SCALES
@pytest.mark.parametrize("seed", range(3))
def test_it_comes_no_further_from_hr(make_image: MakeImage, scale: int, seed: int) -> None:
    """PSNR to HR is not lowered beyond what rounding does; from bicubic it is raised."""
    hr = make_image(seed, 96, 128)
    lr = downsample(hr, scale)
    plain = bicubic(lr, scale)
    consistent = to_grey(make_consistent(in_range(plain), lr))
    assert psnr(consistent, hr) > psnr(plain, hr) + 0.05
    noise = np.random.default_rng(seed).normal(0, 0.01, hr.shape).astype(np.float32)
    start = np.clip(in_range(hr) + noise, 0, 1)
    assert psnr(to_grey(make_consistent(start, lr)), hr) > psnr(to_grey(start), hr) - 0.05


def test_the_result_is_the_nearest_consistent_image(make_image: MakeImage) -> None:
    """What is added lies in the range of the transposed downsampling: nothing that downsampling
    cannot see is touched.
    """
    hr = make_image(0, 32, 48) // 2 + 60
    lr = downsample(hr, 4)
    start = in_range(bicubic(lr, 4))
    added = make_consistent(start, lr).astype(float) - start
    down, across = (downsampling_matrix(length, 4).toarray() for length in hr.shape)
    seen = np.linalg.pinv(down) @ (down @ added @ across.T) @ np.linalg.pinv(across).T
    assert np.abs(added).max() > 1e-3
    assert np.abs(added - seen).max() < 1e-6


def test_what_is_consistent_is_left_alone(make_image: MakeImage) -> None:
    """To the bit, where the rounded image downsamples to LR: LR's own rounding is not copied."""
    lr = unsaturated(make_image(0, 20, 24))
    once = make_consistent(in_range(bicubic(lr, 4)), lr)
    assert np.array_equal(downsample(to_grey(once), 4), lr)
    assert np.array_equal(make_consistent(once, lr), once)
    hr = make_image(1, 96, 128)
    assert np.array_equal(make_consistent(in_range(hr), downsample(hr, 4)), in_range(hr))


@pytest.mark.parametrize("grey", [0, 255])
def test_it_stays_in_range(grey: int) -> None:
    """Of an image that wants to overshoot: black or white strokes."""
    lr = np.full((20, 20), 255 - grey, dtype=np.uint8)
    lr[8:11] = grey
    for scale in (2, 4, 8):
        sr = make_consistent(in_range(bicubic(lr, scale)), lr)
        assert (sr.min(), sr.max()) == (0, 1)


@SCALES
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2), (4, 9)])
def test_small_images_too(scale: int, size: tuple[int, int]) -> None:
    """Smaller than the kernel is wide."""
    numbers = np.random.default_rng(0)
    lr = numbers.integers(60, 200, size, dtype=np.uint8)
    start = in_range(bicubic(lr, scale))
    made = downsample(to_grey(make_consistent(start, lr)), scale)
    assert np.abs(made.astype(int) - lr).max() <= 1


def test_the_arguments_are_left_alone(make_image: MakeImage) -> None:
    """And the same arguments give the same bytes."""
    lr = make_image(0, 20, 24)
    start = in_range(bicubic(lr, 4))
    before = start.copy(), lr.copy()
    first = make_consistent(start, lr)
    assert np.array_equal(make_consistent(start, lr), first)
    assert np.array_equal(start, before[0])
    assert np.array_equal(lr, before[1])


@pytest.mark.parametrize("shape", [(40, 47), (41, 48), (40, 96), (80, 48), (5, 48)])
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, int]) -> None:
    """Both sides must be the same multiple of those of the LR image."""
    with pytest.raises(ValueError, match="is no multiple of LR"):
        make_consistent(np.zeros(shape, dtype=np.float32), np.zeros((10, 12), dtype=np.uint8))


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_what_lr_does_not_determine_is_taken_away_by_downsampling(scale: int) -> None:
    """All of it, and of what is left nothing more is taken: a projection."""
    x = np.random.default_rng(scale).random((12 * scale, 9 * scale))
    rest = undetermined(x, scale)
    down, across = (downsampling_matrix(length, scale) for length in x.shape)
    assert np.abs(down @ (across @ rest.T).T).max() < 1e-6
    assert np.abs(undetermined(rest, scale) - rest).max() < 1e-6
    assert rest.std() > 0.1
