"""Maps of a result in files beside it: half the width of its interval, and its added detail.

Beside DICOM they are DICOM (`dicom_map`), beside all else TIFF of 32-bit floats (`written`).
"""

from collections.abc import Callable
from pathlib import Path

from srpipe.enhance.provenance import Provenance
from srpipe.enhance.written import ADDED, HALF_WIDTH, type_of, write_floats
from srpipe.imaging.arrays import FloatImage

_NAMES = {HALF_WIDTH: "interval", ADDED: "added"}


def map_file(target: Path, what: str) -> Path:
    """Return the file of a map, `HALF_WIDTH` or `ADDED`, beside a result."""
    ending = ".dcm" if type_of(target.suffix) == "DICOM" else ".tif"
    return target.with_name(f"{target.name}.{_NAMES[what]}{ending}")


def write_map(
    target: Path,
    what: str,
    values: FloatImage,
    origin: Provenance,
    *,
    density: tuple[float, float] | None,
    encode: Callable[[], bytes],
) -> None:
    """Write a map of a result into `map_file(target, what)`.

    Args:
        target: the result's file.
        what: `HALF_WIDTH` or `ADDED`.
        values: float32, as large as the result, in its grey values.
        origin: how the result was made.
        density: of the result (`Enhanced.density`).
        encode: returns the bytes of the result's file.

    Raises:
        OutputError: the file cannot be written.
    """
    path = map_file(target, what)
    if type_of(path.suffix) == "DICOM":
        # pydicom is an extra.
        from srpipe.enhance import dicom_map

        dicom_map.write(path, encode(), values, what, origin)
    else:
        write_floats(path, values, what, origin, density)
