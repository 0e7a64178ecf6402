"""DICOM files: radiographs of one grey frame, as the stored values that they hold.

What a file is, its SOP class decides (Modality is often wrong): computed radiographs, digital X-ray
images for presentation or for processing, and secondary captures of one frame. Of these are read:

    photometric interpretation  MONOCHROME2; MONOCHROME1, where low values are white
    stored bits                 8 to 16, without or with a sign, in words of 8 or 16 bits
    transfer syntax             little endian, deflated, RLE, JPEG, JPEG lossless, JPEG-LS,
                                JPEG 2000, and what else pydicom finds a decoder for
    pixel padding               known by Pixel Padding Value and Pixel Padding Range Limit

The values are the stored ones: modality LUT, rescale, VOI LUT and window are not applied. They
stay in the file, and hold for results as they do for the input: both are in one grey scale.

Refused by name: other SOP classes (CT, MR, mammography, dose, reports), maps that lie beside
results (`MAPS`), several frames, colour, overlays within the words of pixels, values beyond the
stored bits, big endian and syntaxes without a decoder, files without their header (DICM at byte
128), files that are cut, and more pixels than allowed, by what the file says before anything is
unpacked (`dicom_size`).
"""

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from srpipe.core import memory
from srpipe.core.errors import ImageError
from srpipe.core.extras import install
from srpipe.formats import gdcm_apart
from srpipe.formats.dicom_size import (
    OVERLAYS,
    Limited,
    require_short_sequences,
    require_size,
    unpacked,
)
from srpipe.formats.raster import Values

CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
# Values of Image Type of the maps that are written beside results, and what they are.
INTERVAL, ADDED = "SRPIPE_INTERVAL", "SRPIPE_ADDED"
MAPS = {INTERVAL: "interval of a result", ADDED: "added detail of a result"}
# Bytes of a file that hold its SOP class and Image Type, which come first.
START = 4096
# Four times the largest detectors have.
MOST_PIXELS = 2**26
# What pydicom and its decoders raise on damaged data, or when they write it again.
FAULTS = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
    UserWarning,
)

_ALLOWED = (
    "Allowed are radiographs of one grey frame (computed radiography, digital X-ray, secondary "
    "capture) of 8 to 16 bits"
)
_MEND = "Replace the file by an intact copy, or move it away."
_SAID = 300  # characters of an error
_IMAGE_TYPE = 0x00080008
_NEEDED = (
    "SOPInstanceUID",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelData",
)
# Where several decoders read a syntax, the one that damage does not crash: gdcm ends the process at
# damaged JPEG 2000, pylibjpeg-rle panics. Lossless JPEG and JPEG-LS are gdcm's, in a process of its
# own, or else read by what there is.
_PLUGINS = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
# Python's own name of an object, with its address.
_OBJECT = re.compile(r"<\S+ object at \w+>")
_SAID_OF_CUT_FILES = ".*([Ee]nd of file|truncated|less than|incorrect|missing)"


class _UnsuitableError(Exception):
    """An intact file of a kind that is not read."""


@dataclass(frozen=True)
class Radiograph:
    """A DICOM file that is a radiograph.

    Attributes:
        dataset: all of it.
        values: stored values; of MONOCHROME1 inverted over the range of the bits, so that low is
            black.
        inverted: whether they are.
        name: of the file, for messages.
    """

    dataset: Dataset
    values: Values
    inverted: bool
    name: str


def read(data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> Radiograph:
    """Read a DICOM file.

    Args:
        data: the bytes of the file.
        name: what to call the file in messages.
        most_pixels: allowed; more are refused before they are decoded.

    Raises:
        ImageError: it is damaged, no radiograph of one grey frame, or has too many pixels.
    """
    if data[128:132] != b"DICM":
        raise ImageError(
            f"{name} lacks the header of a DICOM file (DICM at byte 128), so that it is not known "
            "how to read it. Export it anew as a DICOM file."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # pydicom goes on with what there is of a file that is cut.
            warnings.filterwarnings("error", _SAID_OF_CUT_FILES, UserWarning)
            dataset = dcmread(Limited(unpacked(data, name, most_pixels)))
            require_short_sequences(dataset)
            return _radiograph(dataset, name, most_pixels)
    except _UnsuitableError as error:
        raise ImageError(f"{name} {first_line(error)}. {_ALLOWED}.") from error
    except FAULTS as error:
        raise ImageError(f"{name} is damaged: {first_line(error)}. {_MEND}") from error


def other_kind(start: bytes) -> str:
    """Say what a DICOM file is that holds no image to enhance, by its beginning.

    Reports, key objects, presentation states, plans, the DICOMDIR: whatever DICOM names a storage,
    and not an image storage; and the maps beside results.

    Args:
        start: `START` bytes of the file, or all of it.

    Returns:
        The kind, such as "Basic Text SR"; "" for images, of whatever kind, and if it is not known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = io.BytesIO(start)
            file.seek(132)  # after DICM; by itself, as a deflated data set is not read in part
            meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
            kind = UID(meta.get("MediaStorageSOPClassUID", "")).name
            if "Storage" in kind and "Image" not in kind:
                return kind.removesuffix(" Storage")
            file.seek(0)
            return _map_of(read_partial(file, lambda tag, *_: tag > _IMAGE_TYPE))
    except FAULTS:
        return ""


def _map_of(dataset: Dataset) -> str:
    """Return what a map beside a result is; "" if it is none."""
    kind = dataset.get("ImageType") or ()
    return next((told for name, told in MAPS.items() if name in kind), "")


def first_line(error: Exception) -> str:
    """Return what an error says, without the traceback that pydicom adds to it.

    What it quotes of the file is no text that a terminal would obey.
    """
    said = str(error).partition("\n")[0] or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in said)[:_SAID]


def _radiograph(dataset: Dataset, name: str, most_pixels: int) -> Radiograph:
    _require_kind(dataset)
    require_size(dataset, name, most_pixels)
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if not 8 <= bits <= allocated or allocated not in (8, 16):
        raise _UnsuitableError(f"has {bits} bits in words of {allocated}")
    if dataset.get("HighBit", bits - 1) != bits - 1:
        raise _UnsuitableError(f"has its {bits} bits not at the low end of words")
    if any((group, 0x0010) in dataset and (group, 0x3000) not in dataset for group in OVERLAYS):
        raise _UnsuitableError("has an overlay within the words of its pixels")
    signed = dataset.get("PixelRepresentation") == 1
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    array = _decoded(dataset, name)
    if array.min() < low or array.max() > high:
        raise _UnsuitableError(f"has values of more than the {bits} bits that it says are stored")
    padding = _padding(dataset, signed, allocated)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if inverted:
        array = low + high - array
        padding = padding and (low + high - padding[1], low + high - padding[0])
    return Radiograph(dataset, Values(array, low, high, bits, (), None, padding), inverted, name)


def _require_kind(dataset: Dataset) -> None:
    """Refuse what is no radiograph of one grey frame."""
    kind = UID(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if not kind:
        raise ValueError("it does not say what it is (SOP class)")
    if kind not in CLASSES:
        raise _UnsuitableError(f"is of the SOP class {kind.name}")
    if found := _map_of(dataset):
        raise _UnsuitableError(f"is the {found}, which is not enhanced")
    missing = [each for each in _NEEDED if dataset.get(each) in (None, "", b"")]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if (frames := dataset.get("NumberOfFrames") or 1) != 1:
        raise _UnsuitableError(f"has {frames} frames")
    photometric = dataset.PhotometricInterpretation
    if dataset.get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise _UnsuitableError(f"is not grey: its photometric interpretation is {photometric}")


def _decoded(dataset: Dataset, name: str) -> npt.NDArray[np.int32]:
    """Return the stored values (height, width)."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise ValueError("it does not say how its values are coded (transfer syntax)")
    try:
        decoder = (gdcm_apart.decoder if gdcm_apart.is_available(syntax) else get_decoder)(syntax)
    except NotImplementedError:
        decoder = None
    if decoder is None or syntax == ExplicitVRBigEndian:
        raise _UnsuitableError(f"has the transfer syntax {syntax.name}, which is not read")
    plugin = _PLUGINS.get(syntax, "")
    if not decoder.is_available or (plugin and plugin not in decoder.available_plugins):
        raise _UnsuitableError(
            f"has the transfer syntax {syntax.name}, for which no decoder is installed: "
            f"{install('dicom')}"
        )
    try:
        values = decoder.as_array(dataset, decoding_plugin=plugin)[0]
    except RuntimeError as error:
        if memory.ran_out(error):
            raise MemoryError(str(error)) from error
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        said = _OBJECT.sub("it", said)
        raise ImageError(
            f"{name} is damaged, or of a kind of the transfer syntax {syntax.name} that no "
            f"installed decoder reads ({said}). Replace it by an intact copy, or convert it to "
            "Explicit VR Little Endian."
        ) from error
    if values.shape != (dataset.Rows, dataset.Columns):
        raise ValueError(f"it holds pixels of {values.shape}, more than it says")
    if not syntax.is_encapsulated:
        # pydicom has cut off what lies above the stored bits.
        uncut: Any = {"correct_unused_bits": False}
        words = decoder.as_array(dataset, **uncut)[0]
        unsigned = words.view(f"u{words.dtype.itemsize}")
        values = np.where(unsigned < 2**dataset.BitsStored, values, words)
    return values.astype(np.int32)


def _padding(dataset: Dataset, signed: bool, allocated: int) -> tuple[int, int] | None:
    """Return the lowest and the highest stored value of padding."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return None
    last = dataset.get("PixelPaddingRangeLimit")
    ends = [int(each) for each in (first, first if last is None else last)]
    # Often written with the wrong sign.
    words = 2**allocated
    ends = [each % words for each in ends]
    if signed:
        ends = [each - words if each >= words // 2 else each for each in ends]
    return min(ends), max(ends)
