"""Colour profiles (ICC.1) of grey images: which can be carried to another image of the same grey.

Nothing is computed with them. A profile says what the values between black and white look like, so
it holds for all images whose values mean the same.
"""

import struct

# Bytes; those of grey have some hundreds to some thousands.
MOST_BYTES = 2**20
_HEADER, _TAG = 128, 12
_SPACE, _CONNECTION, _SIGNATURE = slice(16, 20), slice(20, 24), slice(36, 40)


def of_grey(profile: bytes | None) -> bytes | None:
    """Return a profile if it is one of grey: by its header, whole, with all of its tags within it.

    None otherwise: it is damaged, of colour, or larger than `MOST_BYTES`.
    """
    if profile is None or not _HEADER + 4 <= len(profile) <= MOST_BYTES:
        return None
    size, count = struct.unpack_from(f">L{_HEADER - 4}xL", profile)
    end = _HEADER + 4 + count * _TAG
    if not (
        size == len(profile)
        and end <= size
        and profile[_SIGNATURE] == b"acsp"
        and profile[_SPACE] == b"GRAY"
        and profile[_CONNECTION] in (b"XYZ ", b"Lab ")
    ):
        return None
    places = struct.iter_unpack(">4sLL", profile[_HEADER + 4 : end])
    return profile if all(start + length <= size for _, start, length in places) else None
