"""Markers are drawn into a copy of a crop, the same of the same seed, and look like markers."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import binary_dilation

from srpipe.imaging.lettering import FACES, letter_tile
from srpipe.training.crops import markers
from srpipe.training.crops.markers import SIGNS, WORDS, with_marker

Grey = npt.NDArray[np.uint8]
SEEDS = range(60)


@pytest.fixture(scope="module")
def crop() -> Grey:
    """Return an even crop, on which whatever is drawn shows."""
    return np.full((144, 128), 110, dtype=np.uint8)


def drawn(crop: Grey, seed: int) -> Grey:
    """Return the crop with the marker of a seed."""
    return with_marker(crop, np.random.default_rng(seed))


def test_the_image_given_is_left_alone(crop: Grey) -> None:
    """Of any contiguity; the copy has its shape and type."""
    for image in (crop, crop[::2, ::2], crop.T):
        before = image.copy()
        image.flags.writeable = False
        for seed in range(8):
            found = drawn(image, seed)
            assert (found.shape, found.dtype) == (image.shape, np.uint8)
            assert not np.shares_memory(found, image)
        assert np.array_equal(image, before)


def test_a_seed_is_a_marker(crop: Grey) -> None:
    """The same each time; others differ from it."""
    for seed in range(8):
        assert np.array_equal(drawn(crop, seed), drawn(crop, seed))
    assert len({drawn(crop, seed).tobytes() for seed in SEEDS}) > 0.8 * len(SEEDS)


def test_most_markers_are_seen_and_leave_most_of_the_crop(crop: Grey) -> None:
    """Only where nothing of a text is inside is the crop as it was; texts cover a part of it."""
    changed = [float((drawn(crop, seed) != crop).mean()) for seed in SEEDS]
    assert np.mean([share > 0 for share in changed]) > 0.9
    assert 0.02 < np.median(changed) < 0.5


def framed(image: Grey) -> bool:
    """Say whether whole rows or columns along an edge are drawn on."""
    different = image != 110
    rows, columns = different.all(1), different.all(0)
    return bool(rows[0] | rows[-1] | columns[0] | columns[-1])


def test_one_in_five_is_a_frame(crop: Grey) -> None:
    """An even grey from one side on, over whole rows or columns."""
    frames = sum(framed(drawn(crop, seed)) for seed in range(300))
    assert frames / 300 == pytest.approx(0.2, abs=0.06)


def test_frames_have_sharp_edges_and_soft_ones(crop: Grey) -> None:
    """Soft ones are a ramp of up to 16 pixels, from the side that is covered to what is not."""
    sharp, soft = [], []
    for seed in range(1200):
        image = drawn(crop, seed).astype(int)
        for lines in (image, image.T):
            if not (lines == lines[:, :1]).all():
                continue  # not even along the other axis: a text, or the frame of two sides
            line = lines[:, 0]
            steps = np.flatnonzero(np.diff(line))
            if len(steps) > 4:
                soft.append((line, steps))
            elif len(steps):
                sharp.append((line, steps))
    assert len(soft) >= 10
    assert len(sharp) >= 40
    widths = [int(np.ptp(steps)) + 1 for _, steps in soft]
    assert all(4 <= width <= 17 for width in widths)
    assert max(widths) > 9
    for line, _ in soft:
        changes = np.diff(line)
        assert (changes >= 0).all() or (changes <= 0).all()
    for end in (0, -1):  # both sides are covered, some of them
        assert any(line[end] != 110 for line, _ in soft)


def test_some_frames_are_a_little_askew(crop: Grey) -> None:
    """Their edge goes up or down by at most 3 in 100, some in stairs and some smoothed."""
    rises, levels = [], []
    for seed in range(600):
        image = drawn(crop, seed)
        if not framed(image):
            continue
        upright = image if (image[0] != 110).all() or (image[-1] != 110).all() else image.T
        counts = (upright == 110).sum(0)
        if 0 < counts.min() < counts.max() < counts.min() + 20:
            rises.append(np.ptp(counts) / len(counts))
            levels.append(len(np.unique(upright)))
    assert len(rises) >= 10
    assert max(rises) <= 0.03 + 1 / 128
    assert min(levels) == 2
    assert max(levels) > 10


Drawn = Callable[[np.random.Generator], markers.MarkerStyle]


@pytest.fixture
def change_style(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes all consoles write alike in something, all else as drawn."""
    style: Drawn = markers._style

    def change(**how: object) -> None:
        monkeypatch.setattr(markers, "_style", lambda rng: style(rng)._replace(**how))

    return change


def box(image: Grey) -> tuple[int, int, int, int] | None:
    """Return top, bottom, left and right of what is drawn, if all of it is inside."""
    rows, columns = ((image != 110).any(axis) for axis in (1, 0))
    if not rows.any() or rows[0] | rows[-1] | columns[0] | columns[-1]:
        return None
    down, across = np.flatnonzero(rows), np.flatnonzero(columns)
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def test_letters_are_squeezed(change_style: Callable[..., None]) -> None:
    """As images are that were not square: beside the font's own, widths vary and heights do not."""
    even = np.full((256, 256), 110, dtype=np.uint8)
    squeezed = [box(drawn(even, seed)) for seed in range(150)]
    change_style(squeeze=1.0)
    own = [box(drawn(even, seed)) for seed in range(150)]
    widths, heights = [], []
    for a, b in zip(squeezed, own, strict=True):
        if a and b and a != b:
            heights.append((a[1] - a[0]) / (b[1] - b[0]))
            widths.append((a[3] - a[2]) / (b[3] - b[2]))
    assert len(widths) > 30
    assert np.allclose(heights, 1, atol=0.03)
    assert min(widths) > 0.6
    assert max(widths) < 1.25
    assert np.quantile(widths, 0.1) < 0.85
    assert np.quantile(widths, 0.9) > 1


def around_white(image: Grey) -> float | None:
    """Return the median grey level of the second pixel around what is white, if there is some."""
    white = image > 200
    if white.sum() < 30:
        return None
    near, far = binary_dilation(white), binary_dilation(white, iterations=2)
    return float(np.median(image[far & ~near]))


def test_rims_are_black_and_as_thick_as_they_say(change_style: Callable[..., None]) -> None:
    """Around white letters with a rim it is dark; without a thickness there is the ground."""
    even = np.full((160, 160), 110, dtype=np.uint8)
    texts = [seed for seed in range(150) if np.random.default_rng(seed).random() > 0.28]
    greys: dict[float, list[float]] = {}
    for rim in (0.0, 2.5):
        change_style(kind=markers.RIM, white=1.0, rim=rim)
        found = [around_white(drawn(even, seed)) for seed in texts]
        greys[rim] = [grey for grey in found if grey is not None]
        assert len(greys[rim]) > 50
    assert min(greys[0.0]) > 100
    assert np.mean(np.array(greys[2.5]) < 60) > 0.9


def test_badges_are_white_rings_on_black_discs() -> None:
    """A disc of one piece: from its edge inwards come black, white, and black again."""
    badges = 0
    for seed in range(400):
        image = drawn(np.full((160, 160), 110, dtype=np.uint8), seed).astype(int)
        drawn_on = image != 110
        if framed(image.astype(np.uint8)) or not drawn_on.any():
            continue
        rows, columns = (np.flatnonzero(drawn_on.any(axis)) for axis in (1, 0))
        if min(rows[0], columns[0]) == 0 or max(rows[-1], columns[-1]) == 159:
            continue
        disc = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if (disc != 110).mean() != pytest.approx(np.pi / 4, abs=0.05):
            continue
        across = disc[len(disc) // 2]
        ends = [across, across[::-1]]
        rims = [int(np.argmax(line < 20)) for line in ends]
        rings = [int(np.argmax(line > 150)) for line in ends]
        discs = [
            ring + int(np.argmax(line[ring:] < 20)) for line, ring in zip(ends, rings, strict=True)
        ]
        badges += all(a < b < c for a, b, c in zip(rims, rings, discs, strict=True))
    assert badges >= 6


def test_markers_are_bright_or_dark(crop: Grey) -> None:
    """Both white letters and black outlines occur, with sharp edges and with smooth ones."""
    made = [drawn(crop, seed) for seed in SEEDS]
    assert np.mean([image.max() > 190 for image in made]) > 0.5
    assert np.mean([image.min() < 15 for image in made]) > 0.3
    levels = [len(np.unique(image)) for image in made]
    assert min(levels) <= 3
    assert max(levels) > 30


def test_what_is_not_drawn_on_keeps_its_grey_level() -> None:
    """To the bit: there is no rounding on the way."""
    texture = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    for seed in range(20):
        same = drawn(texture, seed) == texture
        even = drawn(np.full_like(texture, 110), seed) == 110
        assert same[even].mean() > 0.99


@pytest.mark.parametrize("face", FACES)
def test_every_face_can_draw_what_it_is_given(face: str) -> None:
    """Words and letters in each; signs that are no letters in one that has them."""
    for text in {*WORDS, *SIGNS}:
        used = "DejaVuSans-Bold" if ord(text[0]) > 127 else face
        assert letter_tile((text,), (24.0,), used).max() > 0.9, text
    arrows = [letter_tile((sign,), (24.0,), "DejaVuSans-Bold") for sign in SIGNS if ord(sign) > 127]
    assert len({each.tobytes() for each in arrows}) == 4, "no glyph is a box that stands for none"


@pytest.mark.parametrize("shape", [(16, 16), (40, 36), (200, 30)])
def test_crops_of_any_size_are_drawn_on(shape: tuple[int, int]) -> None:
    """Also those that are smaller than the letters."""
    image = np.full(shape, 110, dtype=np.uint8)
    for seed in SEEDS:
        assert drawn(image, seed).shape == shape
