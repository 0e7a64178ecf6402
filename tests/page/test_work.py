"""What the page makes of files, one at a time."""

import pytest

pytest.importorskip("starlette", reason="the page needs the extra app")

from app.work import busy, enhance
from srpipe.enhance.upscale import method
from srpipe.formats.raster import encode_png
from tests.conftest import MakeImage


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
