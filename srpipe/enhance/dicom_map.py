r"""Maps of a derived radiograph as DICOM files: secondary captures of the same patient and study.

A Parametric Map would need a frame of reference, which radiographs lack. A map has

    identity        new UIDs, made from those of the result and the pixels: the same input gives the
                    same file, and maps of one kind of a series' results are a series. Its number is
                    that of the results' and one more, or two. Patient, study, body part, side and
                    instance number are the result's.
    pixels          16 bits, as large as the result and with its pixel spacing: the interval without
                    a sign and in MONOCHROME2, the added detail with a sign and in the photometric
                    interpretation of the result.
    values          in grey values of the result as stored: stored values times a power of two, the
                    least that holds them all, but at least 2^-15. It is the Rescale Slope, which
                    viewers apply, and that of the Real World Value Mapping, which says what it is
                    (UCUM's unit 1). The window ends at four times their root mean square.
    origin          DERIVED\SECONDARY and a value of Image Type by which readers here refuse it as
                    an input; what it is and how the result was made (Derivation Description); the
                    result and its source (Source Image).
"""

import copy
import hashlib
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from srpipe.core.files import replacing
from srpipe.enhance.dicom_derived import SPACINGS, code, source_image
from srpipe.enhance.provenance import NOT_FOR_DIAGNOSIS, Provenance
from srpipe.enhance.written import ADDED, HALF_WIDTH
from srpipe.formats import dicom
from srpipe.imaging.arrays import FloatImage

# What is the result's, and the groups of which all is: of patients and of clinical trials.
_KEPT_GROUPS = (0x0010, 0x0012)
_KEPT = {
    tag_for_keyword(keyword)
    for keyword in (
        *("SpecificCharacterSet", "TimezoneOffsetFromUTC", "StudyInstanceUID", "StudyID"),
        *("StudyDate", "StudyTime", "StudyDescription", "ReferringPhysicianName"),
        *("AccessionNumber", "IssuerOfAccessionNumberSequence", "ProcedureCodeSequence"),
        *("ReferencedStudySequence", "ReferencedPatientSequence", "InstanceNumber"),
        *("BodyPartExamined", "Laterality", "PatientOrientation", "BurnedInAnnotation"),
        *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
        *("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription", *SPACINGS),
        *("PixelAspectRatio", "ContributingEquipmentSequence"),
    )
}
# The least slope, as a power of two: Rescale Slope's 16 characters do not hold the digits of less.
_FINEST = -15


@dataclass(frozen=True)
class _Kind:
    """What a map is.

    Attributes:
        image_type: its value of Image Type, and the label of its values; at most 16 characters.
        words: what it is called.
        after: by how much the number of its series is greater than that of the results'.
        signed: whether values have a sign, and so the direction of the result's.
    """

    image_type: str
    words: str
    after: int
    signed: bool


_KINDS = {
    HALF_WIDTH: _Kind(dicom.INTERVAL, "Interval half width", 1, signed=False),
    ADDED: _Kind(dicom.ADDED, "Added detail", 2, signed=True),
}


def write(path: Path, result: bytes, values: FloatImage, what: str, provenance: Provenance) -> None:
    """Write a map of a derived radiograph; on an error the old file stays.

    Args:
        path: the file.
        result: the radiograph's file.
        values: float32, as large, in grey values of which low is black.
        what: `HALF_WIDTH`, of which no value is negative, or `ADDED`.
        provenance: of the result.

    Raises:
        OutputError: the file cannot be written.
    """
    kind = _KINDS[what]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is odd in the input, and stays so
        source = dcmread(io.BytesIO(result), stop_before_pixels=True)
        made = copy.deepcopy(source)
        for tag in list(made.keys()):
            if tag not in _KEPT and tag.group not in _KEPT_GROUPS:
                del made[tag]
        inverted = kind.signed and source.PhotometricInterpretation == "MONOCHROME1"
        made.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
        _put_values(made, values, kind, inverted)
        _put_origin(made, source, kind, provenance)
        made.DerivationDescription = f"{what}{provenance}"
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        with replacing(path) as temporary:
            made.save_as(temporary, enforce_file_format=True)


def _put_values(made: Dataset, values: FloatImage, kind: _Kind, inverted: bool) -> None:
    """Put values, or their negatives, into pixels, and what these mean."""
    least, most = (-(2**15), 2**15 - 1) if kind.signed else (0, 2**16 - 1)
    peak = max(float(values.max()), -float(values.min()))
    slope = 2.0 ** max(math.ceil(math.log2(peak / most)) if peak else _FINEST, _FINEST)
    stored = values / np.float32(-slope if inverted else slope)
    pixels = np.rint(stored, out=stored).astype("<i2" if kind.signed else "<u2").tobytes()
    made.add_new("PixelData", "OW", pixels)
    made.Rows, made.Columns = values.shape
    made.SamplesPerPixel, made.PixelRepresentation = 1, int(kind.signed)
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = DSfloat(slope), 0, "US"
    # By rows, which takes no room for the squares of all.
    squares = sum(float(np.sum(row**2, dtype=np.float64)) for row in values)
    root = math.sqrt(squares / values.size)
    shown = math.ceil(min(peak, 4 * root))
    # From 0, or from as much below it, as the linear function of DICOM has it.
    first = -shown if kind.signed else 0
    made.WindowCenter, made.WindowWidth = DSfloat((first + shown + 1) / 2), shown - first + 1
    mapping = Dataset()
    form = "SS" if kind.signed else "US"
    mapping.add_new("RealWorldValueFirstValueMapped", form, least)
    mapping.add_new("RealWorldValueLastValueMapped", form, most)
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = slope, 0.0
    mapping.LUTLabel = kind.image_type
    mapping.LUTExplanation = f"{kind.words}, in grey values of the result"
    mapping.MeasurementUnitsCodeSequence = [code("1", "no units", "UCUM")]
    made.RealWorldValueMappingSequence = [mapping]


def _put_origin(made: Dataset, source: Dataset, kind: _Kind, provenance: Provenance) -> None:
    """Say what a map is, and of which result."""
    made.SOPClassUID = SecondaryCaptureImageStorage
    series, image = str(source.SeriesInstanceUID), str(source.SOPInstanceUID)
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[series, kind.image_type])
    pixels = hashlib.sha256(made.PixelData).hexdigest()
    made.SOPInstanceUID = generate_uid(entropy_srcs=[image, kind.image_type, pixels])
    number = source.SeriesNumber
    made.SeriesNumber = None if number is None else number + kind.after
    made.SeriesDescription = (
        f"{kind.words} of {provenance.scale}x super-resolved, {NOT_FOR_DIAGNOSIS}"
    )
    made.Modality, made.ConversionType = "OT", "WSD"  # other; made on a workstation
    made.Manufacturer, made.SoftwareVersions = "srpipe", provenance.software
    made.ImageType = ["DERIVED", "SECONDARY", kind.image_type]
    made.SourceImageSequence = [source_image(source), *source.SourceImageSequence]
