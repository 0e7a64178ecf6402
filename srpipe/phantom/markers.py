"""Side markers of lead, which lie in the beam, and text that the console burns into the pixels.

Both are sharp and bright, and both weigh heavily in the PSNR of a whole image, so their share, size
and contrast follow the NIH images: lead letters with the technologist's initials in four of five,
burned-in text in about half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from srpipe.imaging.arrays import FloatArray
from srpipe.imaging.lettering import letter_tile, place
from srpipe.phantom.acquisition import View

Style = Literal["outlined", "shadowed", "plain"]

LEAD_SHARE = 0.82
BURNED_SHARE = 0.5

_INITIALS = "ABCDEFGHJKLMNPRSTVW"


@dataclass(frozen=True)
class LeadMarker:
    """A lead letter on a plastic holder. Lengths in pixels of a 1024-pixel image."""

    letter: str
    initials: str
    x: float
    y: float
    height: float
    face: str
    angle: float
    mirrored: bool
    ball: bool
    strength: float


@dataclass(frozen=True)
class BurnedText:
    """One text of the console. Lengths in pixels of a 1024-pixel image."""

    text: str
    x: float
    y: float
    height: float
    face: str
    style: Style
    circled: bool
    smooth: bool
    grey: float


def sample_markers(
    rng: np.random.Generator, view: View
) -> tuple[LeadMarker | None, tuple[BurnedText, ...]]:
    """Draw the markers of one image: the lead marker or None, and the burned-in texts."""
    lead = _sample_lead(rng) if rng.random() < LEAD_SHARE else None
    chance = BURNED_SHARE * (1.5 if view == "AP" else 0.67)
    burned = _sample_burned(rng, view) if rng.random() < chance else ()
    return lead, burned


def lead_thickness(marker: LeadMarker, size: int) -> FloatArray:
    """Return the attenuation that a lead marker adds, float32 (size, size), without unit."""
    scale = size / 1024
    lines: tuple[str, ...] = (marker.letter,)
    heights: tuple[float, ...] = (marker.height * scale,)
    if marker.initials:
        lines, heights = (*lines, marker.initials), (*heights, 0.62 * marker.height * scale)
    tile = letter_tile(
        lines, heights, marker.face, stroke=0.03 * marker.height * scale,
        angle=marker.angle, mirrored=marker.mirrored,
    )  # fmt: skip
    blank = np.zeros((size, size), np.float32)
    thickness = np.float32(marker.strength) * place(
        blank, tile, (marker.x * scale, marker.y * scale)
    )
    holder = np.full((int(tile.shape[0] * 1.35), int(tile.shape[1] * 1.5)), 0.035, np.float32)
    holder[1:-1, 1:-1] = 0.02
    thickness += place(blank, holder, (marker.x * scale, marker.y * scale))
    if marker.ball:
        radius = 0.52 * marker.height * scale
        middle = (marker.x * scale, marker.y * scale - 0.62 * tile.shape[0] - radius)
        tile = _disc(radius, 1.0) * np.float32(0.75 * marker.strength)
        thickness += place(blank, tile, middle)
    return thickness


def burn_in(image: FloatArray, text: BurnedText) -> None:
    """Write ``text`` into ``image``, float32 (size, size), grey levels 0..255, in place."""
    scale = image.shape[0] / 1024
    height = text.height * scale
    centre = (text.x * scale, text.y * scale)
    tile = letter_tile((text.text,), (height,), text.face, smooth=text.smooth)
    if text.circled:
        radius = 0.92 * height
        _lay(image, _disc(radius + 2.2 * scale, 1.0), centre, 4.0)
        _lay(image, _disc(radius, 1.0), centre, text.grey)
        _lay(image, _disc(radius - max(2.2 * scale, 1.0), 1.0), centre, 6.0)
    elif text.style == "outlined":
        halo = letter_tile(
            (text.text,), (height,), text.face, stroke=max(1.6 * scale, 0.4), smooth=text.smooth
        )
        _lay(image, halo, centre, 3.0)
    elif text.style == "shadowed":
        _lay(image, tile, (centre[0] + 2, centre[1] + 2), 2.0)
    _lay(image, tile, centre, text.grey)


def _lay(image: FloatArray, tile: FloatArray, centre: tuple[float, float], grey: float) -> None:
    cover = place(image, tile, centre)
    image += cover * (np.float32(grey) - image)


def _disc(radius: float, softness: float) -> FloatArray:
    reach = int(np.ceil(radius)) + 1
    at = np.arange(-reach, reach + 1, dtype=np.float32)
    distance = np.hypot(at[:, None], at[None, :] * np.float32(1.06))
    cover = (np.float32(radius) - distance) / np.float32(softness) + 0.5
    return np.asarray(np.clip(cover, 0, 1), np.float32)


def _sample_lead(rng: np.random.Generator) -> LeadMarker:
    left = rng.random() < 0.82
    angle = float(rng.choice([0, 0, 0, 90, -90, 180])) + float(rng.normal(0, 14))
    initials = "".join(rng.choice(list(_INITIALS), 2)) if rng.random() < 0.75 else ""
    x = rng.uniform(0.8, 0.98) if left else rng.uniform(0.02, 0.2)
    return LeadMarker(
        letter="L" if left else "R",
        initials=initials,
        x=1024 * float(x),
        y=1024 * float(rng.uniform(0.02, 0.24)),
        height=float(rng.uniform(34, 62)),
        face=str(rng.choice(["DejaVuSans-Bold", "DejaVuSansMono-Bold", "Pillow"])),
        angle=angle,
        mirrored=bool(rng.random() < 0.12),
        ball=bool(rng.random() < 0.25),
        strength=float(rng.uniform(1.8, 5.0)),
    )


def _sample_burned(rng: np.random.Generator, view: View) -> tuple[BurnedText, ...]:
    style: Style = ("outlined", "shadowed", "plain")[int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
    face = str(rng.choice(["DejaVuSans-Bold", "DejaVuSans", "Pillow"], p=[0.6, 0.2, 0.2]))
    smooth = bool(rng.random() < 0.7)
    grey = float(rng.choice([255.0, 250.0, 235.0]))
    words = []
    if view == "AP":
        words.append("PORTABLE")
        words += [w for w in ("AP", _posture(rng), _time(rng)) if rng.random() < 0.5]
    elif rng.random() < 0.35:
        words.append(str(rng.choice(["UPRIGHT", "PA", "ERECT", "PA UPRIGHT", "EXPIRATION"])))
    texts = []
    height = float(rng.uniform(18, 30))
    y = float(rng.uniform(30, 130))
    for word in words:
        x = float(rng.uniform(620, 960) if rng.random() < 0.7 else rng.uniform(60, 400))
        texts.append(BurnedText(word, x, y, height, face, style, False, smooth, grey))
        y += float(rng.uniform(45, 190))
    side_x = float(rng.uniform(860, 1000))
    side_y = float(rng.uniform(30, 420))
    circled = bool(rng.random() < 0.5)
    side_height = float(rng.uniform(30, 38) if circled else rng.uniform(40, 96))
    letter = "L"
    if rng.random() < 0.12:
        letter, side_x = "R", 1024 - side_x
    texts.append(
        BurnedText(letter, side_x, side_y, side_height, face, style, circled, smooth, grey)
    )
    if rng.random() < 0.12:
        arrow = str(rng.choice(["\u2191", "\u2190", "\u2192"]))
        texts.append(
            BurnedText(arrow, side_x - 60, side_y, 60.0, "DejaVuSans-Bold", style, False, smooth,
                       grey)
        )  # fmt: skip
    return tuple(texts)


def _posture(rng: np.random.Generator) -> str:
    return str(rng.choice(["SEMI-ERECT", "AP UPRIGHT", "SUPINE", "UPRIGHT", "SEMI-UPRIGHT"]))


def _time(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(0, 24)):02d}:{int(rng.integers(0, 60)):02d}"
