"""Radiographs in DICOM files are read as stored; whatever is none is refused by name."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from srpipe.core.errors import ImageError
from srpipe.formats.dicom import Radiograph, read
from srpipe.formats.raster import to_eight_bits
from tests.formats.radiographs import encoded, lookup_table, radiograph, stored

ALLOWED = "Allowed are radiographs of one grey frame"


def values_of(found: Radiograph) -> npt.NDArray[Any]:
    """Return the stored values again."""
    values = found.values
    return values.low + values.high - values.array if found.inverted else values.array


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_stored_values_are_read(bits: int, signed: bool, photometric: str) -> None:
    """Of 8 to 16 bits, with a sign or without; of MONOCHROME1 low is made black."""
    array = stored(bits, signed=signed)
    found = read(
        encoded(radiograph(array, bits, signed=signed, PhotometricInterpretation=photometric)), "x"
    )
    values = found.values
    low = -(2 ** (bits - 1)) if signed else 0
    assert (values.low, values.high, values.bits) == (low, low + 2**bits - 1, bits)
    wanted = 2 * low + 2**bits - 1 - array if photometric == "MONOCHROME1" else array
    assert np.array_equal(values.array, wanted)
    assert np.array_equal(values_of(found), array)


def test_eight_bits_in_words_of_sixteen() -> None:
    """Are 8 bits."""
    array = stored(8)
    values = read(encoded(radiograph(array, 8, allocated=16)), "x").values
    assert values.bits == 8
    assert np.array_equal(values.array, array)


@pytest.mark.parametrize(
    "kind",
    [
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
    ],
)
def test_the_class_decides_and_not_the_modality(kind: UID) -> None:
    """As a scanned film says OT, or a derived image CT."""
    array = stored(12)
    data = encoded(radiograph(array, 12, SOPClassUID=kind, Modality="CT"))
    assert np.array_equal(read(data, "x").values.array, array)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]
)
def test_uncompressed_transfer_syntaxes(syntax: UID) -> None:
    """All of low byte first."""
    array = stored(10)
    dataset = radiograph(array, 10, VOILUTSequence=[lookup_table()])
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(read(encoded(dataset), "x").values.array, array)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_transfer_syntaxes(syntax: UID) -> None:
    """To the same values; see the samples for those that only others can write."""
    array = np.tile(stored(12), (4, 4))
    dataset = radiograph(array, 12)
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(read(encoded(dataset), "x").values.array, array)


def test_the_sign_may_end_with_the_stored_bits() -> None:
    """Bits above them 0, or all as the sign: both are written."""
    array = stored(12, signed=True)
    dataset = radiograph(array & 0xFFF, 12)
    dataset.PixelRepresentation = 1
    assert np.array_equal(read(encoded(dataset), "x").values.array, array)


def test_luts_rescale_and_windows_are_not_applied() -> None:
    """They hold for results as for the input: both are in the same grey scale."""
    array = stored(10)
    tables = [lookup_table()]
    changed: list[dict[str, Any]] = [
        {"ModalityLUTSequence": tables, "VOILUTSequence": tables},
        {"RescaleSlope": "-2", "RescaleIntercept": "7", "RescaleType": "US"},
        {"WindowCenter": "500", "WindowWidth": "100"},
    ]
    for each in changed:
        assert np.array_equal(read(encoded(radiograph(array, 10, **each)), "x").values.array, array)


@pytest.mark.parametrize(
    ("signed", "value", "limit", "wanted"),
    [
        (False, 0, None, (0, 0)),
        (False, 4095, 4000, (4000, 4095)),
        (True, -2000, None, (-2000, -2000)),
        (True, 63536, None, (-2000, -2000)),
        (False, None, None, None),
    ],
)
def test_padding_is_known(
    signed: bool, value: int | None, limit: int | None, wanted: tuple[int, int] | None
) -> None:
    """A value or a range of values, in either order; also one written with the wrong sign."""
    dataset = radiograph(stored(12, signed=signed), 12, signed=signed)
    if value is not None:
        dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", "US", limit)
    assert read(encoded(dataset), "x").values.padding == wanted


def test_padding_of_monochrome_1_is_inverted_too() -> None:
    """As the values that it is to be found among."""
    dataset = radiograph(stored(12), 12, PhotometricInterpretation="MONOCHROME1")
    dataset.add_new("PixelPaddingValue", "US", 4000)
    dataset.add_new("PixelPaddingRangeLimit", "US", 4095)
    assert read(encoded(dataset), "x").values.padding == (0, 95)


# ------------------------------------------------------------------ what is refused


def colour() -> Dataset:
    dataset = radiograph(
        np.zeros((20, 72)), 8, Columns=24, SamplesPerPixel=3, PlanarConfiguration=0
    )
    dataset.PhotometricInterpretation = "RGB"
    return dataset


def big_endian() -> Dataset:
    dataset = radiograph(stored(8), 8)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return dataset


def film() -> Dataset:
    dataset = radiograph(stored(8), 8)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    return dataset


def with_overlay_in_words() -> Dataset:
    dataset = radiograph(stored(12), 12)
    dataset.add_new((0x6000, 0x0010), "US", 20)
    dataset.add_new((0x6000, 0x0011), "US", 24)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    return dataset


REFUSED = {
    "CT": (radiograph(stored(12), 12, SOPClassUID=CTImageStorage), "class CT Image Storage"),
    "mammogram": (
        radiograph(stored(12), 12, SOPClassUID=DigitalMammographyXRayImageStorageForPresentation),
        "class Digital Mammography X-Ray",
    ),
    "unknown class": (radiograph(stored(12), 12, SOPClassUID="1.2.3"), r"class 1\.2\.3"),
    "frames": (radiograph(np.zeros((40, 24)), 8, Rows=20, NumberOfFrames="2"), "has 2 frames"),
    "colour": (colour(), "not grey: its photometric interpretation is RGB"),
    "palette": (
        radiograph(stored(8), 8, PhotometricInterpretation="PALETTE COLOR"),
        "interpretation is PALETTE COLOR",
    ),
    "1 bit": (radiograph(stored(8), 8, BitsStored=1, HighBit=0), "has 1 bits in words of 8"),
    "32 bits": (radiograph(stored(8), 32, allocated=32), "has 32 bits in words of 32"),
    "high bit": (radiograph(stored(8), 12, HighBit=15), "12 bits not at the low end"),
    "values": (radiograph(stored(12), 10), "has values of more than the 10 bits"),
    "signed values": (
        radiograph(stored(12, signed=True), 10, signed=True),
        "has values of more than the 10 bits",
    ),
    "overlay": (with_overlay_in_words(), "an overlay within the words"),
    "big endian": (big_endian(), "transfer syntax Explicit VR Big Endian, which is not read"),
    "film": (film(), "transfer syntax MPEG2 Main Profile / Main Level, which is not read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_grey_radiograph_is_refused(kind: str) -> None:
    """With the reason, and what is allowed."""
    dataset, reason = REFUSED[kind]
    with pytest.raises(ImageError, match=rf"^x\.dcm .*{reason}.*\. {ALLOWED}"):
        read(encoded(dataset), "x.dcm")


def test_a_file_cut_anywhere_is_refused() -> None:
    """Within the values, within attributes before them, and within compressed values."""
    whole = radiograph(stored(12), 12, SourceImageSequence=[Dataset()])
    data = encoded(whole)
    whole.compress(RLELossless, generate_instance_uid=False)
    for cut in (data[:-2], data[:-900], data[:600], data[:200], encoded(whole)[:-30]):
        with pytest.raises(ImageError, match=r"^x\.dcm is damaged: .*Replace the file"):
            read(cut, "x.dcm")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_damage_anywhere_is_refused_or_does_no_harm(syntax: UID) -> None:
    """Of bytes changed at random: one message, whatever library finds it."""
    dataset = radiograph(np.tile(stored(12), (4, 4)), 12, PixelSpacing=["0.1", "0.1"])
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    data = encoded(dataset)
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(20):
        damaged = bytearray(data)
        # Not the sizes, which may ask for any amount of memory.
        for at in rng.integers(data.index(b"\xe0\x7f\x10\0O"), len(data) - 8, 5):
            damaged[at] = rng.integers(256)
        try:
            assert read(bytes(damaged), "x.dcm").values.array.shape == (80, 96)
        except ImageError as error:
            refused.append(str(error))
    assert refused
    assert all(message.startswith("x.dcm ") for message in refused)


@pytest.mark.parametrize("lacking", ["SOPInstanceUID", "Rows", "BitsStored", "PixelData"])
def test_what_lacks_something_needed_is_damaged(lacking: str) -> None:
    """It is named."""
    dataset = radiograph(stored(12), 12)
    data = encoded(dataset)
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    delattr(dataset, lacking)
    if lacking == "SOPInstanceUID":
        data = data.replace(b"\x08\0\x18\0UI", b"\x08\0\x17\0UI")
    else:
        data = encoded(dataset)
    with pytest.raises(ImageError, match=rf"x\.dcm is damaged: it lacks {lacking}\."):
        read(data, "x.dcm")


def test_pixels_of_more_frames_than_it_says_are_refused() -> None:
    """Two images in one are no image of three axes."""
    data = encoded(radiograph(np.zeros((40, 24)), 8, Rows=20))
    with pytest.raises(ImageError, match=r"x\.dcm is damaged: it holds pixels of \(2, 20, 24\)"):
        read(data, "x.dcm")


def test_messages_hold_no_characters_that_a_terminal_obeys() -> None:
    """What a file says of itself is quoted in one line."""
    data = encoded(radiograph(stored(12), 12))
    data = data.replace(b"1.2.840.10008.5.1.4.1.1.1\0", b"1.2\x1b[31m\n8.5.1.4.1.1.1.5.6\0")
    with pytest.raises(ImageError) as caught:
        read(data, "x.dcm")
    assert str(caught.value).isprintable()
    assert "class 1.2?[31m" in str(caught.value)


@pytest.mark.parametrize("signed", [False, True])
def test_eight_bits_are_shown_as_such(signed: bool) -> None:
    """Where 8-bit images are wanted: their lowest value is 0."""
    array = stored(8, signed=signed)
    grey = to_eight_bits(read(encoded(radiograph(array, 8, signed=signed)), "x").values, "minmax")
    assert grey.dtype == np.uint8
    assert np.array_equal(grey, array + 128 * signed)


def test_damaged_jpeg_2000_does_not_end_the_process() -> None:
    """As gdcm does, which is not asked."""
    decoder = get_decoder(JPEG2000Lossless)
    assert "gdcm" in decoder.available_plugins
    dataset = radiograph(np.tile(stored(12), (4, 4)), 12)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    data = encoded(dataset)
    at = data.index(b"\xff\x4f\xff\x51")
    with pytest.raises(ImageError, match=r"no installed decoder reads \(pylibjpeg: [^;]*\)\."):
        read(data[: at + 42] + b"\xff" * 200 + data[at + 242 :], "x.dcm")


def test_a_file_without_its_header_is_refused() -> None:
    """How its bytes are to be read is not guessed."""
    with pytest.raises(ImageError, match=r"x\.dcm lacks the header of a DICOM file \(DICM at"):
        read(encoded(radiograph(stored(12), 12))[132:], "x.dcm")


def test_a_syntax_without_a_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydicom alone does not read JPEG 2000."""
    dataset = radiograph(np.tile(stored(12), (4, 4)), 12)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    monkeypatch.setattr(get_decoder(JPEG2000Lossless), "_available", {})
    with pytest.raises(
        ImageError, match=r"JPEG 2000 .*no decoder is installed: pip install '\.\[dicom\]'"
    ):
        read(encoded(dataset), "x.dcm")


# ------------------------------------------------------------------ real files

SAME = {  # SHA-256 of the stored values as little-endian uint16, its first digits
    "RG2": ((2140, 1760), 10, "9ed5d9818c25", ("J2KR", "JLSL", "JPLL", "RLE")),
    "RG3": ((1760, 1760), 10, "85480a0287e3", ("J2KR", "JLSL", "JPLL", "RLE")),
}


@pytest.mark.parametrize("image", SAME)
def test_a_real_radiograph_is_the_same_from_all_lossless_syntaxes(
    dicom_sample: Path, image: str
) -> None:
    """JPEG 2000, JPEG-LS, JPEG lossless and RLE."""
    shape, bits, digits, kinds = SAME[image]
    for kind in kinds:
        found = read((dicom_sample / f"{image}_{kind}.dcm").read_bytes(), kind)
        array = values_of(found)
        assert (array.shape, found.values.bits) == (shape, bits)
        assert (array.min(), array.max()) == (0, 893 if image == "RG2" else 1023)
        assert hashlib.sha256(array.astype("<u2").tobytes()).hexdigest().startswith(digits), kind
        assert found.inverted == (image == "RG3")


@pytest.mark.parametrize(("kind", "most"), [("J2KI", 40), ("JLSN", 10)])
def test_lossy_ones_are_near_it(dicom_sample: Path, kind: str, most: int) -> None:
    """Off by a few of 1024 levels."""
    lossless, lossy = (
        values_of(read((dicom_sample / f"RG3_{each}.dcm").read_bytes(), each))
        for each in ("RLE", kind)
    )
    assert 0 < np.abs(lossless - lossy).max() <= most


@pytest.mark.parametrize(
    ("name", "shape", "bits", "low", "high"),
    [
        ("MG1_J2KI", (4664, 3064), 12, 0, 4095),
        ("CR-ModalitySequenceLUT", (1576, 1976), 10, 0, 1023),
        ("CHEST_SC_JPEG8", (1024, 1024), 8, 0, 255),
        ("vlut_04", (512, 512), 8, 0, 255),
        ("mlut_18", (512, 512), 12, -2048, 2047),
    ],
)
def test_other_real_radiographs_are_read(
    dicom_sample: Path,
    name: str,
    shape: tuple[int, int],
    bits: int,
    low: int,
    high: int,
) -> None:
    """12 bits of lossy JPEG 2000, a modality LUT, 8 bits of lossy JPEG, a VOI LUT, a sign."""
    found = read((dicom_sample / f"{name}.dcm").read_bytes(), name)
    array = values_of(found)
    assert (array.shape, found.values.bits, found.values.low) == (shape, bits, low)
    assert array.min() == low
    assert high - 1 <= array.max() <= high  # decoders of lossy JPEG differ by one


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RG2_JPLY", r"transfer syntax JPEG Extended \(Process 2 and 4\) that no installed"),
        ("RG3_JPLY", r"transfer syntax JPEG Extended \(Process 2 and 4\) that no installed"),
        ("CR-MONO1-10-chest", "lacks the header"),
        ("no_meta", "lacks the header"),
        ("CT_small", "class CT Image Storage"),
        ("MR_truncated", "class MR Image Storage"),
        ("emri_small", "class Enhanced MR Image Storage"),
        ("US1_J2KI", "class Ultrasound Image Storage"),
        ("SC_rgb", "not grey: its photometric interpretation is RGB"),
        ("rtdose_1frame", "class RT Dose Storage"),
        ("reportsi", "class Basic Text SR Storage"),
    ],
)
def test_other_real_files_are_refused(dicom_sample: Path, name: str, reason: str) -> None:
    """Each with its reason."""
    with pytest.raises(ImageError, match=rf"^{name} .*{reason}"):
        read((dicom_sample / f"{name}.dcm").read_bytes(), name)
