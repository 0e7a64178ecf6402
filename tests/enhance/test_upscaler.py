"""One call for every kind of image, and the same kind comes out."""

import doctest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import Dataset, dcmread

from srpipe.core.errors import ImageError
from srpipe.enhance import upscaler as module
from srpipe.enhance.upscale import method, upscale, upscale_file, upscale_values
from srpipe.enhance.upscaler import Upscaler
from srpipe.formats.raster import Values
from tests.conftest import MakeImage
from tests.enhance.generators import save_swift
from tests.formats.radiographs import encoded, radiograph, stored
from tests.formats.written import colour_profile, grey_profile


def test_the_examples_run() -> None:
    """Those of the class."""
    done = doctest.testmod(module)
    assert done.attempted >= 9
    assert done.failed == 0


def test_arrays(ours: Path, make_image: MakeImage) -> None:
    """uint8 is `upscale`; uint16 is a file's 16 bits; floats are what the network makes of them."""
    upscaler = Upscaler(ours, device="cpu")
    lr = make_image(0, 20, 24)
    assert upscaler.scale == 4
    assert np.array_equal(upscaler(lr), upscale(lr, ours, device="cpu"))
    deep = stored(16).astype(np.uint16)
    wanted = upscale_values(Values(deep, 0, 65535, 16, ()), method(ours, device="cpu"))
    found = upscaler(deep)
    assert (found.dtype, np.array_equal(found, wanted)) == (np.uint16, True)
    floats = upscaler(lr.astype(np.float32) / np.float32(255))
    assert floats.dtype == np.float32
    assert np.abs(floats * 255 - upscaler(lr)).max() <= 0.5 + 1e-3
    double = upscaler(lr / 255)
    assert double.dtype == np.float64
    assert np.abs(double - floats).max() < 1e-6


def test_settings_are_followed(ours: Path, make_image: MakeImage) -> None:
    lr = make_image(0, 40, 24)
    for more in ({"consistent": True}, {"precision": "bf16"}, {"tile": 16}):
        options: dict[str, Any] = {"device": "cpu", **more}
        assert np.array_equal(Upscaler(ours, **options)(lr), upscale(lr, ours, **options))
    mixed = Upscaler(alpha=1, device="cpu")(lr)
    assert np.array_equal(mixed, upscale(lr, "plain_sr_x4_adversarial", device="cpu"))


def test_pictures(ours: Path, make_image: MakeImage) -> None:
    """Grey PIL images of 8 and 16 bits, with their resolution."""
    upscaler = Upscaler(ours, device="cpu")
    for array in (make_image(0, 20, 24), stored(16).astype(np.uint16)):
        image = Image.fromarray(array)
        image.info |= {"dpi": (254, 127), "icc_profile": grey_profile()}
        made = upscaler(image)
        assert (made.mode, made.info["dpi"]) == (image.mode, (1016, 508))
        assert made.info["icc_profile"] == grey_profile()
        assert np.array_equal(np.asarray(made), upscaler(array))
        image.info["icc_profile"] = colour_profile()
        assert "icc_profile" not in upscaler(image).info


@pytest.mark.parametrize("axes", [(), (1,), (2, 1)])
def test_tensors(ours: Path, make_image: MakeImage, axes: tuple[int, ...]) -> None:
    """Of any leading axes: each image is that of the array."""
    upscaler = Upscaler(ours, device="cpu")
    lr = make_image(0, 20, 24).astype(np.float32) / np.float32(255)
    made = upscaler(torch.from_numpy(lr).expand(*axes, 20, 24))
    assert (made.shape, made.dtype) == ((*axes, 80, 96), torch.float32)
    assert np.array_equal(made.reshape(-1, 80, 96)[-1].numpy(), upscaler(lr))


def test_datasets(
    ours: Path, make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A derived image, that of the file; a dataset that is no file is told."""
    monkeypatch.chdir(tmp_path)
    Path("in.dcm").write_bytes(encoded(radiograph(stored(12), 12)))
    upscale_file(Path("in.dcm"), Path("out.dcm"), method(ours, device="cpu"))
    wanted, given = dcmread("out.dcm"), dcmread("in.dcm")
    made = Upscaler(ours, device="cpu")(given)
    assert isinstance(made, Dataset)
    assert made.PixelData == wanted.PixelData
    assert (made.SOPInstanceUID, made.ImageType) == (wanted.SOPInstanceUID, wanted.ImageType)
    assert (given.Rows, made.Rows) == (20, 80)
    with pytest.raises(ImageError, match="Give one that was read from a file"):
        Upscaler(ours, device="cpu")(Dataset())


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((20, 20), np.float16), r"float16 of shape \(20, 20\): give .* or float64 in"),
        (np.zeros((20, 20, 3), np.uint8), r"uint8 of shape \(20, 20, 3\)"),
        (np.zeros((20, 15), np.float32), "15x20 pixels: both sides"),
        (np.zeros((20, 15), np.uint8), "15x20 pixels: both sides"),
        (np.full((20, 20), 1.5, np.float32), "from 1.5 to 1.5: floats must be in"),
        (np.full((20, 20), 1e300), r"from 1e\+300 to 1e\+300: floats must be in"),
        (np.full((20, 20), np.nan, np.float32), "from nan to nan"),
        (Image.new("RGB", (20, 20)), "of the mode RGB: give L or I;16"),
        (torch.zeros(20), r"of shape \(20,\): give"),
        ("a.png", "an image is str: give a numpy array"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_another_kind_is_refused(ours: Path, image: Any, told: str) -> None:
    """In one message; nothing is converted in silence."""
    with pytest.raises(ImageError, match=told):
        Upscaler(ours, device="cpu")(image)


def test_threads_share_one(make_image: MakeImage, tmp_path: Path) -> None:
    """Eight at once, over and over, get what one gets: also of BatchNorm, which has two modes."""
    upscaler = Upscaler(save_swift(tmp_path / "swift.pt"), device="cpu", tile=16)
    images = [make_image(seed, 20, 24) for seed in range(4)]
    wanted = [upscaler(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: upscaler(images[index % 4]), range(32)))
    for index, sr in enumerate(found):
        assert np.array_equal(sr, wanted[index % 4])
