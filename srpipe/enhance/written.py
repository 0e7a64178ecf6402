"""Super-resolved images as files: grey PNG or TIFF of 8 or 16 bits, with size and provenance.

Values of 9 to 15 bits are written as they are into 16-bit words, with the number of their bits
where readers look for it: in PNG's sBIT, in TIFF's MaxSampleValue. 0 is black.
"""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from srpipe.core.files import replacing
from srpipe.enhance.provenance import NOT_FOR_DIAGNOSIS, Provenance
from srpipe.imaging.arrays import FloatImage

TIFF_SUFFIXES = (".tif", ".tiff")

# What maps beside a result are.
HALF_WIDTH = "Half width of the interval, in grey values of the result. "
ADDED = "Detail that the input does not determine, in grey values of the result. "
_METRES_OF_INCH = 0.0254
# Pixels a metre, of a nanometre each: no radiograph's, and more than PNG can say.
_MOST_DENSE = 1e9
_DESCRIPTION, _MAX_SAMPLE, _SOFTWARE = 270, 281, 305


def encode_grey(
    suffix: str,
    array: npt.NDArray[Any],
    bits: int,
    density: tuple[float, float] | None,
    provenance: Provenance,
) -> bytes:
    """Return a grey image as the bytes of a file.

    Args:
        suffix: of the file: TIFF if it is .tif or .tiff, else PNG.
        array: whole numbers (height, width), 0 to 2^bits - 1.
        bits: 8 to 16.
        density: pixels a metre, across and down, if known; 1e9 and more are not.
        provenance: how it was made.
    """
    image = Image.fromarray(array.astype(np.uint8 if bits == 8 else np.uint16, copy=False))
    options: dict[str, Any] = {}
    if density is not None and max(density) < _MOST_DENSE:
        options["dpi"] = tuple(each * _METRES_OF_INCH for each in density)
    if suffix.lower() in TIFF_SUFFIXES:
        tags: dict[int, Any] = {_DESCRIPTION: str(provenance), _SOFTWARE: provenance.software}
        compression = "tiff_adobe_deflate"
        if bits not in (8, 16):
            tags[_MAX_SAMPLE] = 2**bits - 1
            compression = "raw"  # else Pillow hands the tags to libtiff, which loses this one
        options |= {"format": "TIFF", "compression": compression, "tiffinfo": tags}
    else:
        texts = PngInfo()
        texts.add_text("Description", str(provenance))
        texts.add_text("Software", provenance.software)
        texts.add_text("Warning", NOT_FOR_DIAGNOSIS)
        if bits not in (8, 16):
            texts.add(b"sBIT", bytes((bits,)))
        options |= {"format": "PNG", "pnginfo": texts}
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def write_map(path: Path, values: FloatImage, what: str, provenance: Provenance) -> None:
    """Write a map of a result as a TIFF of 32-bit floats, in grey values of the result.

    Args:
        path: the file.
        values: float32, as large as the result.
        what: `HALF_WIDTH` or `ADDED`.
        provenance: of the result.

    Raises:
        OutputError: the file cannot be written.
    """
    said = f"{what}{provenance}"
    tags: dict[int, Any] = {_DESCRIPTION: said, _SOFTWARE: provenance.software}
    with replacing(path) as temporary:
        Image.fromarray(values).save(
            temporary, format="TIFF", compression="tiff_adobe_deflate", tiffinfo=tags
        )


def said_of(path: Path) -> str | None:
    """Return what a result, or a map of it, says of how it was made, without reading its pixels.

    None if it is not there, or says nothing.
    """
    try:
        # The classes themselves, because Image.open limits the number of pixels.
        with path.open("rb") as file:
            start = file.read(132)
            file.seek(0)
            if start[128:] == b"DICM":
                from pydicom import dcmread

                found = dcmread(file, stop_before_pixels=True).get("DerivationDescription")
            elif start.startswith(b"\x89PNG"):
                found = PngImageFile(file).info.get("Description")
            else:
                found = TiffImageFile(file).tag_v2.get(_DESCRIPTION)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return None  # whatever it is, it was not written here
    return None if found is None else str(found).removeprefix(HALF_WIDTH).removeprefix(ADDED)
