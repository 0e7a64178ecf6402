"""What is out of the default network's range is told; a frontal chest radiograph is not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srpipe.formats import dicom
from srpipe.formats.raster import read_values
from srpipe.imaging.arrays import FloatImage
from srpipe.imaging.resample import downsample
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.render import render
from srpipe.runtime.given import given
from srpipe.trust.range import INVERTED, UNLIKE, measured, noise, of_record, reasons, trained


@pytest.fixture(scope="module")
def chest() -> FloatImage:
    """Return LR of a synthetic chest radiograph."""
    return render(Exposure(1, 0, 14), 256).astype(np.float32) / np.float32(255)


def noisy(image: FloatImage, sigma: float) -> FloatImage:
    added = np.random.default_rng(0).normal(0, sigma / 255, image.shape)
    return np.clip(image + added, 0, 1).astype(np.float32)


# ------------------------------------------------------------------ what is told


def test_a_chest_is_within_the_range(chest: FloatImage) -> None:
    """As it is, with the noise that was trained on, of another form, gamma or depth."""
    tall = np.pad(chest, ((20, 20), (0, 0)))
    for usual in (chest, noisy(chest, 7.5), tall, chest ** np.float32(0.6), chest[:, ::-1].copy()):
        assert reasons(usual) == []


@pytest.mark.parametrize(
    ("turned", "words"),
    [
        (1, "looks turned by 90 degrees anticlockwise"),
        (2, "looks upside down"),
        (3, "looks turned by 90 degrees clockwise"),
    ],
)
def test_a_turned_chest_is_told(chest: FloatImage, turned: int, words: str) -> None:
    """And which way it was turned; inverted, too."""
    image = np.ascontiguousarray(np.rot90(chest, turned))
    assert reasons(image) == [words]
    words = words.removeprefix("looks ")
    assert reasons(1 - image) == [f"{INVERTED} and {words}"]
    assert reasons(1 - chest) == [INVERTED]


@pytest.mark.parametrize("sigma", [12, 30])
def test_noise_beyond_training_is_told(chest: FloatImage, sigma: int) -> None:
    """With its estimate; the message names the network and what it was trained up to."""
    (said,) = reasons(noisy(chest, sigma))
    estimate = round(noise(noisy(chest, sigma)))
    assert said == (
        f"noisier than trained: estimated noise {estimate} of 255 grey levels, plain_sr_x4 was "
        "trained up to 8"
    )


def test_small_images_are_told(chest: FloatImage) -> None:
    small = np.asarray(Image.fromarray(chest).resize((96, 127), Image.Resampling.BOX))
    assert reasons(small) == ["small: 96x127 pixels, plain_sr_x4 was trained on 256x256"]
    least = np.asarray(Image.fromarray(chest).resize((128, 128), Image.Resampling.BOX))
    assert reasons(least) == []


def test_what_is_no_chest_is_told() -> None:
    """A drawing, a ramp, noise, nothing at all, the least image."""
    drawing = np.ones((256, 256), np.float32)
    drawing[100:150, 40:200] = 0
    assert reasons(drawing) == [UNLIKE]
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (256, 1))
    assert reasons(ramp) == [UNLIKE]
    white = np.random.default_rng(0).random((256, 256), np.float32)
    assert reasons(white)[0].startswith("noisier than trained: estimated noise 7")
    for grey in (0, 0.4, 1):
        (said,) = reasons(np.full((200, 200), grey, np.float32))
        assert said.startswith("hardly any contrast: standard deviation 0.0 of 255 grey levels")
    assert reasons(np.zeros((16, 16), np.float32))[0].startswith("small: 16x16 pixels")


# ------------------------------------------------------------------ the statistics


@pytest.mark.parametrize("sigma", [2.0, 8.0, 20.0])
def test_noise_is_estimated_on_a_ramp(sigma: float) -> None:
    """To a few per cent, also of an image whose blocks are not all looked at."""
    for height, width in ((200, 200), (3000, 40)):
        ramp = np.linspace(0.3, 0.7, height, dtype=np.float32)[:, None].repeat(width, axis=1)
        assert noise(noisy(ramp, sigma)) == pytest.approx(sigma, rel=0.05)


def test_texture_and_black_bars_do_not_count_as_noise() -> None:
    """Where they fill less than half of the image."""
    flat = noisy(np.full((256, 256), 0.5, np.float32), 4)
    flat[:100] = np.random.default_rng(1).random((100, 256), np.float32)
    assert noise(flat) == pytest.approx(4, rel=0.15)
    bars = noisy(np.full((256, 256), 0.5, np.float32), 4)
    bars[:, :200] = 0
    assert noise(bars) == pytest.approx(4, rel=0.05)
    assert noise(np.zeros((64, 64), np.float32)) == 0


def test_the_range_is_kept_in_its_file(chest: FloatImage) -> None:
    """Written and read, it is the same; the file is small."""
    kept = of_record(json.loads(json.dumps(trained().record())))
    assert kept.record() == trained().record()
    assert measured(chest, kept) == measured(chest, trained())
    assert len(json.dumps(trained().record())) < 40_000


def test_it_needs_neither_torch_nor_pandas() -> None:
    """Nor anything else beyond numpy, scipy and Pillow."""
    others = ["torch", "pandas", "skimage", "matplotlib", "pydicom", "pydantic", "tqdm"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({others}))\n"
        "import numpy as np\n"
        "from srpipe.trust.range import reasons\n"
        "print(reasons(np.zeros((200, 200), np.float32))[0][:19])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "hardly any contrast\n"


# ------------------------------------------------------------------ real radiographs


def test_real_radiographs_are_within_the_range(nih_sample: Path) -> None:
    """Of training patients, nineteen of twenty or more; upside down nearly all are told."""
    names = (nih_sample / "train_val_list.txt").read_text().split()[::5]
    right = upside_down = 0
    for name in names:
        values = read_values((nih_sample / "images" / name).read_bytes(), name)
        lr = downsample(values.array.astype(np.uint8), 4).astype(np.float32) / np.float32(255)
        right += reasons(lr) == []
        upside_down += reasons(np.ascontiguousarray(np.rot90(lr, 2))) == ["looks upside down"]
    assert right >= 0.95 * len(names)
    assert upside_down >= 0.95 * len(names)


def test_real_dicom_files(dicom_sample: Path) -> None:
    """A chest is within the range; a hip, a shin, teeth and a breast are not."""

    def said(name: str) -> list[str]:
        return reasons(given(dicom.read((dicom_sample / name).read_bytes(), name).values))

    assert said("CHEST_SC_JPEG8.dcm") == []
    assert said("RG2_J2KR.dcm") == said("RG3_JLSL.dcm") == [UNLIKE]
    assert said("CR-ModalitySequenceLUT.dcm")
    assert said("MG1_J2KI.dcm")
