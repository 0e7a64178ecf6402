"""Synthetic markers for training crops: letters, badges and frames as consoles burn them in.

A sample of radiographs shows few texts, in few places, but all such markers follow simple rules -
two or three grey levels, strokes of even width, edges that are sharp or, for frames, soft - and can
be drawn in any number. They are added to the real markers in the images.

Real markers are burned in at a detector's size and aspect and resized to 1024x1024 with the image,
so letters are drawn large here, too, and squeezed. Fonts are those of `imaging.lettering`.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from srpipe.imaging.arrays import FloatArray, GreyImage
from srpipe.imaging.lettering import FACES, letter_tile, place
from srpipe.imaging.resample import to_grey

WORDS = (
    "PORTABLE", "PORTABLE", "UPRIGHT", "ERECT", "SEMI-ERECT", "SEMI-UPRIGHT", "SUPINE", "AP", "PA",
    "AP UPRIGHT", "PA UPRIGHT", "LEFT", "RIGHT", "EXPIRATION", "SITTING", "DECUB",
)  # fmt: skip
SIGNS = ("L", "L", "L", "R", "R", "\u2190", "\u2191", "\u2192", "\u2193")
LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789:/-"

# Most consoles use a similar typeface.
CONSOLE_FACE = FACES[0]
# Kernels with which images are resized. The last two ring at edges, as in real images: coverage
# leaves 0..1 a little, and is clipped with the grey levels at the end.
KERNELS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
# White letters with a black rim, with a black shadow, or plain; black letters.
RIM, SHADOW, PLAIN, DARK = range(4)
# Empty pixels around a badge, for the resampling kernel.
BORDER = 3


class MarkerStyle(NamedTuple):
    """A console's style, shared by its texts.

    `face` is one of FACES, `kind` one of RIM, SHADOW, PLAIN and DARK. `rim` (thickness) and
    `shadow` (down and to the right) are in pixels of the crop. `white` and `black` are the grey
    levels of letters and their surroundings, 0 to 1. `native` is how many times larger letters are
    drawn, with edges that are `smooth` or stepped, before `kernel` resizes them; `squeeze` is their
    width over the font's.
    """

    face: str
    kind: int
    rim: float
    shadow: int
    white: float
    black: float
    smooth: bool
    native: float
    squeeze: float
    kernel: Image.Resampling


def with_marker(image: GreyImage, rng: np.random.Generator) -> GreyImage:
    """Return a copy of a crop `uint8 (H, W)` of a radiograph of about 1024 px with markers.

    One or two texts in one style, a badge (8 times in 100), or a frame (20 times); often only
    partly inside.
    """
    drawn = image.astype(np.float32) / np.float32(255)
    kind = rng.random()
    if kind < 0.2:
        _frame(drawn, rng)
    elif kind < 0.28:
        _badge(drawn, rng)
    else:
        style = _style(rng)
        for _ in range(int(rng.choice((1, 1, 2)))):
            _write(drawn, rng, style)
    return to_grey(drawn)


def _style(rng: np.random.Generator) -> MarkerStyle:
    return MarkerStyle(
        face=CONSOLE_FACE if rng.random() < 0.5 else str(rng.choice(FACES)),
        kind=int(rng.choice(4, p=(0.6, 0.1, 0.2, 0.1))),
        rim=float(rng.uniform(0.8, 2.5)),
        shadow=int(rng.integers(1, 3)),
        white=float(rng.choice((1.0, 1.0, 1.0, rng.uniform(0.75, 1.0)))),
        black=float(rng.choice((0.0, 0.0, rng.uniform(0, 0.1)))),
        smooth=bool(rng.random() < 0.6),
        native=float(rng.uniform(1.3, 2.3)),
        squeeze=float(rng.uniform(0.65, 1.15)),
        kernel=KERNELS[int(rng.integers(len(KERNELS)))],
    )


def _write(image: FloatArray, rng: np.random.Generator, style: MarkerStyle) -> None:
    """Draw a text: a sign, a word, or random letters."""
    kind, face = rng.random(), style.face
    if kind < 0.2:
        text, height = str(rng.choice(SIGNS)), float(rng.uniform(24, 96))
        face = CONSOLE_FACE if ord(text) > 127 else face
    elif kind < 0.65:
        text, height = str(rng.choice(WORDS)), float(rng.uniform(14, 36))
        text = text.capitalize() if rng.random() < 0.2 else text
    else:
        count = int(rng.integers(2, 9))
        text, height = "".join(rng.choice(list(LETTERS), count)), float(rng.uniform(12, 40))
    stroke = float(rng.choice((0, 0, 0.02, 0.04))) * height * style.native
    heights = (height * style.native,)
    large = letter_tile((text,), heights, face, stroke=stroke, smooth=style.smooth)
    phase = float(rng.random()), float(rng.random())
    centre = float(rng.uniform(0, image.shape[1])), float(rng.uniform(0, image.shape[0]))
    if style.kind == RIM:
        thick = stroke + style.rim * style.native
        around = letter_tile((text,), heights, face, stroke=thick, smooth=style.smooth)
        # Letters are centred in their rim, so that both are resized alike.
        large = place(around, large, (around.shape[1] / 2, around.shape[0] / 2))
        rim = _to_size(around, style.native, style.squeeze, style.kernel, phase)
        _lay(image, rim, centre, style.black)
    tile = _to_size(large, style.native, style.squeeze, style.kernel, phase)
    if style.kind == SHADOW:
        _lay(image, tile, (centre[0] + style.shadow, centre[1] + style.shadow), style.black)
    _lay(image, tile, centre, 1 - style.white if style.kind == DARK else style.white)


def _to_size(
    tile: FloatArray,
    native: float,
    squeeze: float,
    kernel: Image.Resampling,
    phase: tuple[float, float],
) -> FloatArray:
    """Return a tile resized to the crop's scale, at a subpixel offset `phase`, 0 to 1."""
    down, across = native, native / squeeze
    high, wide = (
        int(np.ceil(n / by)) + 1 for n, by in zip(tile.shape, (down, across), strict=True)
    )
    room = int(np.ceil(2 * max(down, across)))
    top, left = room - phase[0] * down, room - phase[1] * across
    box = (left, top, left + wide * across, top + high * down)
    return np.asarray(Image.fromarray(np.pad(tile, room)).resize((wide, high), kernel, box))


def _badge(image: FloatArray, rng: np.random.Generator) -> None:
    """Draw a letter in a ring, white on a black disc with a black rim.

    In squeezed images rings are ellipses: width and height are 30 to 64 px, drawn independently.
    The letter scales with the height only and may stick out of a narrow ring.
    """
    high, wide = rng.uniform(30, 64, 2)
    native = float(rng.uniform(2, 4))
    rim, ring = float(rng.uniform(1, 3)) * native, float(rng.uniform(1.5, 3.5)) * native
    size = int(wide * native) + 2 * (BORDER + 1), int(high * native) + 2 * (BORDER + 1)
    outer, inner = Image.new("L", size), Image.new("L", size)
    # Pillow's boxes include their last pixel.
    box = float(BORDER), float(BORDER), size[0] - BORDER - 1.0, size[1] - BORDER - 1.0
    ImageDraw.Draw(outer).ellipse(box, fill=255)
    shrunk = (box[0] + rim, box[1] + rim, box[2] - rim, box[3] - rim)
    ImageDraw.Draw(inner).ellipse(shrunk, outline=255, width=round(ring))
    letter = str(rng.choice(("L", "L", "R")))
    face = str(rng.choice(("DejaVuSans", "DejaVuSans-Bold", "Pillow")))
    tile = letter_tile((letter,), (float(rng.uniform(0.35, 0.6)) * high * native,), face)
    slant = float(rng.choice((0.0, rng.uniform(0, 0.3))))
    lean = tile.shape[0] * slant
    wider = Image.fromarray(np.pad(tile, ((0, 0), (0, int(lean) + 1))))
    shear = (1, slant, -lean, 0, 1, 0)
    bilinear = Image.Resampling.BILINEAR
    sheared = wider.transform(wider.size, Image.Transform.AFFINE, shear, bilinear)
    white = np.asarray(inner, np.float32) / np.float32(255)
    white = np.maximum(white, place(white, np.asarray(sheared), (size[0] / 2, size[1] / 2)))
    kernel = _style(rng).kernel  # the rest of a style has no effect here
    phase = float(rng.random()), float(rng.random())
    centre = float(rng.uniform(0, image.shape[1])), float(rng.uniform(0, image.shape[0]))
    black = np.asarray(outer, np.float32) / np.float32(255)
    for tile, grey in ((black, 0.0), (white, 1.0)):
        _lay(image, _to_size(tile, native, 1.0, kernel, phase), centre, grey)


def _frame(image: FloatArray, rng: np.random.Generator) -> None:
    """Cover one or two sides with a uniform grey, with a soft or sharp edge or a line."""
    grey = float(rng.choice((0.0, 0.0, rng.uniform(0, 0.1), 1.0)))
    for axis in (0, 1) if rng.random() < 0.4 else (int(rng.integers(2)),):
        length, along = image.shape[axis], image.shape[1 - axis]
        edge = float(rng.uniform(0.05, 0.95) * length)
        # Most frames are straight; those of scanners are askew by up to 1.7 degrees.
        slope = float(rng.uniform(-0.03, 0.03)) if rng.random() < 0.3 else 0.0
        # Edges of collimators and scanners are wider than a pixel.
        soft = rng.random() < 0.2
        width = float(rng.uniform(2, 16)) if soft else 1.0
        # Distance of pixel centres from the edge, above 0 where nothing is covered.
        far = np.arange(length)[:, None] - edge - slope * (np.arange(along) - along / 2)
        if not soft and rng.random() < 0.7:
            far = np.floor(far) + 0.5  # not smoothed: stepped where it is askew
        if rng.random() < 0.5:
            far = -far
        covered = np.clip(0.5 - far / width, 0, 1).astype(np.float32)
        line = np.clip(1.5 - np.abs(far - 1), 0, 1).astype(np.float32)
        if axis == 1:
            covered, line = covered.T, line.T
        image += covered * (np.float32(grey) - image)
        if not soft and rng.random() < 0.3:
            image += line * (np.float32(rng.uniform(0, 1)) - image)


def _lay(image: FloatArray, tile: FloatArray, centre: tuple[float, float], grey: float) -> None:
    image += place(image, tile, centre) * (np.float32(grey) - image)
