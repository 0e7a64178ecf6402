"""BMP files, which hold nothing beside their pixels but the resolution."""

import struct

from srpipe.formats.prepared import Prepared

START = b"BM"
# Of the header with a resolution, and where that is, pixels a metre.
_LONG, _RESOLUTION = 40, 38


def prepare(data: bytes) -> Prepared:
    """Read the resolution.

    Raises:
        struct.error: the file is cut.
    """
    (length,) = struct.unpack_from("<L", data, 14)
    if length < _LONG:
        return Prepared(data)
    across, down = struct.unpack_from("<2l", data, _RESOLUTION)
    return Prepared(data, density=(across, down) if across > 0 and down > 0 else None)
