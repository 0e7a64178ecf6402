"""What a network is given of a file's grey values: [0, 1], black to white."""

import numpy as np
import numpy.typing as npt
import scipy  # whole: its subpackages take a third of a second, and so load at first use

from srpipe.formats.raster import Values
from srpipe.imaging.arrays import FloatImage


def given_range(values: Values) -> tuple[int, int]:
    """Return the values that the network is given as 0 and 1; equal ones if it is given nothing."""
    if values.bits == 8:
        return values.low, values.high
    used = values.array
    if values.padding is not None:
        used = used[(used < values.padding[0]) | (used > values.padding[1])]
    return (int(used.min()), int(used.max())) if used.size else (values.low, values.low)


def given(values: Values) -> FloatImage:
    """Return the image that the network is given, float32 `(h, w)` in [0, 1]; black if nothing."""
    low, high = given_range(values)
    if low == high:
        return np.zeros(values.array.shape, np.float32)
    array = values.array
    if values.padding is not None:
        padded = (array >= values.padding[0]) & (array <= values.padding[1])
        array = _filled(array.astype(np.int32), padded)
    lr: FloatImage = (array - low).astype(np.float32)
    lr /= np.float32(high - low)
    return lr


def _filled(array: npt.NDArray[np.int32], padded: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return the array with the nearest pixels of the image in place of padding."""
    rows, columns = scipy.ndimage.distance_transform_edt(
        padded, return_distances=False, return_indices=True
    )
    filled: npt.NDArray[np.int32] = array[rows, columns]
    return filled
