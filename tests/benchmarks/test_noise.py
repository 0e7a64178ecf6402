"""The noise that the model says an image has is found in it, and all is told and drawn."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import noise, noise_dicom
from benchmarks.noise import DOSES, MODEL, Noise, common, detail, fit, main, measure, text
from benchmarks.noise_dicom import Radiograph
from srpipe.formats.raster import read_file, write_png
from srpipe.imaging.arrays import GreyImage

SIDE = 1024


def radiograph(seed: int, q: float = MODEL, power: float = 0.5) -> GreyImage:
    """Return an image whose noise is q (1 - grey)^power on a smooth surface of many levels."""
    rng = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(SIDE) / SIDE)
    grey = 0.53 + 0.4 * np.outer(np.ones(SIDE), wave) + 0.03 * np.outer(wave, np.ones(SIDE))
    noisy = 255 * grey + q * (1 - grey) ** power * rng.standard_normal((SIDE, SIDE))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def found() -> Noise:
    """Return what is measured of images that follow the model."""
    return measure(radiograph(seed) for seed in range(6))


def test_known_noise_is_found_and_the_square_root_law_recovered(found: Noise) -> None:
    """q within 5 percent, and the power of (1 - grey); HR has the noise at each level."""
    q, powers = fit(found)
    assert np.median(q) == pytest.approx(MODEL, rel=0.05)
    assert powers == pytest.approx({"HR": 0.5, "LR": 0.5}, abs=0.08)
    known = common(found) & noise.FITTED
    assert known.sum() >= 6
    assert detail(found, "HR", known) == pytest.approx(MODEL, rel=0.05)


def test_other_noise_is_told_from_the_models() -> None:
    """Half as strong, and the same at every grey level."""
    q, powers = fit(measure(radiograph(seed, 1.4, 0.0) for seed in range(4)))
    assert powers == pytest.approx({"HR": 0.0, "LR": 0.0}, abs=0.1)
    signal = noise.SIGNAL[noise.FITTED]
    assert np.median(q) == pytest.approx(1.4 * np.exp(-np.log(signal).mean() / 2), rel=0.1)


def test_spectra_are_those_of_the_acquisitions(found: Noise) -> None:
    """Of a smooth image, the added noise alone, white; of HR with its own noise, q over the root of
    the dose where the bicubic kernel keeps HR's; HR itself is white at q. At the lowest frequency,
    a little of the surface is left.
    """
    q = {name: np.sqrt(power.mean(axis=0)) for name, power in found.power.items()}
    assert found.frequency["LR of HR"][-1] == pytest.approx(0.125)
    assert q["HR"][1:] == pytest.approx(MODEL, rel=0.08)
    for dose in DOSES:
        name = f"dose 1/{1 / dose:.0f}"
        added = MODEL * np.sqrt((1 - dose) / dose)
        assert q[f"smooth, {name}"][1:] == pytest.approx(added, rel=0.1)
        assert q[f"HR, {name}"][1] == pytest.approx(MODEL / np.sqrt(dose), rel=0.08)


def test_all_is_told_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line: tables of levels, spectra and computed radiographs, the fit, and a
    PNG file, taller by the computed radiographs.
    """
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.png", radiograph(0))
    out = tmp_path / "noise.png"
    arguments = ["noise", str(tmp_path / "images"), "--figure", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    alone = read_file(out, "minmax").shape
    capsys.readouterr()
    made = Radiograph("made, chest", radiograph(0).astype(float), 10, False)
    monkeypatch.setattr(noise_dicom, "read", lambda folder: [made])
    monkeypatch.setattr("sys.argv", [*arguments, "--dicom", "there"])
    main()
    told = capsys.readouterr().out
    for words in (
        "of 1 images",
        "| 135  |",
        "QUANTUM is 2.80",
        "smooth, dose 1/8",
        "| made, chest",
    ):
        assert words in told
    height, width = read_file(out, "minmax").shape
    assert (height, width) == (2 * alone[0], alone[1])


def test_the_table_says_what_was_measured(found: Noise) -> None:
    """A row for each level; its last column is the measured q over the model's."""
    rows = [line.split("|") for line in text(found).splitlines() if line.startswith("| ")]
    levels = [row for row in rows if row[1].strip().isdigit()]
    assert len(levels) == common(found).sum()
    assert np.mean([float(row[-2]) for row in levels]) == pytest.approx(1, rel=0.06)


def test_without_pydicom_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any image is measured."""
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setattr("sys.argv", ["noise", "absent", "--dicom", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "pip install '.[dicom]'" in capsys.readouterr().err


def test_images_without_flat_parts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small image has too few blocks to say anything."""
    write_png(tmp_path / "small.png", radiograph(0)[:128, :128])
    monkeypatch.setattr("sys.argv", ["noise", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "too few flat parts" in capsys.readouterr().err
