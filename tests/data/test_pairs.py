"""Every image becomes a pair whose LR image is exactly its HR image made small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srpipe.core.errors import DataError, ImageError
from srpipe.data.pairs import make_pair, to_pair
from srpipe.data.sources.manifest import Entry, checksum, open_source, write_source
from srpipe.formats.raster import encode_png
from srpipe.imaging.resample import downsample
from srpipe.settings.acquisition import IDEAL, Acquisition
from srpipe.settings.downsample import Downsample
from tests.conftest import MakeImage

SETTINGS = Downsample(scale=4, sixteen_bit="minmax", acquisition=IDEAL, seed=0, damaged="refuse")


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(128, 160), (131, 129), (135, 167)])
def test_hr_is_cut_at_the_right_and_at_the_bottom(
    make_image: MakeImage, scale: int, height: int, width: int
) -> None:
    """HR is the image's upper left part, not resampled; LR is what the scorer makes of HR."""
    image = make_image(0, height, width)
    hr, lr = to_pair(image, scale, "x.png")
    assert hr.shape == (height - height % scale, width - width % scale)
    assert np.array_equal(hr, image[: hr.shape[0], : hr.shape[1]])
    assert lr.shape == (hr.shape[0] // scale, hr.shape[1] // scale)
    assert (hr.dtype, lr.dtype) == (np.uint8, np.uint8)
    assert np.array_equal(lr, downsample(hr, scale))


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_shorter_lr_side_is_at_least_16(make_image: MakeImage, scale: int) -> None:
    """16 pixels are enough; with one HR pixel less the image is refused, by name and size."""
    least = 16 * scale
    _, lr = to_pair(make_image(0, least, least + 5), scale, "x.png")
    assert min(lr.shape) == 16
    for height, width in ((least - 1, 300), (300, least - 1)):
        with pytest.raises(ImageError, match=rf"x\.png is {width}x{height} pixels: .* {least}\."):
            to_pair(make_image(0, height, width), scale, "x.png")


@pytest.fixture
def source(tmp_path: Path, make_image: MakeImage) -> tuple[Path, Entry]:
    """Return a listed folder with one image, and its entry."""
    (tmp_path / "own").mkdir()
    data = encode_png(make_image(0, 70, 66))
    (tmp_path / "own" / "a_1.png").write_bytes(data)
    entry = Entry("a_1.png", "a", "test", "a_1.png", len(data), checksum(data))
    (tmp_path / "raw").mkdir()
    write_source(tmp_path / "raw", "folder", str(tmp_path / "own"), [entry])
    return tmp_path, entry


def test_lr_is_recorded_as_the_settings_say(source: tuple[Path, Entry]) -> None:
    """With the noise of the image's name and the seed; HR has none."""
    folder, entry = source
    opened = open_source(folder / "raw")
    noisy = {"acquisition": Acquisition(noise=4.0, jpeg=90)}

    def made(seed: int, name: str = entry.image) -> npt.NDArray[np.uint8]:
        settings = SETTINGS.model_copy(update={**noisy, "seed": seed})
        pair = make_pair(opened, settings, replace(entry, image=name))
        assert np.array_equal(pair.hr, ideal.hr)
        assert pair.lr.dtype == np.uint8
        return pair.lr

    ideal = make_pair(opened, SETTINGS, entry)
    assert np.array_equal(made(0), made(0))
    assert 3 < (made(0).astype(float) - ideal.lr).std() < 7  # the noise, and what JPEG does
    assert not np.array_equal(made(0), made(1))
    assert not np.array_equal(made(0), made(0, "b_1.png"))


def test_a_pair_keeps_who_it_is_of(source: tuple[Path, Entry], make_image: MakeImage) -> None:
    """Name, patient and list go with the pixels."""
    folder, entry = source
    pair = make_pair(open_source(folder / "raw"), SETTINGS, entry)
    assert (pair.image, pair.patient, pair.listed) == ("a_1.png", "a", "test")
    assert np.array_equal(pair.hr, make_image(0, 70, 66)[:68, :64])
    assert pair.lr.shape == (17, 16)


def test_an_image_that_changed_is_refused(source: tuple[Path, Entry]) -> None:
    """What was listed and checked is what is used."""
    folder, entry = source
    path = folder / "own" / "a_1.png"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match=r"a_1\.png changed since it was listed"):
        make_pair(open_source(folder / "raw"), SETTINGS, entry)


def test_sixteen_bit_follows_the_setting(tmp_path: Path) -> None:
    """A dim 16-bit image is stretched with minmax and stays dim with full_range."""
    from PIL import Image

    dim = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(dim).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    entry = Entry("a.png", "a", "", "a.png", len(data), checksum(data))
    (tmp_path / "raw").mkdir()
    write_source(tmp_path / "raw", "folder", str(tmp_path), [entry])
    opened = open_source(tmp_path / "raw")
    maxima = {
        way: int(
            make_pair(opened, SETTINGS.model_copy(update={"sixteen_bit": way}), entry).hr.max()
        )
        for way in ("minmax", "full_range")
    }
    assert maxima == {"minmax": 255, "full_range": round(4095 / 65535 * 255)}
