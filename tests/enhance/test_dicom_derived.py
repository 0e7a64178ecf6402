"""A super-resolved radiograph is a valid DICOM file that says what it is derived from, and how."""

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

import srpipe
from srpipe.core.errors import ImageError, OutputError
from srpipe.enhance.dicom_derived import encode
from srpipe.enhance.upscale import Method, origin_of, upscale_file, upscale_values
from srpipe.enhance.written import said_of
from srpipe.formats.dicom import read
from tests.formats.checked import complaints, needs_dcmtk, needs_dicom3tools, raw_pixels
from tests.formats.radiographs import STUDY, encoded, lookup_table, radiograph, stored


def derived(dataset: Dataset, used: Method) -> Dataset:
    """Return what becomes of a DICOM file, as a file too."""
    Path("in.dcm").write_bytes(encoded(dataset))
    upscale_file(Path("in.dcm"), Path("out.dcm"), used)
    return dcmread("out.dcm")


def made(bits: int = 12, **changed: Any) -> Dataset:
    return radiograph(stored(bits), bits, **changed)


# ------------------------------------------------------------------ pixels


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_pixels_are_in_the_stored_grey_scale(
    our_method: Method, bits: int, signed: bool, photometric: str
) -> None:
    """Depth, sign and photometric interpretation are the input's; the values are what the network
    makes of the image in which low is black.
    """
    array = stored(bits, signed=signed)
    dataset = radiograph(array, bits, signed=signed, PhotometricInterpretation=photometric)
    found = derived(dataset, our_method)
    assert (found.Rows, found.Columns) == (80, 96)
    for keyword in (
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PhotometricInterpretation",
        "SamplesPerPixel",
    ):
        assert found[keyword] == dataset[keyword]
    values = read(Path("in.dcm").read_bytes(), "x").values
    wanted = upscale_values(values, our_method)
    if photometric == "MONOCHROME1":
        wanted = values.low + values.high - wanted
    assert np.array_equal(found.pixel_array, wanted)
    rough = found.pixel_array.reshape(20, 4, 24, 4).mean((1, 3))
    assert np.corrcoef(rough.ravel(), array.ravel())[0, 1] > 0.9


def test_black_is_low_for_the_network_in_monochrome_1(our_method: Method) -> None:
    """The same picture stored either way round gives the same picture."""
    array = stored(12)
    one = derived(radiograph(4095 - array, 12, PhotometricInterpretation="MONOCHROME1"), our_method)
    assert np.array_equal(
        4095 - one.pixel_array, derived(radiograph(array, 12), our_method).pixel_array
    )


def test_padding_is_kept(our_method: Method) -> None:
    """Its pixels keep their values, and no others get them; so do the attributes."""
    array = np.pad(np.clip(stored(12), 100, 3999), 4, constant_values=4095)
    dataset = radiograph(array, 12)
    dataset.add_new("PixelPaddingValue", "US", 4000)
    dataset.add_new("PixelPaddingRangeLimit", "US", 4095)
    found = derived(dataset, our_method)
    assert (found.PixelPaddingValue, found.PixelPaddingRangeLimit) == (4000, 4095)
    padded = np.repeat(np.repeat(array == 4095, 4, 0), 4, 1)
    assert (found.pixel_array[padded] == 4095).all()
    assert found.pixel_array[~padded].max() == 3999


def test_grey_scale_attributes_are_kept(our_method: Method) -> None:
    """LUTs, rescale, windows and their explanations hold for the result as they are; the smallest
    and largest value are the new ones, and of the series they are removed.
    """
    changed: dict[str, Any] = {
        "ModalityLUTSequence": [lookup_table()],
        "VOILUTSequence": [lookup_table()],
        "RescaleSlope": "2",
        "RescaleIntercept": "-1024",
        "RescaleType": "US",
        "WindowCenter": ["500", "600"],
        "WindowWidth": ["100", "900"],
        "WindowCenterWidthExplanation": ["BONE", "LUNG"],
        "PresentationLUTShape": "IDENTITY",
        "BurnedInAnnotation": "YES",
    }
    dataset = made(10, **changed)
    for keyword in ("SmallestImagePixelValue", "SmallestPixelValueInSeries"):
        dataset.add_new(keyword, "US", 7)
    dataset.add_new("LargestImagePixelValue", "US", 7)
    found = derived(dataset, our_method)
    for keyword in changed:
        assert found[keyword] == dataset[keyword], keyword
    assert found.SmallestImagePixelValue == found.pixel_array.min()
    assert found.LargestImagePixelValue == found.pixel_array.max()
    assert "SmallestPixelValueInSeries" not in found


# ------------------------------------------------------------------ places


def test_spacings_are_divided_by_the_scale(our_method: Method) -> None:
    """All that are given, but 0; the detector's own elements are as they were."""
    found = derived(
        made(
            PixelSpacing=["0.168", "0.15"],
            ImagerPixelSpacing=["0.2", "0.1"],
            NominalScannedPixelSpacing=["0", "0"],
            DetectorElementSpacing=["0.1", "0.1"],
        ),
        our_method,
    )
    assert found.PixelSpacing == [0.042, 0.0375]
    assert found.ImagerPixelSpacing == [0.05, 0.025]
    assert found.NominalScannedPixelSpacing == [0, 0]
    assert found.DetectorElementSpacing == [0.1, 0.1]
    assert "PixelSpacing" not in derived(made(), our_method)


def test_shutters_and_collimators_enclose_the_same_pixels(our_method: Method) -> None:
    """A first edge is the first of the pixels that one becomes, a last edge the last."""
    found = derived(
        made(
            ShutterShape=["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
            ShutterLeftVerticalEdge="3",
            ShutterRightVerticalEdge="20",
            ShutterUpperHorizontalEdge="1",
            ShutterLowerHorizontalEdge="20",
            CenterOfCircularShutter=["10", "12"],
            RadiusOfCircularShutter="8",
            VerticesOfThePolygonalShutter=["1", "1", "1", "24", "20", "24"],
            CollimatorLeftVerticalEdge="2",
        ),
        our_method,
    )
    assert (found.ShutterLeftVerticalEdge, found.ShutterRightVerticalEdge) == (9, 80)
    assert (found.ShutterUpperHorizontalEdge, found.ShutterLowerHorizontalEdge) == (1, 80)
    assert found.CenterOfCircularShutter == [38, 46]
    assert found.RadiusOfCircularShutter == 32
    assert found.VerticesOfThePolygonalShutter == [2, 2, 2, 94, 78, 94]
    assert found.CollimatorLeftVerticalEdge == 5


def test_overlays_are_enlarged(our_method: Method) -> None:
    """Their pixels lie over the same pixels of the image."""
    drawn = np.random.default_rng(0).integers(0, 2, (10, 16), dtype=np.uint8)
    dataset = made()
    for element, kind, value in (
        (0x0010, "US", 10),
        (0x0011, "US", 16),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [2, 5]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x1301, "IS", "80"),
        (0x3000, "OW", pack_bits(drawn.ravel())),
    ):
        dataset.add_new((0x6000, element), kind, value)
    found = derived(dataset, our_method)
    assert np.array_equal(found.overlay_array(0x6000), drawn.repeat(4, 0).repeat(4, 1))
    assert found[0x6000, 0x0050].value == [5, 17]
    assert (0x6000, 0x1301) not in found


# ------------------------------------------------------------------ identity and origin


def test_it_is_another_image_of_the_same_patient_and_study(our_method: Method) -> None:
    """In a series of its own, which is one for all images of a series; the same input gives the
    same file, and other settings or pixels another image.
    """
    dataset = made(PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100")
    found = derived(dataset, our_method)
    first = Path("out.dcm").read_bytes()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "Modality", "SOPClassUID"):
        assert found[keyword] == dataset[keyword]
    assert found.SOPInstanceUID != dataset.SOPInstanceUID
    assert found.SeriesInstanceUID != dataset.SeriesInstanceUID
    assert found.SOPInstanceUID != found.SeriesInstanceUID
    derived(dataset, our_method)
    assert Path("out.dcm").read_bytes() == first
    dataset.SOPInstanceUID = f"{STUDY}.1.2"
    second = derived(dataset, our_method)
    assert second.SeriesInstanceUID == found.SeriesInstanceUID
    assert second.SOPInstanceUID != found.SOPInstanceUID
    dataset.PixelData = stored(12, seed=1).astype("<u2").tobytes()
    assert derived(dataset, our_method).SOPInstanceUID != second.SOPInstanceUID


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        ("3", 301),
        ("21474836", 2147483601),
        ("21474837", None),
        ("0", None),
        ("", None),
        (None, None),
    ],
)
def test_its_series_has_a_number_of_its_own(
    our_method: Method, number: str | None, wanted: int | None
) -> None:
    """That of the input and two digits more; none where that has none, or is too large."""
    assert derived(made(SeriesNumber=number), our_method)["SeriesNumber"].value == wanted


def test_a_series_number_that_is_none_is_left_out(our_method: Method) -> None:
    """As devices write it against the rules."""
    data = encoded(made(SeriesNumber="12345678")).replace(b"12345678", b"thorax 1")
    Path("in.dcm").write_bytes(data)
    upscale_file(Path("in.dcm"), Path("out.dcm"), our_method)
    assert dcmread("out.dcm").SeriesNumber is None


def test_it_says_that_it_is_derived_from_what_and_how(our_method: Method) -> None:
    """In the attributes of the standard; what was said of the input stays beside it."""
    equipment = Dataset()
    equipment.Manufacturer = "maker"
    dataset = made(
        SeriesDescription="Thorax pa " + "x" * 54,
        DerivationDescription="rotated",
        ContributingEquipmentSequence=[equipment],
    )
    found = derived(dataset, our_method)
    said = str(origin_of(Path("in.dcm").read_bytes(), our_method))
    assert found.ImageType == ["DERIVED", "SECONDARY", "POST_PROCESSED"]
    assert found.DerivationDescription == f"{said} Before: rotated"
    assert [each.CodeValue for each in found.DerivationCodeSequence] == ["113085"]
    (source,) = found.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    assert source.ReferencedSOPClassUID == dataset.SOPClassUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    before, added = found.ContributingEquipmentSequence
    assert before == equipment
    assert (added.Manufacturer, added.ManufacturerModelName) == ("srpipe", "ours.pt")
    assert added.SoftwareVersions == f"srpipe {srpipe.__version__}"
    assert added.ContributionDescription == said
    assert re.fullmatch(
        r"Thorax pa x+; 4x super-resolved, not for diagnosis", found.SeriesDescription
    )
    assert len(found.SeriesDescription) == 64
    assert derived(made(), our_method).SeriesDescription == "4x super-resolved, not for diagnosis"


def test_what_does_not_hold_for_other_pixels_is_removed(our_method: Method) -> None:
    """Private attributes, at any depth, digital signatures, the time when the input was made."""
    inner = Dataset()
    inner.private_block(0x0011, "maker", create=True).add_new(1, "LO", "private")
    inner.CodeMeaning = "public"
    dataset = made(InstanceCreationDate="20200101", RequestAttributesSequence=[inner])
    dataset.DigitalSignaturesSequence = [Dataset()]
    dataset.private_block(0x0009, "maker", create=True).add_new(1, "LO", "private")
    found = derived(dataset, our_method)
    assert b"private" not in Path("out.dcm").read_bytes()
    assert found.RequestAttributesSequence[0].CodeMeaning == "public"
    assert "DigitalSignaturesSequence" not in found
    assert "InstanceCreationDate" not in found


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_odd_values_stay_as_they_are(our_method: Method, syntax: UID) -> None:
    """What devices write against the rules is neither mended nor a reason to refuse a file."""
    dataset = made(BodyPartExamined="AAAAAAAA", KVP="12345678")
    dataset.file_meta.TransferSyntaxUID = syntax
    data = encoded(dataset).replace(b"AAAAAAAA", b"chest pa").replace(b"12345678", b"about 90")
    Path("in.dcm").write_bytes(data)
    upscale_file(Path("in.dcm"), Path("out.dcm"), our_method)
    data = Path("out.dcm").read_bytes()
    assert b"CS\x08\0chest pa" in data
    assert b"DS\x08\0about 90" in data


def test_files_are_explicit_little_endian_of_part_10(our_method: Method) -> None:
    """Whatever the input's transfer syntax is; nothing of the input's header is left."""
    implicit, compressed = made(), radiograph(np.tile(stored(12), (4, 4)), 12)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    implicit.file_meta.SourceApplicationEntityTitle = "SCANNER"
    implicit.VOILUTSequence = [lookup_table()]
    compressed.compress(JPEG2000Lossless, generate_instance_uid=False)
    for dataset in (implicit, compressed):
        found = derived(dataset, our_method)
        assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
        assert found.file_meta.MediaStorageSOPClassUID == found.SOPClassUID
        assert "SourceApplicationEntityTitle" not in found.file_meta
        assert len(found.PixelData) == found.Rows * found.Columns * 2


def test_once_lossy_is_always_lossy(our_method: Method) -> None:
    """The flags of the input stay; a lossy transfer syntax adds the one that the input lacks."""
    flags = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5",
        "LossyImageCompressionMethod": "ISO_15444_1",
    }
    found = derived(made(**flags), our_method)
    assert {keyword: found[keyword].value for keyword in flags} == flags
    assert "LossyImageCompression" not in derived(made(), our_method)
    lossy = read(encoded(made(8)), "x")
    lossy.dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = encode(lossy, upscale_values(lossy.values, our_method), our_method.provenance)
    Path("out.dcm").write_bytes(data)
    assert dcmread("out.dcm").LossyImageCompression == "01"


@pytest.mark.parametrize(
    ("syntax", "told"),
    [
        (ExplicitVRLittleEndian, True),
        (ImplicitVRLittleEndian, True),
        (ExplicitVRBigEndian, True),
        (DeflatedExplicitVRLittleEndian, False),
    ],
)
def test_a_result_tells_how_it_was_made_in_what_an_archive_makes_of_it(
    our_method: Method, monkeypatch: pytest.MonkeyPatch, syntax: UID, told: bool
) -> None:
    """Without its pixels; but nothing is unpacked for that."""
    found = derived(made(), our_method)
    said = found.DerivationDescription
    swapped = syntax == ExplicitVRBigEndian
    if swapped:
        found.PixelData = found.pixel_array.astype(">u2").tobytes()
    found.file_meta.TransferSyntaxUID = syntax
    dcmwrite(
        "again.dcm",
        found,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        force_encoding=swapped,
    )
    monkeypatch.setattr(zlib, "decompress", None)
    monkeypatch.setattr(zlib, "decompressobj", None)
    assert said_of(Path("again.dcm")) == (said if told else None)


# ------------------------------------------------------------------ errors


def test_a_file_that_fails_is_named_and_leaves_what_was_there(our_method: Method) -> None:
    """Too small, or with an attribute that cannot be written again."""
    Path("out.dcm").write_text("mine")
    with pytest.raises(ImageError, match=r"in\.dcm: the image is 9x8 pixels"):
        derived(radiograph(stored(12)[:8, :9], 12), our_method)
    with pytest.raises(ImageError, match=r"^in\.dcm has attributes that cannot be written again"):
        derived(made(PixelSpacing="0.1"), our_method)
    assert Path("out.dcm").read_text() == "mine"


def test_a_target_that_cannot_be_written_is_told(our_method: Method) -> None:
    Path("in.dcm").write_bytes(encoded(made()))
    Path("file").write_text("mine")
    with pytest.raises(OutputError, match=r"file/out\.dcm"):
        upscale_file(Path("in.dcm"), Path("file/out.dcm"), our_method)


# ------------------------------------------------------------------ checked by others


@needs_dicom3tools
def test_dciodvfy_finds_no_error_in_a_made_radiograph(our_method: Method) -> None:
    """Nor in what it was made from."""
    for dataset in (
        made(PixelSpacing=["0.1", "0.1"]),
        made(8, PhotometricInterpretation="MONOCHROME1"),
    ):
        derived(dataset, our_method)
        assert complaints(Path("in.dcm")) == set()
        assert complaints(Path("out.dcm")) == set()


@needs_dicom3tools
@pytest.mark.parametrize(
    "name",
    ["RG3_J2KI", "CR-ModalitySequenceLUT", "CHEST_SC_JPEG8", "vlut_04", "mlut_18"],
)
def test_real_results_have_no_errors_that_their_inputs_have_not(
    our_method: Method, dicom_sample: Path, name: str
) -> None:
    """Except what is said again of an input's odd UID, now where the result refers to it."""
    source = dicom_sample / f"{name}.dcm"
    upscale_file(source, Path("out.dcm"), our_method)
    new = complaints(Path("out.dcm")) - complaints(source)
    assert {line for line in new if "Referenced SOP Instance UID" not in line} == set()


@needs_dcmtk
def test_dcmtk_reads_the_pixels(our_method: Method) -> None:
    """The same bytes as pydicom."""
    found = derived(made(), our_method)
    assert raw_pixels(Path("out.dcm")) == found.PixelData


def test_real_attributes_are_kept(our_method: Method, dicom_sample: Path) -> None:
    """The lossy flags of an 8-bit JPEG, and the LUTs of others."""
    kept = {
        "CHEST_SC_JPEG8": ("LossyImageCompression", "Modality", "BitsStored"),
        "CR-ModalitySequenceLUT": ("ModalityLUTSequence", "BitsStored"),
        "vlut_04": ("VOILUTSequence", "BitsStored"),
        "mlut_18": ("ModalityLUTSequence", "PixelRepresentation", "BitsStored"),
    }
    for name, keywords in kept.items():
        source = dicom_sample / f"{name}.dcm"
        upscale_file(source, Path("out.dcm"), our_method)
        before, after = dcmread(source), dcmread("out.dcm")
        for keyword in keywords:
            assert after[keyword] == before[keyword], (name, keyword)
        assert (after.Rows, after.Columns) == (4 * before.Rows, 4 * before.Columns)
