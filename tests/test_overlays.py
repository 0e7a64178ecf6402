"""Markers are drawn into a copy of a crop, the same of the same seed, and look like markers."""

import numpy as np
import numpy.typing as npt
import pytest

from srpipe.overlays import SIGNS, WORDS, with_overlay
from srpipe.phantom.lettering import FACES, letter_tile

Grey = npt.NDArray[np.uint8]
SEEDS = range(60)


@pytest.fixture(scope="module")
def crop() -> Grey:
    """Return an even crop, on which whatever is drawn shows."""
    return np.full((144, 128), 110, dtype=np.uint8)


def drawn(crop: Grey, seed: int) -> Grey:
    """Return the crop with the marker of a seed."""
    return with_overlay(crop, np.random.default_rng(seed))


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


def test_one_in_four_is_a_frame(crop: Grey) -> None:
    """An even grey from one side on, over whole rows or columns."""
    frames = 0
    for seed in range(200):
        different = drawn(crop, seed) != crop
        rows, columns = different.all(1), different.all(0)
        frames += bool(rows[0] | rows[-1] | columns[0] | columns[-1])
    assert frames / 200 == pytest.approx(0.25, abs=0.08)


def test_frames_have_sharp_edges_and_soft_ones(crop: Grey) -> None:
    """Soft ones are a ramp of up to 16 pixels, from the side that is covered to what is not."""
    sharp, soft = [], []
    for seed in range(400):
        image = drawn(crop, seed).astype(int)
        for lines in (image, image.T):
            if not (lines == lines[:, :1]).all():
                continue  # not even along the other axis: a text, or the frame of two sides
            line = lines[:, 0]
            steps = np.flatnonzero(np.diff(line))
            if len(steps) > 3:
                soft.append((line, steps))
            elif len(steps):
                sharp.append((line, steps))
    assert len(soft) >= 10
    assert len(sharp) >= 10
    widths = [int(np.ptp(steps)) + 1 for _, steps in soft]
    assert all(4 <= width <= 17 for width in widths)
    assert max(widths) > 9
    for line, _ in soft:
        changes = np.diff(line)
        assert (changes >= 0).all() or (changes <= 0).all()
    for end in (0, -1):  # both sides are covered, some of them
        assert any(line[end] != 110 for line, _ in soft)


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
