"""A panel is a picture that opens, of the place where bicubic is worst on anatomy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from srpipe.core.errors import OutputError
from srpipe.evaluation import panels
from srpipe.evaluation.panels import DETAIL, comparison_panel
from srpipe.imaging.resample import GreyImage, bicubic, downsample
from srpipe.metrics.scores import Reference, reference, score
from tests.conftest import MakeImage


def draw(path: Path, against: Reference, **methods: GreyImage) -> None:
    """Draw a panel of bicubic and these methods; without any, of bicubic twice."""
    interpolated = bicubic(against.lr, against.scale)
    images = {"bicubic": interpolated, **(methods or {"SR": interpolated})}
    comparison_panel(
        path,
        "a title",
        against,
        images,
        {name: score(image, against) for name, image in images.items()},
    )


def smooth_with_detail(height: int, width: int, top: int, left: int) -> Reference:
    """Return a flat image with one 32-px patch of fine texture, too faint to be a marker."""
    hr = np.full((height, width), 120, np.uint8)
    patch = np.random.default_rng(0).integers(105, 136, (32, 32))
    hr[top : top + 32, left : left + 32] = patch
    return reference(hr, downsample(hr, 4))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is drawn, in order."""
    images: list[Any] = []
    imshow = Axes.imshow

    def note(axis: Axes, image: Any, *arguments: Any, **more: Any) -> Any:
        images.append(np.array(image))
        return imshow(axis, image, *arguments, **more)

    monkeypatch.setattr(Axes, "imshow", note)
    return images


@pytest.mark.parametrize(("height", "width"), [(64, 64), (200, 96), (240, 320)])
def test_a_panel_is_a_png_of_one_size(
    tmp_path: Path, make_image: MakeImage, height: int, width: int
) -> None:
    """16 x 8.6 inches at 80 dpi, whatever the image's size; 4 more a method."""
    hr = make_image(0, height, width)
    draw(tmp_path / "new" / "panel.png", reference(hr, downsample(hr, 4)))
    with Image.open(tmp_path / "new" / "panel.png") as opened:
        opened.load()
        assert (opened.format, opened.size) == ("PNG", (1280, 688))
    draw(tmp_path / "panel.png", reference(hr, downsample(hr, 4)), pixel=hr, adversarial=hr)
    with Image.open(tmp_path / "panel.png") as opened:
        opened.load()
        assert opened.size == (1600, 688)


def test_the_same_images_give_the_same_bytes(tmp_path: Path, make_image: MakeImage) -> None:
    """DVC sees a change only where something changed."""
    hr = make_image(0, 96, 64)
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, reference(hr, downsample(hr, 4)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_detail_is_where_bicubic_is_worst(tmp_path: Path, shown: list[Any]) -> None:
    """The square that all four details show holds the only texture there is."""
    against = smooth_with_detail(400, 480, top=300, left=40)
    draw(tmp_path / "panel.png", against)
    lr, interpolated, sr, hr = shown[:4]
    assert lr.shape == (DETAIL // 4, DETAIL // 4)
    assert interpolated.shape == sr.shape == hr.shape == (DETAIL, DETAIL)
    assert np.count_nonzero(hr != 120) == np.count_nonzero(against.hr != 120)


def test_details_are_of_one_place(tmp_path: Path, shown: list[Any], make_image: MakeImage) -> None:
    """LR, bicubic, SR and HR are cut from the same square, and whole errors follow."""
    hr = make_image(3, 320, 400)
    against = reference(hr, downsample(hr, 4))
    sr = make_image(4, 320, 400)
    draw(tmp_path / "panel.png", against, SR=sr)
    windows = np.lib.stride_tricks.sliding_window_view(against.hr, (DETAIL, DETAIL))[::4, ::4]
    ((row, column),) = np.argwhere((windows == shown[3]).all(axis=(2, 3)))
    here = np.s_[row * 4 : row * 4 + DETAIL, column * 4 : column * 4 + DETAIL]
    assert np.array_equal(shown[1], bicubic(against.lr, 4)[here])
    assert np.array_equal(shown[2], sr[here])
    side = DETAIL // 4
    assert np.array_equal(shown[0], against.lr[row : row + side, column : column + side])
    assert np.array_equal(shown[4], hr)
    assert np.allclose(shown[6], np.abs(sr / 255 - hr / 255))


def test_each_method_has_its_detail_and_its_error(
    tmp_path: Path, shown: list[Any], make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order given; the last map compares the last method with bicubic."""
    hr, pixel, adversarial = (make_image(seed, 64, 80) for seed in (3, 4, 5))
    captions: list[str] = []
    monkeypatch.setattr(panels, "_finish", lambda _, caption: captions.append(caption))
    against = reference(hr, downsample(hr, 4))
    draw(tmp_path / "panel.png", against, pixel=pixel, adversarial=adversarial)
    errors = [
        np.abs(image / 255 - hr / 255) for image in (bicubic(against.lr, 4), pixel, adversarial)
    ]
    assert len(shown) == 10
    for drawn, error in zip(shown[6:9], errors, strict=True):
        assert np.allclose(drawn, error)
    assert np.allclose(shown[9], errors[0] - errors[2])
    distance = score(adversarial, against).content_distance
    assert captions[3].startswith("adversarial: ")
    assert captions[3].endswith(f"content distance {distance:.2f}")
    assert captions[6:9] == [
        f"|{name} - HR|, whole" for name in ("bicubic", "pixel", "adversarial")
    ]
    assert captions[9].startswith("adversarial: ")


def test_markers_do_not_draw_the_detail(tmp_path: Path, shown: list[Any]) -> None:
    """Burned-in text is where bicubic is worst of all, and is not what a reader wants to see."""
    against = smooth_with_detail(400, 480, top=300, left=40)
    hr = against.hr.copy()
    hr[20:60:4, 400:460] = 255
    draw(tmp_path / "panel.png", reference(hr, downsample(hr, 4)))
    assert shown[3].max() < 255
    assert np.ptp(shown[3]) > 0


@pytest.mark.parametrize("value", [0, 120, 255])
def test_a_constant_image_can_be_drawn(tmp_path: Path, value: int) -> None:
    """No division by a range of zero."""
    hr = np.full((64, 96), value, np.uint8)
    draw(tmp_path / "panel.png", reference(hr, downsample(hr, 4)))
    assert (tmp_path / "panel.png").is_file()


def test_hardest_finds_the_square_by_brute_force() -> None:
    """The running sums give what summing every square gives."""
    error = np.random.default_rng(0).random((40, 56))
    for side, step in ((8, 4), (16, 2), (40, 4)):
        top, left = panels._hardest(error, side, step)
        places = [(y, x) for y in range(0, 41 - side, step) for x in range(0, 57 - side, step)]
        best = max(places, key=lambda at: error[at[0] : at[0] + side, at[1] : at[1] + side].sum())
        assert (top, left) == best


def test_a_panel_that_cannot_be_written_is_told(tmp_path: Path, make_image: MakeImage) -> None:
    """The message names the file."""
    (tmp_path / "file").write_text("")
    hr = make_image(0, 64, 64)
    with pytest.raises(OutputError, match=r"panel\.png"):
        draw(tmp_path / "file" / "panel.png", reference(hr, downsample(hr, 4)))
