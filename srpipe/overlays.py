"""Markers drawn into training crops: letters, arrows and frames as consoles burn them in.

A sample of radiographs shows few texts, in few places; the rules of all such markers - two or three
grey levels, strokes of even width, edges that are sharp or, of frames, soft - are simple and can be
drawn as often as one likes. Real markers are in the images anyway; these stand beside them. Fonts
are those that matplotlib and Pillow bring (Pillow's own is close to Helvetica).
"""

import numpy as np
import numpy.typing as npt

from srpipe.phantom.lettering import FACES, letter_tile, place
from srpipe.resample import GreyImage, to_grey

FloatArray = npt.NDArray[np.float32]

WORDS = (
    "PORTABLE", "PORTABLE", "UPRIGHT", "ERECT", "SEMI-ERECT", "SEMI-UPRIGHT", "SUPINE", "AP", "PA",
    "AP UPRIGHT", "PA UPRIGHT", "LEFT", "RIGHT", "EXPIRATION", "SITTING", "DECUB",
)  # fmt: skip
SIGNS = ("L", "L", "L", "R", "R", "\u2190", "\u2191", "\u2192", "\u2193")
LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789:/-"


def with_overlay(image: GreyImage, rng: np.random.Generator) -> GreyImage:
    """Return a copy of a crop `uint8 (H, W)` of a radiograph of about 1024 px with a marker.

    One to three texts, or (one time in four) a frame; often only a part of them is inside.
    """
    drawn = image.astype(np.float32) / np.float32(255)
    if rng.random() < 0.25:
        _frame(drawn, rng)
    else:
        face, style = str(rng.choice(FACES)), int(rng.choice(4, p=(0.45, 0.15, 0.3, 0.1)))
        smooth = bool(rng.random() < 0.75)
        for _ in range(int(rng.integers(1, 4))):
            _write(drawn, rng, face, style, smooth)
    return to_grey(drawn)


def _write(
    image: FloatArray, rng: np.random.Generator, face: str, style: int, smooth: bool
) -> None:
    """Draw a text: outlined in black, with a shadow, plain, or dark on bright."""
    kind = rng.random()
    if kind < 0.3:
        text, height = str(rng.choice(SIGNS)), float(rng.uniform(24, 96))
        face = "DejaVuSans-Bold" if ord(text) > 127 else face
    elif kind < 0.75:
        text, height = str(rng.choice(WORDS)), float(rng.uniform(14, 40))
    else:
        count = int(rng.integers(2, 9))
        text, height = "".join(rng.choice(list(LETTERS), count)), float(rng.uniform(12, 40))
    stroke = float(rng.choice((0, 0, 0.02, 0.04))) * height
    tile = letter_tile((text,), (height,), face, stroke=stroke, smooth=smooth)
    centre = float(rng.uniform(0, image.shape[1])), float(rng.uniform(0, image.shape[0]))
    white = float(rng.choice((1.0, 1.0, rng.uniform(0.75, 1.0))))
    if style == 0:
        width = float(rng.uniform(1.0, 2.5))
        halo = letter_tile((text,), (height,), face, stroke=stroke + width, smooth=smooth)
        _lay(image, halo, centre, float(rng.uniform(0, 0.05)))
    elif style == 1:
        _lay(image, tile, (centre[0] + 2, centre[1] + 2), 0.01)
    _lay(image, tile, centre, 1 - white if style == 3 else white)


def _frame(image: FloatArray, rng: np.random.Generator) -> None:
    """Cover one or two sides with an even grey: softly, sharply, or with a line at the edge."""
    grey = float(rng.choice((0.0, 0.0, rng.uniform(0, 0.1), 1.0)))
    for axis in (0, 1) if rng.random() < 0.4 else (int(rng.integers(2)),):
        length = image.shape[axis]
        edge = int(rng.uniform(0.05, 0.95) * length)
        side = np.s_[:edge] if rng.random() < 0.5 else np.s_[edge:]
        line = np.s_[max(edge - 1, 0) : edge + int(rng.integers(1, 3))]
        across = (slice(None),) * axis
        if rng.random() < 0.2:
            # A collimator's edge or a scanner's, which is not a pixel's width.
            width = float(rng.uniform(2, 16))
            covered = np.clip((edge - np.arange(length)) / width + 0.5, 0, 1).astype(np.float32)
            covered = covered if side.start is None else 1 - covered
            shape = (length, 1) if axis == 0 else (1, length)
            image += covered.reshape(shape) * (np.float32(grey) - image)
            continue
        image[(*across, side)] = grey
        if rng.random() < 0.3:
            image[(*across, line)] = float(rng.uniform(0, 1))


def _lay(image: FloatArray, tile: FloatArray, centre: tuple[float, float], grey: float) -> None:
    image += place(image, tile, centre) * (np.float32(grey) - image)
