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

# A hash in bits, `uint8 (hashes, 256)`, and a part of it as a number, `uint64 (hashes,)`.
Bits = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]


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
    """Yield the indices of hashes in `one` and `other` whose images look the same, in order.

    Comparing all with all would take time that grows with the square. Of `NEAR` + 1 parts of two
    such hashes, at least one is equal, as fewer bits differ than there are parts: only hashes that
    share a part are compared, which of the NIH's are one pair in a thousand.
    """
    a, b = _bits(one), _bits(other)
    found = [np.empty((0, 2), np.intp)]
    for part in range(NEAR + 1):
        # Neighbouring bits are alike in most radiographs: each part takes bits from everywhere.
        keys = [np.packbits(bits[:, part :: NEAR + 1], axis=1) for bits in (a, b)]
        found += _near(a, b, *(_as_numbers(each) for each in keys))
    pairs = np.unique(np.concatenate(found), axis=0)
    yield from zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True)


def _near(a: Bits, b: Bits, of_a: Keys, of_b: Keys) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the pairs `(count, 2)` of rows of `a` and `b` that share a key and look the same."""
    wide_a, wide_b = (np.packbits(bits, axis=1).view(np.uint64) for bits in (a, b))
    order = np.argsort(of_b, kind="stable")
    first, end = (np.searchsorted(of_b[order], of_a, side) for side in ("left", "right"))
    for start in range(0, len(a), BLOCK):
        low, count = first[start : start + BLOCK], (end - first)[start : start + BLOCK]
        i = np.repeat(np.arange(start, start + len(count)), count)
        nth = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
        j = order[np.repeat(low, count) + nth]
        near = np.bitwise_count(wide_a[i] ^ wide_b[j]).sum(axis=1, dtype=np.uint16) <= NEAR
        yield np.stack((i[near], j[near]), axis=1)


def _bits(hashes: list[str]) -> Bits:
    data = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    return np.unpackbits(data.reshape(len(hashes), SIDE * SIDE // 8), axis=1)


def _as_numbers(rows: npt.NDArray[np.uint8]) -> Keys:
    """Return rows of at most 8 bytes as a number each."""
    wide = np.zeros((len(rows), 8), np.uint8)
    wide[:, : rows.shape[1]] = rows
    return wide.view(np.uint64)[:, 0]
