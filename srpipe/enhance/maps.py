"""Maps of a result in files beside it: half the width of its interval, and its added detail.

Beside DICOM they are DICOM (`dicom_map`), beside all else TIFF of 32-bit floats (`written`).
"""

from collections.abc import Callable
from pathlib import Path

from srpipe.core.errors import OutputError
from srpipe.enhance.provenance import NOT_FOR_DIAGNOSIS, Provenance
from srpipe.enhance.written import ADDED, HALF_WIDTH, said_of, type_of, write_floats
from srpipe.imaging.arrays import FloatImage

_NAMES = {HALF_WIDTH: "interval", ADDED: "added"}


def map_file(target: Path, what: str) -> Path:
    """Return the file of a map, `HALF_WIDTH` or `ADDED`, beside a result."""
    ending = ".dcm" if type_of(target.suffix) == "DICOM" else ".tif"
    return target.with_name(f"{target.name}.{_NAMES[what]}{ending}")


def remove_former(target: Path) -> None:
    """Remove the maps of a result that another one replaces; files of others stay.

    They would say what is not true of it.

    Raises:
        OutputError: one cannot be removed.
    """
    for name in _NAMES.values():
        for ending in (".tif", ".dcm"):
            path = target.with_name(f"{target.name}.{name}{ending}")
            if NOT_FOR_DIAGNOSIS in (said_of(path) or ""):
                try:
                    path.unlink()
                except OSError as error:
                    reason = error.strerror or str(error)
                    raise OutputError(f"cannot remove {path}: {reason}", reason) from error


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
