"""Letters as small coverage maps: several typefaces, sizes and orientations."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from srpipe.imaging.arrays import FloatArray

# DejaVu derives from Bitstream Vera, close to the Verdana that many consoles burn in.
FACES = ("DejaVuSans-Bold", "DejaVuSans", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "Pillow")

_OVERSAMPLE = 3


@lru_cache(maxsize=64)
def _font(face: str, pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if face == "Pillow":
        return ImageFont.load_default(size=pixels)
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    return ImageFont.truetype(str(path), pixels)


def letter_tile(
    lines: tuple[str, ...],
    heights: tuple[float, ...],
    face: str = FACES[0],
    *,
    stroke: float = 0.0,
    angle: float = 0.0,
    mirrored: bool = False,
    smooth: bool = True,
) -> FloatArray:
    """Return the coverage, float32 (h, w), 0..1, of centred lines of text.

    Args:
        lines: the text, top to bottom.
        heights: font size of each line in pixels.
        face: one of ``FACES``.
        stroke: thickening of the strokes on every side, pixels.
        angle: rotation of the tile, degrees counter-clockwise.
        mirrored: like a lead letter lying face down.
        smooth: False gives hard stair-stepped edges, as older consoles draw.

    Raises:
        ValueError: ``face`` is unknown, or ``lines`` and ``heights`` differ in length.
    """
    if face not in FACES:
        raise ValueError(f"face must be one of {FACES}, got {face!r}")
    if len(lines) != len(heights) or not lines:
        raise ValueError(f"need one height for each line, got {lines!r} and {heights!r}")
    edge = round(stroke * _OVERSAMPLE)
    fonts = [_font(face, max(round(h * _OVERSAMPLE), 4)) for h in heights]
    boxes = [f.getbbox(t, stroke_width=edge) for f, t in zip(fonts, lines, strict=True)]
    gap = _OVERSAMPLE * 2
    width = int(max(b[2] - b[0] for b in boxes)) + 2 * gap
    height = int(sum(b[3] - b[1] + gap for b in boxes)) + gap
    tile = Image.new("L", (width, height))
    pen = ImageDraw.Draw(tile)
    top = gap
    for text, font, box in zip(lines, fonts, boxes, strict=True):
        left = (width - (box[2] - box[0])) // 2 - box[0]
        pen.text((left, top - box[1]), text, fill=255, font=font, stroke_width=edge)
        top += int(box[3] - box[1]) + gap
    if mirrored:
        tile = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        tile = tile.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    return _shrink(tile, smooth)


def _shrink(tile: Image.Image, smooth: bool) -> FloatArray:
    size = (max(tile.width // _OVERSAMPLE, 1), max(tile.height // _OVERSAMPLE, 1))
    small = np.asarray(tile.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)
    return small if smooth else (small > 0.5).astype(np.float32)


def place(image: FloatArray, tile: FloatArray, centre: tuple[float, float]) -> FloatArray:
    """Return a coverage map of ``image``'s shape with ``tile`` at ``centre`` (column, row).

    What lies outside the image is cut off.
    """
    cover = np.zeros(image.shape, np.float32)
    top = round(centre[1] - tile.shape[0] / 2)
    left = round(centre[0] - tile.shape[1] / 2)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + tile.shape[0], image.shape[0]), min(left + tile.shape[1], image.shape[1])
    if y1 > y0 and x1 > x0:
        cover[y0:y1, x0:x1] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
    return cover
