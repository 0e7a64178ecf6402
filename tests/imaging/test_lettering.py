"""Letters as coverage: upright or turned, soft or hard, cut off at the edge."""

import numpy as np
import pytest

from srpipe.imaging.lettering import FACES, letter_tile, place


@pytest.mark.parametrize("face", FACES)
def test_every_face_draws_letters_of_the_size_asked_for(face: str) -> None:
    """Ink, fully covered within, about as high as a capital letter of that font size."""
    tile = letter_tile(("L",), (60.0,), face)
    assert tile.dtype == np.float32
    assert (tile.min(), tile.max()) == (0, 1)
    rows = np.flatnonzero(tile.max(axis=1) > 0.5)
    assert 0.6 * 60 < len(rows) < 0.85 * 60


def test_lines_stand_below_each_other() -> None:
    """A tile of two lines is higher, and no wider than the wider one alone."""
    one, other = (letter_tile((text,), (30.0,)) for text in ("PORTABLE", "L"))
    both = letter_tile(("PORTABLE", "L"), (30.0, 30.0))
    assert both.shape[1] == one.shape[1]
    assert max(one.shape[0], other.shape[0]) < both.shape[0] <= one.shape[0] + other.shape[0]


@pytest.mark.parametrize("face", FACES)
def test_turned_and_mirrored_letters(face: str) -> None:
    """A quarter turn counter-clockwise, and a letter that lies face down: but for edges that fall
    otherwise on the pixels, the upright one's.
    """
    tile = letter_tile(("R",), (60.0,), face)
    mirrored = letter_tile(("R",), (60.0,), face, mirrored=True)
    turned = letter_tile(("R",), (60.0,), face, angle=90)
    assert np.abs(mirrored - np.fliplr(tile)).max() < 0.5 < np.abs(mirrored - tile).max()
    assert np.abs(turned - np.rot90(tile)).max() < 0.5


def test_hard_edges_have_no_steps_between() -> None:
    """As older consoles draw: covered or not."""
    soft, hard = (letter_tile(("S",), (40.0,), smooth=smooth) for smooth in (True, False))
    assert set(np.unique(hard)) == {0, 1}
    assert len(np.unique(soft)) > 2


def test_a_stroke_thickens() -> None:
    assert letter_tile(("I",), (40.0,), stroke=2).sum() > 1.3 * letter_tile(("I",), (40.0,)).sum()


@pytest.mark.parametrize(
    ("centre", "kept"),
    [((10, 10), 1.0), ((0, 10), 0.5), ((19.5, 19.5), 0.25), ((-9, 10), 0.0), ((40, 40), 0.0)],
)
def test_a_tile_is_placed_by_its_centre_and_cut_off(
    centre: tuple[float, float], kept: float
) -> None:
    """Column, then row; nothing wraps round."""
    tile = np.ones((6, 8), np.float32)
    image = np.zeros((20, 20), np.float32)
    cover = place(image, tile, centre)
    assert cover.shape == image.shape
    assert cover.sum() == pytest.approx(kept * tile.size, abs=8)
    assert not image.any()
    if kept == 1:
        rows, columns = np.nonzero(cover)
        assert (columns.min(), columns.max(), rows.min(), rows.max()) == (6, 13, 7, 12)


def test_letters_refuse_unknown_faces_and_missing_heights() -> None:
    """The messages say what is allowed."""
    with pytest.raises(ValueError, match="face must be one of"):
        letter_tile(("L",), (20,), "Comic")
    with pytest.raises(ValueError, match="one height for each line"):
        letter_tile(("L", "AB"), (20,))
