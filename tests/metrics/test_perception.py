"""Content distance is the mean squared difference of ImageNet features, at any image size."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from srpipe.imaging.arrays import GreyImage
from srpipe.metrics import efficientnet_lite0, perception
from srpipe.metrics.features import LITE0_BLOCKS
from srpipe.metrics.perception import TILE, content_distance, features, tiles
from tests.conftest import MakeImage


def maps(image: GreyImage) -> np.ndarray:
    """Return the features of one tile, by the network alone: `(112, h/16, w/16)`."""
    network = efficientnet_lite0.pretrained()
    grey = torch.tensor(image.astype(np.float32) / 127.5 - 1)
    with torch.no_grad():
        found = network.features(grey.expand(1, 3, -1, -1), LITE0_BLOCKS)[0]
    return found.double().numpy()


def distance(a: GreyImage, b: GreyImage) -> float:
    """Return the content distance of two images."""
    return content_distance(features(a), features(b))


def blurred(image: GreyImage, sigma: float) -> GreyImage:
    """Return an image after a Gaussian blur."""
    made: GreyImage = ndimage.gaussian_filter(image, sigma)
    return made


def test_it_is_the_mean_squared_difference_of_the_features(make_image: MakeImage) -> None:
    """Computed again from the network's own maps, in float64; the order does not matter."""
    a, b = make_image(0, 96, 80), make_image(1, 96, 80)
    wanted = np.square(maps(a) - maps(b)).mean()
    assert wanted > 1
    assert distance(a, b) == pytest.approx(wanted, rel=1e-4)
    assert distance(b, a) == distance(a, b)


def test_identical_images_are_at_distance_zero(make_image: MakeImage) -> None:
    """Exactly, also when they are not the same array."""
    image = make_image(0, 80, 64)
    assert distance(image, image.copy()) == 0.0


def test_more_blur_is_farther_away(make_image: MakeImage) -> None:
    """Detail that is lost is seen, the more the more is lost."""
    image = make_image(2, 128, 128)
    found = [distance(blurred(image, sigma), image) for sigma in (0.5, 1, 2, 4)]
    assert found[0] > 0.1
    assert found == sorted(found)


def test_it_is_the_same_each_time(make_image: MakeImage) -> None:
    """Bit by bit, whatever the number of threads, which is left as it was."""
    a, b = make_image(0, 100, 72), make_image(1, 100, 72)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found += [distance(a, b), distance(a, b)]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(set(found)) == 1


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 50), (513, 40)])
def test_any_size_has_features(make_image: MakeImage, height: int, width: int) -> None:
    """Sides need not be multiples of 16; a difference at the last pixel counts."""
    image = make_image(0, height, width)
    other = image.copy()
    other[-1, -1] ^= 255
    found = features(image)
    assert [each.shape for each in found] == [
        (112, -(-tile.shape[0] // 16), -(-tile.shape[1] // 16)) for tile in tiles(image)
    ]
    assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in found)
    assert content_distance(features(other), found) > 0


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((512, 512), [(512, 512)]),
        ((1024, 1024), [(512, 512)] * 4),
        ((513, 100), [(257, 100), (256, 100)]),
        ((40, 1100), [(40, 367), (40, 367), (40, 366)]),
    ],
)
def test_tiles_are_few_and_alike(size: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    """At most 512 px a side, none a sliver; together they are the image, once."""
    image = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size)
    cut = tiles(image)  # type: ignore[arg-type]
    assert [tile.shape for tile in cut] == sizes
    assert max(max(tile.shape) for tile in cut) <= TILE
    assert np.array_equal(np.sort(np.concatenate([tile.ravel() for tile in cut])), image.ravel())


def test_a_large_image_is_seen_tile_by_tile(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over all features of all tiles, each seen by itself; near that of the whole."""
    a, b = make_image(0, 128, 192), blurred(make_image(0, 128, 192), 1)
    whole = distance(a, b)
    monkeypatch.setattr(perception, "TILE", 64)
    sums, count = 0.0, 0
    for top in (0, 64):
        for left in (0, 64, 128):
            here = np.s_[top : top + 64, left : left + 64]
            squares = np.square(maps(a[here]) - maps(b[here]))
            sums, count = sums + squares.sum(), count + squares.size
    assert len(features(a)) == 6
    assert distance(a, b) == pytest.approx(sums / count, rel=1e-4)
    assert distance(a, b) == pytest.approx(whole, rel=0.3)


def test_read_only_images_are_taken(make_image: MakeImage) -> None:
    """A view of the data set serves, and the image is not changed."""
    image = make_image(0, 64, 64)
    before = image.copy()
    image.flags.writeable = False
    features(image)
    assert np.array_equal(image, before)


def test_images_of_two_sizes_are_refused(make_image: MakeImage) -> None:
    """Also where the features happen to be as many."""
    with pytest.raises(ValueError, match="one size"):
        distance(make_image(0, 64, 80), make_image(0, 80, 64))


def test_the_network_is_loaded_once() -> None:
    """Thousands of images are scored in one process."""
    assert perception._network() is perception._network()
