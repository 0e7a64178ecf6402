r"""Writing a super-resolved radiograph as a DICOM file that is derived from its input.

The result is a copy of the input, in Explicit VR Little Endian, with what a derived image has of
its own:

    identity        new SOP Instance and Series Instance UIDs, made from those of the input, the
                    weights, the settings and the pixels: the same input gives the same file, and
                    images of one series stay in one. Its number is a hundred times the input's and
                    one, so that lists do not show two series of one number; without a number, none.
                    Patient, study and equipment stay.
    pixels          in the stored grey scale of the input: bits, sign, MONOCHROME1 or 2, padding,
                    rescale, LUTs and windows are the input's. The smallest and the largest pixel
                    value, where given, are the new ones; of a series they are removed.
    places          pixel spacings are divided by the scale, unless 0; shutters, collimators and
                    overlays are enlarged.
    origin          DERIVED\SECONDARY, how it was made (Derivation Description, Series
                    Description, Contributing Equipment), and from which image (Source Image).
                    Lossy flags stay, and are added where the transfer syntax was a lossy one.
    removed         private attributes, whose meaning for other pixels is not known; digital
                    signatures; when and by what the input's instance was created.
"""

import copy
import hashlib
import io
import warnings
from typing import Any

import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from srpipe.core.errors import ImageError
from srpipe.enhance.provenance import NOT_FOR_DIAGNOSIS, Provenance
from srpipe.formats.dicom import FAULTS, Radiograph, first_line
from srpipe.formats.dicom_size import OVERLAYS

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
REMOVED = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "InstanceCreatorUID",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)

# Places of pixels, counted from 1.
_FIRST_EDGES = ("LeftVerticalEdge", "UpperHorizontalEdge")
_LAST_EDGES = ("RightVerticalEdge", "LowerHorizontalEdge")
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_LONG_STRING, _SHORT_TEXT = 64, 1024  # characters


def encode(radiograph: Radiograph, sr: npt.NDArray[Any], provenance: Provenance) -> bytes:
    """Return a super-resolved radiograph as the bytes of a file.

    Args:
        radiograph: the input.
        sr: whole numbers `(h*scale, w*scale)` in the range of the input's `values`.
        provenance: how they were made.

    Raises:
        ImageError: the input has attributes that cannot be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is odd in the input, and stays so
            return _encoded(radiograph, sr, provenance)
    except FAULTS as error:
        raise ImageError(
            f"{radiograph.name} has attributes that cannot be written again: {first_line(error)}. "
            "Export it anew."
        ) from error


def _encoded(radiograph: Radiograph, sr: npt.NDArray[Any], provenance: Provenance) -> bytes:
    dataset = copy.deepcopy(radiograph.dataset)
    dataset.remove_private_tags()
    for keyword in REMOVED:
        if keyword in dataset:
            delattr(dataset, keyword)
    _put_pixels(dataset, radiograph, sr)
    _put_places(dataset, provenance.scale)
    _put_origin(dataset, provenance)
    dataset.SeriesNumber = _series_number(dataset)
    if dataset.file_meta.TransferSyntaxUID in _LOSSY and "LossyImageCompression" not in dataset:
        dataset.LossyImageCompression = "01"
    dataset.preamble = bytes(128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _series_number(dataset: Dataset) -> int | None:
    """Return a number for the series that is made from one: a hundred times its number, and one.

    None, which is allowed, where that has no number from 1, or one too large for it.
    """
    try:
        number = 100 * int(dataset.SeriesNumber) + 1
    except (AttributeError, TypeError, ValueError):
        return None
    return number if 100 < number < 2**31 else None  # the range of IS


def _put_pixels(dataset: Dataset, radiograph: Radiograph, sr: npt.NDArray[Any]) -> None:
    values = radiograph.values
    stored = values.low + values.high - sr if radiograph.inverted else sr
    kind = "i" if values.low < 0 else "u"
    pixels = stored.astype(f"<{kind}{dataset.BitsAllocated // 8}").tobytes()
    dataset.Rows, dataset.Columns = sr.shape
    dataset.add_new("PixelData", "OW", pixels + bytes(len(pixels) % 2))
    for keyword, value in (
        ("SmallestImagePixelValue", stored.min()),
        ("LargestImagePixelValue", stored.max()),
    ):
        if keyword in dataset:
            setattr(dataset, keyword, int(value))


def _put_places(dataset: Dataset, scale: int) -> None:
    for keyword in SPACINGS:
        if spacing := dataset.get(keyword):
            finer = [DSfloat(float(each) / scale, auto_format=True) for each in spacing]
            setattr(dataset, keyword, finer)

    def change(keyword: str, place: Any) -> None:
        if (given := dataset.get(keyword)) not in (None, ""):
            several = [place(int(each)) for each in given] if _is_list(given) else place(int(given))
            setattr(dataset, keyword, several)

    for what in ("Shutter", "Collimator"):
        for edge in _FIRST_EDGES:
            change(f"{what}{edge}", lambda at: (at - 1) * scale + 1)
        for edge in _LAST_EDGES:
            change(f"{what}{edge}", lambda at: at * scale)
        for keyword in (f"CenterOfCircular{what}", f"VerticesOfThePolygonal{what}"):
            change(keyword, lambda at: (at - 1) * scale + (scale + 1) // 2)
        change(f"RadiusOfCircular{what}", lambda radius: radius * scale)
    for group in OVERLAYS:
        if (group, 0x3000) in dataset:
            _enlarge_overlay(dataset, group, scale)


def _is_list(given: Any) -> bool:
    return not isinstance(given, str | int | float)


def _enlarge_overlay(dataset: Dataset, group: int, scale: int) -> None:
    overlay = dataset.overlay_array(group).repeat(scale, axis=-2).repeat(scale, axis=-1)
    dataset[group, 0x3000].value = pack_bits(overlay.ravel())
    dataset[group, 0x0010].value, dataset[group, 0x0011].value = overlay.shape[-2:]
    if (group, 0x0050) in dataset:
        origin = dataset[group, 0x0050]
        origin.value = [(int(at) - 1) * scale + 1 for at in origin.value]
    if (group, 0x1301) in dataset:  # the number of pixels in it
        del dataset[group, 0x1301]


def _put_origin(dataset: Dataset, provenance: Provenance) -> None:
    said = str(provenance)
    dataset.SourceImageSequence = [source_image(dataset)]
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [code("109102", "Processing Equipment")]
    equipment.Manufacturer = "srpipe"
    equipment.ManufacturerModelName = (
        provenance.model.encode("ascii", "replace").decode()[:_LONG_STRING].replace("\\", "?")
    )
    equipment.SoftwareVersions = provenance.software
    equipment.ContributionDescription = said
    _append(dataset, "ContributingEquipmentSequence", equipment)
    _append(dataset, "DerivationCodeSequence", code("113085", "Spatial resampling"))
    before = dataset.get("DerivationDescription")
    dataset.DerivationDescription = f"{said} Before: {before}"[:_SHORT_TEXT] if before else said
    kept = list(dataset.get("ImageType") or [])[2:]
    dataset.ImageType = ["DERIVED", "SECONDARY", *kept]
    added = f"{provenance.scale}x super-resolved, {NOT_FOR_DIAGNOSIS}"
    room = _LONG_STRING - len(added) - 2
    series = str(dataset.get("SeriesDescription") or "")[:room].rstrip()
    dataset.SeriesDescription = f"{series}; {added}" if series else added
    how = [provenance.sha256, provenance.settings]
    pixels = hashlib.sha256(dataset.PixelData).hexdigest()
    old_series = str(dataset.get("SeriesInstanceUID") or dataset.SOPInstanceUID)
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[old_series, *how])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[dataset.SOPInstanceUID, *how, pixels])


def source_image(dataset: Dataset) -> Dataset:
    """Return the item of Source Image Sequence that refers to an image."""
    source = Dataset()
    source.ReferencedSOPClassUID = dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [
        code("121322", "Source image for image processing operation")
    ]
    return source


def _append(dataset: Dataset, keyword: str, item: Dataset) -> None:
    setattr(dataset, keyword, [*(dataset.get(keyword) or []), item])


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """Return an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
