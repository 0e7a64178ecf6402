"""What the page makes of files, one at a time."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the page needs the extra app")

from app.work import Result, busy, compare, enhance, figures
from srpipe.core.errors import ImageError
from srpipe.enhance import batch
from srpipe.enhance.provenance import AGAIN
from srpipe.enhance.upscale import method
from srpipe.formats.raster import encode_png
from srpipe.imaging.resample import bicubic, downsample
from tests.conftest import MakeImage
from tests.formats.radiographs import encoded, radiograph


def test_who_comes_second_can_tell_that_it_waits(make_image: MakeImage) -> None:
    """While an image is enhanced, and no longer when that is given up."""
    found = []

    def give_up(done: int, of: int) -> None:
        found.append((done, of, busy()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance(
            encode_png(make_image(0, 32, 32)),
            "a.png",
            method("plain_sr_small_x4", device="cpu"),
            give_up,
        )
    assert found == [(0, 1, True)]
    assert not busy()


@pytest.mark.parametrize("deep", [False, True])
def test_figures_are_those_of_the_report(tmp_path: Path, make_image: MakeImage, deep: bool) -> None:
    """Of 8 bits and of more; bicubic's are of the same depth."""
    lr = make_image(0, 64, 64)
    data = encoded(radiograph(16 * lr.astype(np.uint16), 12)) if deep else encode_png(lr)
    name = "a.dcm" if deep else "a.png"
    used = method("plain_sr_small_x4", device="cpu")
    shown = figures(enhance(data, name, used))["LR-PSNR"]
    source = tmp_path / name
    source.write_bytes(data)
    (row,) = batch.enhance([(source, tmp_path / "out" / name)], used, figures=True)
    assert shown["SR"] == row.lr_psnr
    back = downsample(bicubic(lr, 4), 4).astype(float)
    known = 20 * np.log10(255 / np.sqrt(((back - lr) ** 2).mean()))
    assert shown["bicubic"] == pytest.approx(known, abs=0.5 if deep else 1e-4)


def test_a_result_that_is_shown_is_told(make_image: MakeImage) -> None:
    """As the command tells it."""
    used = method("plain_sr_small_x4", device="cpu")
    made = enhance(encode_png(make_image(0, 32, 32)), "a.png", used)
    assert AGAIN not in made.unusual
    assert AGAIN in enhance(made.encode(), "b.png", used).unusual
    assert AGAIN in compare(made.encode(), "b.png", used).unusual


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_result_comes_before_its_interval(make_image: MakeImage, suffix: str) -> None:
    """The same pictures, scores and file; then the interval is added."""
    buffer = io.BytesIO()
    Image.fromarray(make_image(0, 64, 48)).save(buffer, Image.registered_extensions()[suffix])
    used = method("plain_sr_x4", device="cpu", interval=True)
    first: list[Result] = []
    made = enhance(buffer.getvalue(), f"a{suffix}", used, early=first.append)
    assert [each.half_width for each in first] == [None]
    assert made.half_width is not None
    assert made.half_width.shape == made.sr.shape
    assert np.array_equal(first[0].sr, made.sr)
    assert figures(first[0]) == figures(made)
    assert first[0].encode() == made.encode()
    assert made.suffix == suffix


@pytest.mark.parametrize("work", [enhance, compare])
def test_a_refused_upload_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch, work: Callable[..., Result]
) -> None:
    """Whether it is a result is asked of what was accepted alone."""
    looked: list[Any] = []
    monkeypatch.setattr("app.work.said_in", looked.append)
    bomb = radiograph(np.zeros((20, 20)), 8, Rows=65535, Columns=65535)
    used = method("plain_sr_small_x4", device="cpu")
    with pytest.raises(ImageError, match="too many pixels"):
        work(encoded(bomb), "a.dcm", used)
    assert not looked
    work(encoded(radiograph(np.zeros((64, 64)), 8)), "a.dcm", used)
    assert len(looked) == 1
