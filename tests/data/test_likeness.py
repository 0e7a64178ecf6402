"""Equal images are known to the pixel, and compressed copies by their look."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.data.likeness import NEAR, alike, describe, look, pixels_digest
from tests.conftest import MakeImage


def test_equal_pixels_have_one_digest(make_image: MakeImage) -> None:
    """Of the same shape; one grey level, or another shape of the same bytes, is another image."""
    image = make_image(0, 64, 96)
    assert pixels_digest(image) == pixels_digest(image.copy())
    assert pixels_digest(image.reshape(96, 64)) != pixels_digest(image)
    changed = image.copy()
    changed[3, 5] ^= 1
    assert pixels_digest(changed) != pixels_digest(image)
    assert describe(image) == {"pixels": pixels_digest(image), "look": look(image)}


@pytest.mark.parametrize("quality", [90, 50])
def test_a_compressed_copy_looks_the_same(make_image: MakeImage, quality: int) -> None:
    """Among others, which do not."""
    images = [make_image(seed, 160, 192) for seed in range(12)]
    file = io.BytesIO()
    Image.fromarray(images[4]).save(file, "JPEG", quality=quality)
    copy = np.asarray(Image.open(file))
    assert pixels_digest(copy) != pixels_digest(images[4])
    assert list(alike([look(copy)], [look(each) for each in images])) == [(0, 4)]


def test_every_pair_is_compared() -> None:
    """More hashes than one block holds, at the bound and beyond it."""
    rng = np.random.default_rng(0)
    many = [rng.bytes(32) for _ in range(2100)]
    flip = lambda data, bits: bytes(  # noqa: E731
        byte ^ (0xFF if index < bits // 8 else (1 << bits % 8) - 1 if index == bits // 8 else 0)
        for index, byte in enumerate(data)
    )
    other = [flip(many[2050], NEAR).hex(), flip(many[3], NEAR + 1).hex()]
    assert list(alike([each.hex() for each in many], other)) == [(2050, 0)]


def test_the_pairs_are_those_of_comparing_all_with_all() -> None:
    """In order and once each: copies that differ in up to a dozen bits, anywhere, of 40 images."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 2, (40, 256), np.uint8)

    def copies(count: int) -> npt.NDArray[np.uint8]:
        bits = images[rng.integers(len(images), size=count)]
        for copy in bits:
            copy[rng.choice(256, rng.integers(13), replace=False)] ^= 1
        return bits

    one, other = copies(300), copies(400)
    differ = np.count_nonzero(one[:, None] != other[None], axis=2)
    wanted = [(int(i), int(j)) for i, j in np.argwhere(differ <= NEAR)]
    hashes = [[each.tobytes().hex() for each in np.packbits(bits, axis=1)] for bits in (one, other)]
    assert len(wanted) > 500
    assert (differ == NEAR).any()
    assert (differ == NEAR + 1).any()
    assert list(alike(*hashes)) == wanted
    assert list(alike(hashes[0], [])) == list(alike([], hashes[0])) == []
