"""The scale of a computed radiograph is told from how its noise depends on the exposure."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.flat_noise import Array
from benchmarks.noise_dicom import Curve, Radiograph, laws, measure, read, text
from srpipe.core.errors import DataError

DECADES = 2.0


def exposed(log: bool, side: int = 1024) -> Array:
    """Return quanta by pixel, Poisson, rising from left to right: over two decades, or from 0."""
    ramp = np.tile(np.linspace(0, 1, side), (side, 1))
    mean = 100 * 10 ** (DECADES * ramp) if log else 10_000 * ramp
    return np.random.default_rng(0).poisson(mean).astype(float)


def on_log_scale(quanta: Array) -> Array:
    """Return values of 10 bits, 1023 for the most."""
    return np.clip(np.rint(1023 * (np.log10(np.maximum(quanta, 1)) - 2) / DECADES), 0, 1023)


def test_a_log_scale_is_recognised_with_its_decades() -> None:
    """Both ways round: a larger value is more exposure, or less."""
    values = on_log_scale(exposed(log=True))
    for rises, stored in ((True, values), (False, 1023 - values)):
        found = measure(Radiograph("made", stored, 10, rises))
        assert found.log < 0.05
        assert found.linear > 0.5
        assert found.decades == pytest.approx(DECADES, rel=0.05)


def test_a_linear_scale_is_recognised() -> None:
    """Noise grows with the root of the signal: power 0.5."""
    found = measure(Radiograph("made", exposed(log=False), 14, True))
    assert found.linear < 0.1
    assert found.log > 0.1
    assert found.power == pytest.approx(0.5, abs=0.05)


def test_white_noise_of_any_level_gives_a_flat_spectrum() -> None:
    """Also where noise depends on the signal."""
    found = measure(Radiograph("made", exposed(log=False), 14, True))
    assert found.spectrum == pytest.approx(1, rel=0.1)


def test_misfits_are_the_root_mean_square_ratio() -> None:
    """A law that noise obeys has none; levels without a value do not count."""
    at = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    linear, log, _ = laws(at, 3 * np.sqrt(at))
    assert linear == pytest.approx(0, abs=1e-9)
    assert log > 0.05
    linear, log, decades = laws(at, np.array([0.1, 0.1**1.5, np.nan, 0.1**2.5, 0.1**3]))
    assert log == pytest.approx(0, abs=1e-9)
    assert decades == pytest.approx(5)
    assert linear > 1


def test_the_table_has_grey_levels_and_misfits() -> None:
    """Noise of the least, the middle and the most exposed, in the file's grey levels."""
    levels = np.array([0.25, 0.5, 0.75])
    noise = np.array([4, 2, 1]) / 1024
    curve = Curve("one (chest)", 10, levels, noise, 0.5, 0.03, 1.25, -0.4, levels, levels)
    cells = [cell.strip() for cell in text([curve]).splitlines()[-1].strip("|").split("|")]
    assert cells == ["one (chest)", "4.0", "2.0", "1.0", "50 %", "3 %", "1.2", "-0.40"]


def dicom(path: Path, values: Array, **tags: Any) -> None:
    """Write a CR of 10 bits."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    data = pydicom.Dataset()
    data.Modality, data.PhotometricInterpretation = "CR", "MONOCHROME1"
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 10, 9
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    for key, value in tags.items():
        setattr(data, key, value)
    data.PixelData = values.astype("<u2").tobytes()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def test_each_radiograph_is_read_once_and_others_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values as stored; lossy ones are named, other modalities ignored."""
    values = on_log_scale(exposed(log=True, side=64))
    dicom(tmp_path / "a.dcm", values, BodyPartExamined="CHEST")
    dicom(tmp_path / "b.dcm", values)
    dicom(tmp_path / "c.dcm", 1023 - values, PhotometricInterpretation="MONOCHROME2")
    dicom(tmp_path / "d.dcm", values, Modality="MR")
    dicom(tmp_path / "lossy.dcm", values[::-1], LossyImageCompression="01")
    (tmp_path / "notes.txt").write_text("not read")
    first, second = read(tmp_path)
    assert (first.name, first.bits, first.exposure_rises) == ("a, chest", 10, True)
    assert np.array_equal(first.values, values)
    assert (second.name, second.exposure_rises) == ("c", False)
    assert "lossy.dcm is left out" in capsys.readouterr().out


def test_a_folder_without_radiographs_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    with pytest.raises(DataError, match="holds no radiograph"):
        read(tmp_path)
