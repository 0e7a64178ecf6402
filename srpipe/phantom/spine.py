"""Vertebrae: bodies with end plates, pedicles, spinous and transverse processes."""

from __future__ import annotations

import numpy as np

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.anatomy import Anatomy
from srpipe.phantom.canvas import Samples, smooth_curve, tube
from srpipe.phantom.seeding import Stream, generator

_FIRST, _LAST = -6, 14  # vertebrae counted from T1 = 0; the first ones are cervical
_TURN = np.linspace(0, 2 * np.pi, 40)


def spine_midline(anatomy: Anatomy, y: FloatArray) -> FloatArray:
    """Return x of the middle of the spine at heights ``y``, mm."""
    return np.asarray(anatomy.scoliosis * np.sin(y / (0.45 * anatomy.lung_height)), np.float32)


def project_spine(anatomy: Anatomy, pitch: float, seed: int, patient: int) -> list[Samples]:
    """Return the mass of the vertebral column."""
    rng = generator(seed, Stream.SKELETON, patient, 1)
    parts: list[Samples] = []
    for level in range(_FIRST, _LAST):
        y = anatomy.rib_spacing * (level - 0.35) * (1 + 0.006 * level)
        x = float(spine_midline(anatomy, np.array([y], np.float32))[0])
        parts += _vertebra(x, y, anatomy.rib_spacing, level, pitch, rng)
    return parts


def _vertebra(
    x: float, y: float, spacing: float, level: int, pitch: float, rng: np.random.Generator
) -> list[Samples]:
    half_height = 0.40 * spacing
    half_width = (10.5 if level < 0 else 12.5) + 0.42 * max(level, 0) + 0.4 * rng.normal()
    waist = 0.88
    sides = np.linspace(-1, 1, 13)
    width = half_width * (waist + (1 - waist) * np.abs(sides) ** 2)
    column = np.stack([np.full(13, x), y + half_height * sides], axis=1)
    parts = [
        tube(column, width.astype(np.float32), 13.0, pitch, wall=0.45, core=0.13, taper=0.03),
    ]
    tilt = 1.2 + 0.8 * rng.random()  # end plates are discs seen slightly from above
    for end in (-1, 1):
        plate = np.stack(
            [x + half_width * np.cos(_TURN), y + end * half_height + tilt * np.sin(_TURN)], axis=1
        )
        parts.append(tube(plate, 0.5, 1.7, pitch))
    for side in (-1, 1):
        pedicle = np.stack(
            [
                x + side * 0.62 * half_width + 2.4 * np.cos(_TURN),
                y - 0.25 * half_height + 4.2 * np.sin(_TURN),
            ],
            axis=1,
        )
        parts.append(tube(pedicle, 0.75, 1.2, pitch))
        reach = half_width + (16 if level < 9 else 9)
        process = smooth_curve(
            [
                (x + side * 0.7 * half_width, y - 0.2 * half_height),
                (x + side * 0.8 * reach, y - 0.5 * half_height),
                (x + side * reach, y - 0.55 * half_height + rng.normal()),
            ],
            20,
        )
        parts.append(tube(process, 3.4, 3.0, pitch, wall=0.5, core=0.25, taper=0.2))
    tip = y + half_height * (0.75 + 0.1 * rng.normal())
    tear = np.stack([x + 2.6 * np.sin(_TURN), tip + 5.5 * np.cos(_TURN)], axis=1)
    parts.append(tube(tear, 0.8, 1.2, pitch))
    return parts
