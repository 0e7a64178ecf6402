"""Resampling is Pillow's antialiased bicubic, pinned to the value."""

import numpy as np
import numpy.typing as npt
import pytest

from srpipe.imaging.resample import back_project, bicubic, crop_to_multiple, downsample, to_grey

HR = np.array(
    [
        [0, 255, 0, 0, 17, 200, 90, 33],
        [255, 255, 0, 0, 34, 180, 80, 44],
        [10, 20, 30, 40, 50, 60, 70, 80],
        [255, 0, 255, 0, 255, 0, 255, 0],
        [1, 2, 4, 8, 16, 32, 64, 128],
        [128, 64, 32, 16, 8, 4, 2, 1],
        [0, 0, 0, 0, 255, 255, 255, 255],
        [99, 98, 97, 96, 95, 94, 93, 92],
    ],
    np.uint8,
)


def keys(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Keys kernel with a = -0.5, as its paper writes it."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def weights(inside: int, out: int) -> npt.NDArray[np.float64]:
    """Return the matrix that resamples a row: centres aligned, widened to shrink, cut at edges."""
    ratio = inside / out
    centres = (np.arange(out) + 0.5) * ratio - 0.5
    matrix = keys((np.arange(inside)[None] - centres[:, None]) / max(ratio, 1))
    return matrix / matrix.sum(axis=1, keepdims=True)


def resized(image: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Resample in float64, without Pillow."""
    return weights(image.shape[0], height) @ image @ weights(image.shape[1], width).T


def test_downsampling_is_pinned() -> None:
    """The LR image of a fixed HR image, to the value: whatever moves these moves every score."""
    assert downsample(HR, 2).tolist() == [
        [161, 17, 92, 78],
        [88, 70, 86, 92],
        [50, 24, 47, 74],
        [55, 54, 152, 157],
    ]
    assert downsample(HR, 4).tolist() == [[78, 74], [52, 100]]


def test_bicubic_is_pinned() -> None:
    """The interpolation of a fixed LR image, to the value."""
    assert bicubic(np.array([[0, 255], [100, 50]], np.uint8), 2).tolist() == [
        [0, 50, 215, 255],
        [22, 61, 173, 212],
        [82, 82, 89, 89],
        [113, 93, 47, 28],
    ]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_kernel_is_keys_widened_by_the_scale(scale: int) -> None:
    """Both directions agree with the paper's kernel within the rounding of Pillow's two passes.

    The greys are those from which no overshoot reaches 0 or 255: Pillow clips after each pass.
    """
    image = np.random.default_rng(scale).integers(80, 176, (48, 64), dtype=np.uint8)
    small = resized(image.astype(float), 48 // scale, 64 // scale)
    large = resized(image.astype(float), 48 * scale, 64 * scale)
    assert np.abs(downsample(image, scale) - small).max() <= 1.2
    assert np.abs(bicubic(image, scale) - large).max() <= 1.2


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("value", [0, 37, 255])
def test_a_constant_stays_constant(scale: int, value: int) -> None:
    """A flat image has a flat LR image and comes back flat."""
    hr = np.full((32, 16), value, np.uint8)
    lr = downsample(hr, scale)
    assert lr.shape == (32 // scale, 16 // scale)
    assert np.all(lr == value)
    assert np.array_equal(bicubic(lr, scale), hr)
    assert np.array_equal(back_project(lr, scale, 2), hr)


def test_upscaling_shapes() -> None:
    """Both baselines multiply both sides by the scale and give 8 bits."""
    lr = np.arange(15, dtype=np.uint8).reshape(3, 5)
    for scale in (2, 4, 8):
        for sr in (bicubic(lr, scale), back_project(lr, scale, 1)):
            assert sr.shape == (3 * scale, 5 * scale)
            assert sr.dtype == np.uint8


@pytest.mark.parametrize(
    ("shape", "scale", "expected"),
    [((9, 11), 4, (8, 8)), ((8, 16), 8, (8, 16)), ((7, 8), 2, (6, 8))],
)
def test_cropping_cuts_right_and_below(
    shape: tuple[int, int], scale: int, expected: tuple[int, int]
) -> None:
    """The largest multiple is kept, from the top left."""
    image = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    cropped = crop_to_multiple(image, scale)
    assert cropped.shape == expected
    assert np.array_equal(cropped, image[: expected[0], : expected[1]])


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_each_back_projection_is_more_consistent(scale: int) -> None:
    """The downsampled result comes closer to the LR image with each step."""
    rng = np.random.default_rng(0)
    lr = rng.integers(30, 220, (16, 20), dtype=np.uint8)
    errors = [
        np.square(downsample(back_project(lr, scale, steps), scale).astype(float) - lr).mean()
        for steps in range(4)
    ]
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < errors[0] / 4


def test_without_steps_it_is_float_bicubic_rounded() -> None:
    """Zero back-projections leave the exact interpolation, rounded once."""
    lr = np.random.default_rng(1).integers(0, 256, (12, 9), dtype=np.uint8)
    exact = resized(lr.astype(float), 48, 36)
    sr = back_project(lr, 4, 0)
    assert np.abs(sr - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3


def test_rounding_clips() -> None:
    """Floats outside [0, 1] become 0 and 255; the rest is rounded to the nearest level."""
    image = np.array([[-0.5, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 7.0]], np.float32)
    grey = to_grey(image)
    assert grey.dtype == np.uint8
    assert grey.tolist() == [[0, 0, 0, 1, 255, 255, 255]]


def test_sides_must_be_multiples() -> None:
    """An HR image that the scale does not divide is refused with its size."""
    with pytest.raises(ValueError, match="multiples of 4, got 8x10"):
        downsample(np.zeros((8, 10), np.uint8), 4)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8)), np.zeros((8, 8), np.int16), np.zeros((8, 8, 3), np.uint8)]
)
def test_only_grey_images_are_taken(image: npt.NDArray[np.generic]) -> None:
    """Another dtype or shape is refused everywhere, not silently converted."""
    for call in (
        lambda: downsample(image, 4),  # type: ignore[arg-type]
        lambda: bicubic(image, 4),  # type: ignore[arg-type]
        lambda: back_project(image, 4, 1),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"must be uint8 (or uint16 )?\(H, W\)"):
            call()


def test_lr_images_of_sixteen_bits_are_interpolated_alike() -> None:
    """To within rounding of what the same image of eight bits gives; HR has eight bits."""
    image = np.random.default_rng(0).integers(90, 160, (12, 16)).astype(np.uint8)
    deep = image.astype(np.uint16) * np.uint16(257)
    for method in (lambda lr: bicubic(lr, 4), lambda lr: back_project(lr, 4, 2)):
        apart = method(deep).astype(int) - method(image)
        # Pillow rounds 8 bits between its two passes, too.
        assert np.abs(apart).max() <= 3
        assert np.abs(apart).mean() < 1
    with pytest.raises(ValueError, match="must be uint8"):
        downsample(deep, 4)  # type: ignore[arg-type]
