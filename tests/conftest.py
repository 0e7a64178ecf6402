"""What tests share: made radiographs, tiny packed data, a browser, and where real material lies."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch is loaded: these tensors are too small for more than one thread to pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from srpipe.data.packed import Packed, Pair, open_packed, write_packed
from srpipe.imaging.resample import downsample

SHARED = Path(__file__).resolve().parents[2] / "shared"
SIZES = ((64, 96), (96, 64), (80, 80), (64, 64), (96, 96), (64, 80))

MakeImage = Callable[[int, int, int], npt.NDArray[np.uint8]]


def _make_image(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((height, width))
    layers = [ndimage.gaussian_filter(noise, sigma) * sigma for sigma in (0.8, 2, 6)]
    image = sum(layers) * 40 + np.linspace(60, 190, height)[:, None]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def make_image() -> MakeImage:
    """Return a function of seed, height and width: fine, middle and coarse texture on a ramp."""
    return _make_image


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return a headless Chromium, Debian's; a second one cannot run beside it in one process.

    The test is skipped, with the reason, where it or playwright is not there.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not there: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        # As root, and in containers, Chromium has no sandbox of its own.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Return six made images of six patients, 64 to 96 px a side, packed at 4x."""
    pairs = []
    for index, (height, width) in enumerate(SIZES):
        hr = _make_image(index, height, width)
        pairs.append(Pair(f"{index}.png", f"p{index}", "", hr, downsample(hr, 4)))
    folder = tmp_path_factory.mktemp("data") / "packed"
    write_packed(folder, pairs, 4)
    return open_packed(folder)


@pytest.fixture(scope="session")
def nih_sample() -> Path:
    """Return the folder of real NIH radiographs; skip where it is not."""
    return _real("SRPIPE_NIH_SAMPLE", SHARED / "nih-sample")


@pytest.fixture(scope="session")
def nih_table() -> Path:
    """Return the NIH's table of all 112,120 images, the edition of 2020; skip where it is not."""
    return _real("SRPIPE_NIH_TABLE", SHARED / "Data_Entry_2017_v2020.csv.gz")


@pytest.fixture(scope="session")
def dicom_sample() -> Path:
    """Return the folder of public DICOM test files; skip where it is not."""
    return _real("SRPIPE_DICOM_SAMPLE", SHARED / "dicom-sample")


@pytest.fixture(scope="session")
def published_checkpoint() -> Path:
    """Return the generator that the public Swift-SRGAN project released; skip where it is not."""
    usual = SHARED / "published-checkpoint" / "netG_4x_epoch5.pth.tar"
    return _real("SRPIPE_PUBLISHED_CHECKPOINT", usual)


def _real(variable: str, usual: Path) -> Path:
    path = Path(os.environ.get(variable) or usual)
    if not path.exists():
        pytest.skip(f"{path} is not there: set {variable} to run this test")
    return path
