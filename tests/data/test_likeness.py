"""Equal images are known to the pixel, and compressed copies by their look."""

import io

import numpy as np
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
