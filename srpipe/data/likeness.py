"""Equal and near-duplicate images, which should belong to one patient.

A difference hash (N. Krawetz, 2013): the image is shrunk to 17 x 16 pixels, and each of 256 bits
says whether a pixel is brighter than its left neighbour. Among 431 of the NIH's radiographs, those
of two patients differ in at least 24 bits; a recompressed (JPEG, quality 50) or halved copy differs
from its original in at most 7.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from srpipe.imaging.arrays import GreyImage

SIDE = 16
# Bits in which two images may differ and still look the same.
NEAR = 8
# Images compared at a time.
BLOCK = 128


def pixels_digest(image: GreyImage) -> str:
    """Return 16 hexadecimal digits that are the same for equal images."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8)
    digest.update(repr(image.shape).encode())
    return digest.hexdigest()


def look(image: GreyImage) -> str:
    """Return the difference hash of `uint8 (H, W)`: 64 hexadecimal digits."""
    small = Image.fromarray(image).resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()


def describe(image: GreyImage) -> dict[str, str]:
    """Return both hashes of an HR image, as columns of the packed manifest."""
    return {"pixels": pixels_digest(image), "look": look(image)}


def alike(one: list[str], other: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the indices of hashes in `one` and `other` whose images look the same."""
    a, b = _bits(one), _bits(other)
    for start in range(0, len(a), BLOCK):
        block = a[start : start + BLOCK]
        bits = np.zeros((len(block), len(b)), np.uint16)
        for word in range(a.shape[1]):
            bits += np.bitwise_count(block[:, None, word] ^ b[None, :, word])
        for i, j in np.argwhere(bits <= NEAR):
            yield start + int(i), int(j)


def _bits(hashes: list[str]) -> npt.NDArray[np.uint64]:
    data = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64)
    return data.reshape(len(hashes), SIDE * SIDE // 64)
