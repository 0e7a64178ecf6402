"""Super-resolved images as files of their inputs' types, with size and provenance.

    PNG, TIFF    grey of 8 or 16 bits. Values of 9 to 15 bits are written as they are into 16-bit
                 words, with the number of their bits where readers look for it: in PNG's sBIT, in
                 TIFF's MaxSampleValue
    JPEG 2000    grey of 8 to 16 bits, lossless; without a size, which is not read of it either
    JPEG         grey of 8 bits at quality 95, which loses a little (docs/guide.md)

All else, such as BMP, which has no place for provenance, becomes PNG. 0 is black.
"""

import io
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from srpipe.core.errors import ImageError
from srpipe.core.files import replacing
from srpipe.enhance.provenance import NOT_FOR_DIAGNOSIS, Provenance
from srpipe.formats import jpeg, jpeg2000
from srpipe.formats.raster import DICOM_SUFFIXES, PNG_OPTIONS, is_dicom, kind_of
from srpipe.imaging.arrays import FloatImage

# Endings of results by type, the first where the input's name has none of them.
_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "TIFF": (".tif", ".tiff"),
    "JPEG 2000": (".jp2", ".j2k", ".j2c"),
    "DICOM": DICOM_SUFFIXES,
}
_CODESTREAMS = (".j2k", ".j2c")
JPEG_QUALITY = 95
# Pixels a side that the JPEG library writes.
_JPEG_SIDE = 65_500

# What maps beside a result are.
HALF_WIDTH = "Half width of the interval, in grey values of the result. "
ADDED = "Detail that the input does not determine, in grey values of the result. "
_METRES_OF_INCH = 0.0254
# Pixels a metre, of a nanometre each: no radiograph's, and more than PNG can say.
_MOST_DENSE = 1e9
_DESCRIPTION, _MAX_SAMPLE, _SOFTWARE = 270, 281, 305
# Where DICOM's header begins, and its attribute of what a derived image was derived by.
_DICOM_META, _DERIVATION = 132, 0x00082111
# Where JFIF's density lies in what Pillow writes, and the most that it holds.
_DENSITY, _MOST_COUNTED = 13, 65_535


def type_of(suffix: str) -> str:
    """Return the type of a result by its ending: PNG, JPEG, TIFF, JPEG 2000, DICOM; "" if none."""
    suffix = suffix.lower()
    return next((kind for kind, endings in _SUFFIXES.items() if suffix in endings), "")


def result_suffix(start: bytes, name: str, *, lossless: bool = False) -> str:
    """Return the ending of what an image becomes: its own, if that is one of its type.

    Args:
        start: the first 132 bytes of its file, or more. Where they say nothing, its ending does.
        name: of its file.
        lossless: PNG for JPEG.
    """
    own = os.path.splitext(name)[1].lower()
    kind = "DICOM" if is_dicom(start, name) else kind_of(start) or type_of(own)
    if kind not in _SUFFIXES or (lossless and kind == "JPEG"):
        kind = "PNG"
    return own if own in _SUFFIXES[kind] else _SUFFIXES[kind][0]


def require_room(suffix: str, bits: int, shape: tuple[int, ...]) -> None:
    """Refuse what a file of this ending cannot hold.

    Raises:
        ImageError: it is JPEG, and there are more than 8 bits, or too many pixels a side.
    """
    if type_of(suffix) == "JPEG" and (bits > 8 or max(shape) > _JPEG_SIDE):
        raise ImageError(
            f"JPEG holds 8 bits and {_JPEG_SIDE:,} pixels a side, and the result has {bits} and "
            f"{max(shape):,}: take PNG (srpipe upscale --lossless, or -o with the name of a file)"
        )


def encode_grey(
    suffix: str,
    array: npt.NDArray[Any],
    bits: int,
    density: tuple[float, float] | None,
    provenance: Provenance,
    profile: bytes | None = None,
) -> bytes:
    """Return a grey image as the bytes of a file.

    Args:
        suffix: of the file, which decides its type (`type_of`); PNG if it is none's.
        array: whole numbers (height, width), 0 to 2^bits - 1.
        bits: 8 to 16; for JPEG 8.
        density: pixels a metre, across and down, if known; 1e9 and more are not.
        provenance: how it was made.
        profile: a colour profile of grey; JPEG 2000 is written without.
    """
    array = array.astype(np.uint8 if bits == 8 else np.uint16, copy=False)
    kind = type_of(suffix)
    if kind == "JPEG":
        return _jpeg(array, density, provenance, profile)
    if kind == "JPEG 2000":
        return _jpeg_2000(array, bits, suffix.lower() in _CODESTREAMS, provenance)
    options: dict[str, Any] = {"icc_profile": profile, **_dpi(density)}
    if kind == "TIFF":
        tags = _tags(provenance)
        compression = "tiff_adobe_deflate"
        if bits not in (8, 16):
            tags[_MAX_SAMPLE] = 2**bits - 1
            compression = "raw"  # else Pillow hands the tags to libtiff, which loses this one
        return _saved(array, format="TIFF", compression=compression, tiffinfo=tags, **options)
    texts = PngInfo()
    texts.add_text("Description", str(provenance))
    texts.add_text("Software", provenance.software)
    texts.add_text("Warning", NOT_FOR_DIAGNOSIS)
    if bits not in (8, 16):
        texts.add(b"sBIT", bytes((bits,)))
    # Runs are not enough for more bits, whose low bytes repeat otherwise.
    kind_of_png = PNG_OPTIONS if bits == 8 else {"format": "PNG"}
    return _saved(array, **kind_of_png, pnginfo=texts, **options)


def _dpi(density: tuple[float, float] | None) -> dict[str, Any]:
    """Return Pillow's option for pixels a metre, if they are known."""
    if density is None or max(density) >= _MOST_DENSE:
        return {}
    return {"dpi": tuple(each * _METRES_OF_INCH for each in density)}


def _saved(array: npt.NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, **options)
    return buffer.getvalue()


def _tags(provenance: Provenance) -> dict[int, Any]:
    """Return TIFF's tags, which EXIF has too."""
    return {_DESCRIPTION: str(provenance), _SOFTWARE: provenance.software}


def _jpeg(
    array: npt.NDArray[Any],
    density: tuple[float, float] | None,
    provenance: Provenance,
    profile: bytes | None,
) -> bytes:
    exif = Image.Exif()
    exif.update(_tags(provenance))
    # Of one channel, so that there is no chroma to subsample.
    options = {"quality": JPEG_QUALITY, "exif": exif, "icc_profile": profile}
    made = bytearray(_saved(array, format="JPEG", **options))
    if density is not None:
        struct.pack_into(">BHH", made, _DENSITY, *_counted(density))
    return bytes(made)


def _counted(density: tuple[float, float]) -> tuple[int, int, int]:
    """Return a unit of JFIF, and pixels in it, across and down, rounded the least; or 0, 1, 1."""
    found = (1.0, (0, 1, 1))  # says nothing
    for unit, metres in jpeg.UNITS.items():
        exact = [each * metres for each in density]
        across, down = map(round, exact)
        if min(across, down) >= 1 and max(across, down) <= _MOST_COUNTED:
            off = max(abs(across / exact[0] - 1), abs(down / exact[1] - 1))
            found = min(found, (off, (unit, across, down)))
    return found[1]


def _jpeg_2000(
    array: npt.NDArray[Any], bits: int, codestream: bool, provenance: Provenance
) -> bytes:
    """Return a lossless file. Pillow writes 8 and 16 bits: others it is given as 16."""
    between = bits not in (8, 16)
    made = _saved(
        array + np.uint16(2**15 - 2 ** (bits - 1)) if between else array,
        format="JPEG2000",
        irreversible=False,
        no_jp2=codestream,
        comment=str(provenance),
    )
    return jpeg2000.with_bits(made, bits) if between else made


def as_written(
    suffix: str, array: npt.NDArray[Any], encode: Callable[[], bytes]
) -> npt.NDArray[Any]:
    """Return what is in a file that is made of an array: another one where it is JPEG."""
    if type_of(suffix) != "JPEG":
        return array
    # The class itself, because Image.open limits the number of pixels.
    return np.asarray(JpegImageFile(io.BytesIO(encode())))


def write_floats(
    path: Path,
    values: FloatImage,
    what: str,
    provenance: Provenance,
    density: tuple[float, float] | None,
) -> None:
    """Write a map of a result as a TIFF of 32-bit floats, in grey values of the result.

    Args:
        path: the file.
        values: float32, as large as the result.
        what: `HALF_WIDTH` or `ADDED`.
        provenance: of the result.
        density: as for `encode_grey`, of the result.

    Raises:
        OutputError: the file cannot be written.
    """
    options: dict[str, Any] = {
        "tiffinfo": _tags(provenance) | {_DESCRIPTION: f"{what}{provenance}"},
        **_dpi(density),
    }
    with replacing(path) as temporary:
        Image.fromarray(values).save(
            temporary, format="TIFF", compression="tiff_adobe_deflate", **options
        )


def said_of(path: Path) -> str | None:
    """Return what a result, or a map of it, says of how it was made, without reading its pixels.

    None if it is not there, or says nothing.
    """
    try:
        with path.open("rb") as file:
            return said_in(file)
    except OSError:
        return None


def said_in(file: BinaryIO) -> str | None:
    """Return what a file, open at its start, says of how it was made, as `said_of`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is damaged in someone else's file
            found = _said_in(file)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return None  # whatever it is, it was not written here
    return None if found is None else str(found).removeprefix(HALF_WIDTH).removeprefix(ADDED)


def _said_in_dicom(file: BinaryIO) -> Any:
    try:
        from pydicom.filereader import read_dataset
        from pydicom.uid import DeflatedExplicitVRLittleEndian

        from srpipe.formats.dicom import FAULTS
    except ModuleNotFoundError:
        return None  # without pydicom none was written here
    try:
        file.seek(_DICOM_META)
        meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
        syntax = meta.get("TransferSyntaxUID")
        if syntax in (None, DeflatedExplicitVRLittleEndian):
            return None  # no result is deflated, and what is may be huge
        return read_dataset(
            file,
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=lambda tag, _vr, _length: tag > _DERIVATION,
        ).get("DerivationDescription")
    except FAULTS:
        return None


def _said_in(file: BinaryIO) -> Any:
    start = file.read(132)
    file.seek(0)
    if start[128:] == b"DICM":
        return _said_in_dicom(file)
    # The classes themselves, because Image.open limits the number of pixels.
    kind = kind_of(start)
    if kind == "PNG":
        return PngImageFile(file).info.get("Description")
    if kind == "JPEG":
        return JpegImageFile(file).getexif().get(_DESCRIPTION)
    if kind == "JPEG 2000":
        return Jpeg2KImageFile(file).info["comment"].decode("ascii")
    return TiffImageFile(file).tag_v2.get(_DESCRIPTION)
