"""DICOM files made for tests: radiographs as pydicom writes them, with whatever is changed."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

STUDY = "1.2.826.0.1.3680043.8.498.1"


def stored(bits: int, *, signed: bool = False, seed: int = 0) -> npt.NDArray[np.int32]:
    """Return values (20, 24) that use all of their bits."""
    low = -(2 ** (bits - 1)) if signed else 0
    array = np.random.default_rng(seed).integers(low, low + 2**bits, (20, 24), dtype=np.int32)
    array[0, :2] = low, low + 2**bits - 1
    return array


def radiograph(
    array: npt.NDArray[Any], bits: int, *, signed: bool = False, allocated: int = 0, **changed: Any
) -> Dataset:
    """Return a computed radiograph.

    Args:
        array: stored values.
        bits: stored.
        signed: with a sign.
        allocated: bits of a word; 0: 8 or 16, as needed.
        changed: further attributes, or others; None removes one.
    """
    allocated = allocated or (8 if bits == 8 else 16)
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = f"{STUDY}.1.1"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = f"{STUDY}.1"
    dataset.PatientName, dataset.PatientID = "Test^Anna", "17"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyID = ""
    dataset.StudyDate = dataset.StudyTime = dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = dataset.Manufacturer = dataset.BodyPartExamined = ""
    dataset.ViewPosition, dataset.Laterality = "PA", ""
    dataset.PatientOrientation = ["L", "F"]
    dataset.Modality = "CR"
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "POST_PROCESSED"]
    dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    kind = f"<{'i' if signed else 'u'}{allocated // 8}"
    dataset.add_new("PixelData", "OW", array.astype(kind).tobytes())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in changed.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """Return the bytes of a DICOM file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lookup_table() -> Dataset:
    """Return an item of a LUT sequence that maps 10 bits to 8."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [1024, 0, 8])
    item.LUTExplanation = "made"
    item.add_new("LUTData", "OW", (np.arange(1024) // 4).astype("<u2").tobytes())
    return item
