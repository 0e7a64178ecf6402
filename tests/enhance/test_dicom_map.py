"""Maps of a derived radiograph are DICOM files of its study, with the library's values."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread

from srpipe.core.errors import ImageError, OutputError
from srpipe.enhance.batch import FINISHED, MADE, enhance, plan
from srpipe.enhance.dicom_map import write
from srpipe.enhance.figures import added_detail
from srpipe.enhance.upscale import Method, method, origin_of, upscale_bytes, upscale_file
from srpipe.enhance.written import ADDED, HALF_WIDTH
from srpipe.formats.dicom import read
from srpipe.formats.listing import list_images
from tests.formats.checked import complaints, needs_dcmtk, needs_dicom3tools, raw_pixels
from tests.formats.radiographs import STUDY, encoded, lookup_table, radiograph, stored

INTERVAL_FILE, ADDED_FILE = Path("out.dcm.interval.dcm"), Path("out.dcm.added.dcm")
MAPS = (INTERVAL_FILE, ADDED_FILE)


@pytest.fixture(scope="module")
def wide() -> Method:
    """Return the default weights with their interval."""
    return method("plain_sr_x4", device="cpu", interval=True)


def made(dataset: Dataset, used: Method) -> tuple[Dataset, Dataset, Dataset]:
    """Return what becomes of a DICOM file, its interval and its added detail."""
    Path("in.dcm").write_bytes(encoded(dataset))
    jobs = [(Path("in.dcm"), Path("out.dcm"))]
    assert [row.status for row in enhance(jobs, used, overwrite=True, added=True)] == [MADE]
    return dcmread("out.dcm"), dcmread(INTERVAL_FILE), dcmread(ADDED_FILE)


def values_of(found: Dataset) -> tuple[npt.NDArray[np.float64], float]:
    """Return real-world values, and the step between two."""
    (mapping,) = found.RealWorldValueMappingSequence
    step, first = mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept
    assert mapping.RealWorldValueFirstValueMapped <= found.pixel_array.min()
    assert mapping.RealWorldValueLastValueMapped >= found.pixel_array.max()
    assert (found.RescaleSlope, found.RescaleIntercept) == (step, first)
    return found.pixel_array * np.float64(step) + first, step


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("bits", "signed"), [(8, False), (8, True), (12, False), (12, True), (15, False), (16, False)]
)
def test_values_are_those_of_the_library(
    wide: Method, bits: int, signed: bool, photometric: str
) -> None:
    """Within half a step, which is small: in grey values of the result as it is stored."""
    array = stored(bits, signed=signed)
    dataset = radiograph(array, bits, signed=signed, PhotometricInterpretation=photometric)
    result, interval, added = made(dataset, wide)
    half = upscale_bytes(Path("in.dcm").read_bytes(), "in.dcm", wide).half_width
    for found, wanted in ((interval, half), (added, added_detail(result.pixel_array, 4))):
        assert wanted is not None
        values, step = values_of(found)
        most = np.abs(wanted).max()
        assert step <= max(most / 2**14, 2**-15)
        assert np.abs(values - wanted).max() <= step / 2 + 1e-5 * most
    assert (interval.PhotometricInterpretation, interval.PixelRepresentation) == ("MONOCHROME2", 0)
    assert (added.PhotometricInterpretation, added.PixelRepresentation) == (photometric, 1)


def test_a_window_shows_most_values(wide: Method) -> None:
    """From 0, or around it; the few beyond it would leave the others in the dark."""
    _, interval, added = made(radiograph(stored(12), 12), wide)
    for found, symmetric in ((interval, False), (added, True)):
        values, _ = values_of(found)
        least = found.WindowCenter - 0.5 - (found.WindowWidth - 1) / 2
        most = found.WindowCenter - 0.5 + (found.WindowWidth - 1) / 2
        assert least == (-most if symmetric else 0)
        root = np.sqrt((values**2).mean())
        assert most == np.ceil(min(np.abs(values).max(), 4 * root))


def test_where_there_is_nothing_the_map_is_0(wide: Method) -> None:
    """Of a constant image."""
    for found in made(radiograph(np.full((20, 24), 7), 12), wide)[1:]:
        values, step = values_of(found)
        assert (values.any(), step, found.WindowWidth) == (False, 2**-15, 1)


def test_padding_has_no_interval(wide: Method) -> None:
    """It is no part of the image."""
    array = np.pad(np.clip(stored(12), 100, 4000), 4)
    dataset = radiograph(array, 12)
    dataset.add_new("PixelPaddingValue", "US", 0)
    values, _ = values_of(made(dataset, wide)[1])
    padded = (array == 0).repeat(4, 0).repeat(4, 1)
    assert not values[padded].any()
    assert values[~padded].all()


# ------------------------------------------------------------------ what they say


def test_a_map_is_an_image_of_the_same_study_in_a_series_of_its_own(wide: Method) -> None:
    """One for each kind of map; the same input gives the same file."""
    dataset = radiograph(
        stored(12),
        12,
        PatientName="Müller^Jörg",
        SpecificCharacterSet="ISO_IR 100",
        PixelSpacing=["0.2", "0.1"],
        ImagerPixelSpacing=["0.4", "0.2"],
        SeriesNumber="3",
        InstanceNumber="9",
        LossyImageCompression="01",
        ClinicalTrialSponsorName="sponsor",
        ExposureTime="10",
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge="3",
        VOILUTSequence=[lookup_table()],
    )
    result, *maps = made(dataset, wide)
    files = [path.read_bytes() for path in MAPS]
    for found in maps:
        for keyword in (
            *("PatientName", "PatientID", "StudyInstanceUID", "ClinicalTrialSponsorName"),
            *("PixelSpacing", "ImagerPixelSpacing", "Rows", "Columns", "InstanceNumber"),
            *("LossyImageCompression", "PatientOrientation"),
        ):
            assert found[keyword] == result[keyword], keyword
        assert found.SOPClassUID.name == "Secondary Capture Image Storage"
        assert (found.Modality, found.ImageType[:2]) == ("OT", ["DERIVED", "SECONDARY"])
        assert "not for diagnosis" in found.SeriesDescription
        for keyword in ("ExposureTime", "ShutterLeftVerticalEdge", "VOILUTSequence"):
            assert keyword in result
            assert keyword not in found
    assert [each.SeriesNumber for each in (result, *maps)] == [301, 302, 303]
    assert len({each.SeriesInstanceUID for each in (dataset, result, *maps)}) == 4
    assert len({each.SOPInstanceUID for each in (dataset, result, *maps)}) == 4
    made(dataset, wide)
    assert [path.read_bytes() for path in MAPS] == files
    dataset.SOPInstanceUID = f"{STUDY}.1.2"
    for before, after in zip(maps, made(dataset, wide)[1:], strict=True):
        assert before.SeriesInstanceUID == after.SeriesInstanceUID
        assert before.SOPInstanceUID != after.SOPInstanceUID


def test_a_map_says_what_it_is_and_of_what(wide: Method) -> None:
    """The result and its source by their UIDs; the unit, and how the result was made."""
    dataset = radiograph(stored(12), 12, SeriesNumber=None)
    result, *maps = made(dataset, wide)
    said = origin_of(Path("in.dcm").read_bytes(), wide)
    for found, what in zip(maps, (HALF_WIDTH, ADDED), strict=True):
        assert found.DerivationDescription == f"{what}{said}"
        assert [each.ReferencedSOPInstanceUID for each in found.SourceImageSequence] == [
            result.SOPInstanceUID,
            dataset.SOPInstanceUID,
        ]
        (mapping,) = found.RealWorldValueMappingSequence
        (unit,) = mapping.MeasurementUnitsCodeSequence
        assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("1", "UCUM")
        assert mapping.LUTExplanation.endswith("in grey values of the result")
        assert found.ContributingEquipmentSequence == result.ContributingEquipmentSequence
        assert found.SeriesNumber is None
    assert [each.SeriesDescription for each in maps] == [
        "Interval half width of 4x super-resolved, not for diagnosis",
        "Added detail of 4x super-resolved, not for diagnosis",
    ]


# ------------------------------------------------------------------ files


def test_maps_are_made_again_where_they_are_not_there(wide: Method, our_method: Method) -> None:
    """Or are of a result before; not where they are. No TIFF is written beside DICOM."""
    Path("own").mkdir()
    Path("own/in.dcm").write_bytes(encoded(radiograph(stored(12), 12)))
    jobs = plan([Path("own")], Path("out")).jobs

    def status(used: Method, *, overwrite: bool = False) -> str:
        (row,) = enhance(jobs, used, overwrite=overwrite, added=True)
        return row.status

    assert (status(wide), status(wide)) == (MADE, FINISHED)
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"in.dcm", "in.dcm.interval.dcm", "in.dcm.added.dcm"}
    for name in sorted(names - {"in.dcm"}):
        Path("out", name).unlink()
        assert (status(wide), status(wide)) == (MADE, FINISHED)
    assert (status(our_method, overwrite=True), status(our_method)) == (MADE, FINISHED)
    assert (status(wide, overwrite=True), status(wide)) == (MADE, FINISHED)


def test_a_map_is_no_image_to_enhance(wide: Method) -> None:
    """It is refused where it is named, and left out of a folder of results, whatever the class."""
    made(radiograph(stored(12), 12), wide)
    for path in MAPS:
        with pytest.raises(ImageError, match=rf"{path} is the .* of a result, which is not enhanc"):
            read(path.read_bytes(), str(path))
    found = list_images(Path(), dicom=True)
    assert found.images == ["in.dcm", "out.dcm"]
    assert found.left_out == {
        "DICOM interval of a result": [str(INTERVAL_FILE)],
        "DICOM added detail of a result": [str(ADDED_FILE)],
    }


def test_a_map_that_cannot_be_written_leaves_what_was_there(wide: Method) -> None:
    """A disk that is full, or a file where a folder should be, is told."""
    Path("in.dcm").write_bytes(encoded(radiograph(stored(12), 12)))
    enhanced = upscale_file(Path("in.dcm"), Path("out.dcm"), wide)
    assert enhanced.half_width is not None
    Path("file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/a\.dcm"):
        write(
            Path("file/a.dcm"),
            enhanced.encode(),
            enhanced.half_width,
            HALF_WIDTH,
            enhanced.origin,
        )
    assert Path("file").read_text() == "mine"


# ------------------------------------------------------------------ checked by others


@needs_dicom3tools
@pytest.mark.parametrize("signed", [False, True])
def test_dciodvfy_finds_no_error_in_a_map(wide: Method, signed: bool) -> None:
    """As in its result."""
    changed: dict[str, Any] = {"PixelSpacing": ["0.1", "0.1"], "SeriesNumber": None}
    made(radiograph(stored(12, signed=signed), 12, signed=signed, **changed), wide)
    for path in (Path("out.dcm"), *MAPS):
        assert complaints(path) == set()


@needs_dicom3tools
@needs_dcmtk
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # that of a sample
@pytest.mark.parametrize(
    "name", ["RG3_RLE", "CR-ModalitySequenceLUT", "CHEST_SC_JPEG8", "vlut_04", "mlut_18"]
)
def test_real_maps_have_no_errors_that_their_results_have_not(
    wide: Method, dicom_sample: Path, name: str
) -> None:
    """Of a part of each, MONOCHROME1, lossy or signed; dcmtk reads the same pixels."""
    dataset = dcmread(dicom_sample / f"{name}.dcm")
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress()
    part = dataset.pixel_array[100:164, 100:180]
    dataset.Rows, dataset.Columns = part.shape
    dataset.PixelData = part.tobytes()
    result, _, added = made(dataset, wide)
    values, step = values_of(added)
    assert np.abs(values - added_detail(result.pixel_array, 4)).max() <= step / 2 + 0.01
    for path in MAPS:
        new = complaints(path) - complaints(Path("out.dcm"))
        assert {line for line in new if "Referenced SOP Instance UID" not in line} == set()
        assert raw_pixels(path) == dcmread(path).PixelData
