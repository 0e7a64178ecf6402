"""What is shown: radiographs as they are usual, radiographs that went wrong, and other images."""

import gzip
import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from scipy import ndimage

from srpipe.acquisition.detector import recorded
from srpipe.core.errors import ImageError
from srpipe.data.packed import Pair
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.out_of_range.fit import SIDE, WORST, as_given, fits
from srpipe.evaluation.shown import NOISE_SEED, SHOWN
from srpipe.formats import dicom
from srpipe.formats.raster import SUFFIXES, Values, file_bytes, read_values
from srpipe.imaging.arrays import FloatImage
from srpipe.runtime.given import given
from srpipe.settings.acquisition import Acquisition
from srpipe.trust.range import INVERTED, TURNED, UNLIKE, reasons

Change = Callable[[Pair], FloatImage]
IDEAL = "ideal"


def _acquired(how: Acquisition) -> Change:
    return lambda pair: as_given(recorded(pair.hr, pair.image, SCALE, how, NOISE_SEED))


def _of_lr(change: Callable[[FloatImage], npt.NDArray[np.floating]]) -> Change:
    return lambda pair: np.ascontiguousarray(change(as_given(pair.lr)), np.float32)


def _resized(side: int) -> Change:
    return _of_lr(
        lambda lr: np.asarray(Image.fromarray(lr).resize((side, side), Image.Resampling.BOX))
    )


def _cut(above: float, below: float, aside: float) -> Change:
    def cut(lr: FloatImage) -> FloatImage:
        height, width = lr.shape
        edge = round(aside * width)
        return lr[round(above * height) : height - round(below * height), edge : width - edge]

    return _of_lr(cut)


def _bars(above: float, aside: float) -> Change:
    def barred(lr: FloatImage) -> FloatImage:
        down, across = (
            round(share * side) for share, side in zip((above, aside), lr.shape, strict=True)
        )
        return np.pad(lr, ((down, down), (across, across)))

    return _of_lr(barred)


def _tilted(degrees: float) -> Change:
    return _of_lr(lambda lr: ndimage.rotate(lr, degrees, reshape=False, order=1, mode="nearest"))


# What is usual: nothing is to be told of it.
USUAL: Mapping[str, Change] = {
    **{name: _acquired(how) for name, how in SHOWN.items()},
    "noise 8 at dose 1/20": _acquired(WORST),
    "HR, 1024x1024": lambda pair: as_given(pair.hr),
    "128x128": _resized(128),
    "an eighth cut off left and right": _cut(0, 0, 1 / 8),
    "an eighth cut off above and below": _cut(1 / 8, 1 / 8, 0),
    "a fifth cut off below": _cut(0, 1 / 5, 0),
    "black bars of a tenth left and right": _bars(0, 0.1),
    "black bars of a tenth above and below": _bars(0.1, 0),
    "gamma 0.5": _of_lr(lambda lr: lr ** np.float32(0.5)),
    "gamma 2": _of_lr(lambda lr: lr ** np.float32(2)),
    "tilted by 5 degrees": _tilted(5),
}
# What went wrong, and the words that say so; "" where nothing is made to tell it.
NOISY = "noisier than trained"
WRONG: Mapping[str, tuple[Change, str]] = {
    **{
        f"noise {level}": (_acquired(Acquisition(noise=level)), NOISY) for level in (10, 12, 16, 32)
    },
    "upside down": (_of_lr(lambda lr: np.rot90(lr, 2)), TURNED[2]),
    "turned by 90 degrees clockwise": (_of_lr(lambda lr: np.rot90(lr, 3)), TURNED[1]),
    "turned by 90 degrees anticlockwise": (_of_lr(lambda lr: np.rot90(lr, 1)), TURNED[3]),
    "inverted": (_of_lr(lambda lr: 1 - lr), INVERTED),
    "inverted and upside down": (_of_lr(lambda lr: 1 - np.rot90(lr, 2)), f"{INVERTED} and upside"),
    "inverted, noise 8": (
        lambda pair: np.float32(1) - _acquired(Acquisition(noise=8.0))(pair),
        INVERTED,
    ),
    "96x96": (_resized(96), "small"),
    "64x64": (_resized(64), "small"),
    "a tenth of the contrast": (_of_lr(lambda lr: 0.45 + lr / 10), "hardly any contrast"),
    "the left lung alone": (_of_lr(lambda lr: lr[:, lr.shape[1] // 2 :]), UNLIKE),
    "the lower half alone": (_of_lr(lambda lr: lr[lr.shape[0] // 2 :]), UNLIKE),
    "tilted by 20 degrees": (_tilted(20), ""),
    "tilted by 45 degrees": (_tilted(45), ""),
    "left for right": (_of_lr(lambda lr: lr[:, ::-1]), ""),
    "blurred, 2 LR pixels": (_acquired(Acquisition(blur=2.0)), ""),
    "JPEG 10": (_acquired(Acquisition(jpeg=10)), ""),
}


@dataclass(frozen=True)
class Judged:
    """What is said of a radiograph, as it is usual and as it went wrong.

    Attributes:
        patient: whose it is.
        usual: by `USUAL`; "" for nothing.
        wrong: by `WRONG`; empty if the patient is of the half that was fitted.
    """

    patient: str
    usual: dict[str, str]
    wrong: dict[str, str]


def judged(pair: Pair) -> Judged:
    """Ask of a radiograph what is out of range; of the half that was fitted as ideal LR alone."""
    if fits(pair.patient):
        return Judged(pair.patient, {IDEAL: said_of(as_given(pair.lr))}, {})
    return Judged(
        pair.patient,
        usual(pair).usual,
        {name: said_of(spoil(pair)) for name, (spoil, _) in WRONG.items()},
    )


def usual(pair: Pair) -> Judged:
    """Ask it of a radiograph as it is usual."""
    said = {name: said_of(change(pair)) for name, change in USUAL.items()}
    return Judged(pair.patient, said, {})


def said_of(image: FloatImage) -> str:
    """Return the reasons in one line; "" for none."""
    return "; ".join(reasons(image))


@dataclass(frozen=True)
class Shown:
    """An image that is no radiograph of the data set.

    Attributes:
        group: what it is of.
        name: of the file, or what was made.
        image: float32 `(h, w)` in [0, 1]; None if it was refused.
        refused: why.
    """

    group: str
    name: str
    image: FloatImage | None
    refused: str = ""


# ------------------------------------------------------------------ DICOM

# In pydicom's own test files, what is grey and of one frame, each picture once.
PYDICOM = {
    "693_J2KI.dcm": "CT of a head",
    "J2K_pixelrep_mismatch.dcm": "CT of a head, another",
    "JPEG2000.dcm": "whole-body scintigram",
    "MR_small.dcm": "MR",
    "examples_overlay.dcm": "MR of an abdomen",
    "image_dfl.dcm": "secondary capture",
    "liver_1frame.dcm": "segmentation",
}


def dicom_files(folder: Path) -> Iterator[Shown]:
    """Yield the DICOM files in a folder as `srpipe upscale` reads them.

    What it refuses comes once more, as a picture of its first frame (group "pixels of refused
    DICOM"), if it has one that a decoder reads: so it may come as a PNG.
    """
    for path in sorted(folder.glob("*.dcm")):
        try:
            values = dicom.read(file_bytes(path), path.name).values
        except ImageError as error:
            yield Shown("DICOM", path.name, None, str(error).removeprefix(f"{path.name} "))
            image = _pixels(path)
            if image is not None:
                yield Shown("pixels of refused DICOM", path.name, image)
            continue
        yield Shown("DICOM", path.name, given(values))


def _pixels(path: Path) -> FloatImage | None:
    """Return the first frame of a DICOM file from black to white; None if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            array = np.asarray(dataset.pixel_array, np.float32)
            colours = dataset.get("SamplesPerPixel", 1) > 1
    except dicom.FAULTS:
        return None
    while array.ndim > 2:
        array = array.mean(axis=-1) if colours and array.ndim == 3 else array[0]
    array -= array.min()
    return array / max(float(array.max()), 1e-6)


# ------------------------------------------------------------------ pictures


def pictures() -> Iterator[Shown]:
    """Yield pictures that installed packages bring: of skimage, pydicom, sklearn and matplotlib."""
    yield from _files("photographs and drawings of skimage", "skimage", "data")
    for name, what in PYDICOM.items():
        image = _pixels(_inside("pydicom", "data", "test_files") / name)
        if image is not None:
            yield Shown("other modalities of pydicom", f"{name} ({what})", image)
    group = "not seen before: sklearn, matplotlib, mlflow"
    yield from _files(group, "sklearn", "datasets", "images")
    yield from _files(group, "mlflow", "server", "js", "build", "static", "media")
    sample = _inside("matplotlib", "mpl-data", "sample_data")
    yield from _files(group, "matplotlib", "mpl-data", "sample_data")
    head = np.frombuffer(gzip.decompress((sample / "s1045.ima.gz").read_bytes()), ">u2")
    yield Shown(group, "s1045.ima.gz (MR of a head)", _black_to_white(head.reshape(256, 256)))


def _inside(package: str, *below: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None, f"{package} comes with the environment"
    assert found.origin is not None
    return Path(found.origin).parent.joinpath(*below)


def _files(group: str, package: str, *below: str) -> Iterator[Shown]:
    for path in sorted(_inside(package, *below).iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            image = given(read_values(file_bytes(path), path.name))
        except ImageError as error:
            yield Shown(group, path.name, None, str(error).removeprefix(f"{path.name} "))
            continue
        yield Shown(group, path.name, image)


def _black_to_white(array: npt.NDArray[np.uint16]) -> FloatImage:
    return given(Values(array.astype(np.int32), 0, 65535, 16, ()))


# ------------------------------------------------------------------ made


def made() -> Iterator[Shown]:
    """Yield images that no camera took."""
    grey = np.full((SIDE, SIDE), 0.5, np.float32)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    noise = np.random.default_rng(NOISE_SEED).random((SIDE, SIDE), np.float32)
    white = np.random.default_rng(NOISE_SEED).normal(0.5, 0.1, (SIDE, SIDE)).astype(np.float32)
    for name, image in {
        "constant grey": grey,
        "black": 0 * grey,
        "uniform noise": noise,
        "Gaussian noise, standard deviation 26": np.clip(white, 0, 1),
        "ramp downwards": np.tile(ramp[:, None], SIDE),
        "ramp to the right": np.tile(ramp, (SIDE, 1)),
        "bright disc": _drawn(lambda pen: pen.ellipse((50, 50, 206, 206), 230)),
        "page of text": _drawn(_text, background=255),
        "drawing of two lungs": _drawn(_lungs, background=255),
        "axial slice of a chest, as ellipses": _drawn(_slice),
    }.items():
        yield Shown("made", name, image)


def _drawn(draw: Callable[[ImageDraw.ImageDraw], None], background: int = 0) -> FloatImage:
    canvas = Image.new("L", (SIDE, SIDE), background)
    draw(ImageDraw.Draw(canvas))
    return np.asarray(canvas, np.float32) / np.float32(255)


def _text(pen: ImageDraw.ImageDraw) -> None:
    for line in range(10, SIDE - 20, 14):
        pen.text((12, line), "No acute cardiopulmonary process.", 0)


def _lungs(pen: ImageDraw.ImageDraw) -> None:
    for left in (50, 146):
        pen.ellipse((left, 60, left + 60, 200), None, 0, 3)


def _slice(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((10, 50, 246, 210), 150)
    for left in (30, 146):
        pen.ellipse((left, 70, left + 80, 190), 20)
    pen.ellipse((95, 80, 165, 150), 165)
    pen.ellipse((112, 165, 144, 197), 230)
