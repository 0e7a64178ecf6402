"""Ribs, clavicles, scapulae, humeri and sternum as tubes with dense cortex.

Ribs follow curves in three dimensions around the thorax, so that their lateral turns, seen end on,
come out bright and their front halves cross the back halves as in a real radiograph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition
from srpipe.phantom.anatomy import Anatomy, lung_outer
from srpipe.phantom.canvas import Samples, smooth_curve, tube
from srpipe.phantom.seeding import Stream, generator

AnyFloat = NDArray[np.floating[Any]]

RIB_PAIRS = 12
_CORTEX = 0.7  # mm
_MARROW = 0.27  # density of marrow bone relative to cortex


def project_ribs(
    anatomy: Anatomy, acquisition: Acquisition, pitch: float, seed: int, patient: int
) -> list[Samples]:
    """Return the mass of all ribs; ``pitch`` (mm per pixel) sets the sampling."""
    rng = generator(seed, Stream.SKELETON, patient)
    parts = []
    for side in (-1, 1):
        for number in range(1, RIB_PAIRS + 1):
            wobble = rng.normal(0, 1, 4)
            curve = _rib_curve(anatomy, acquisition, number, wobble)
            curve[:, 0] *= side
            height = anatomy.rib_half_height * (0.85 if number in (1, 11, 12) else 1.0)
            half_height = height * (1 + 0.04 * wobble[3])
            along = np.linspace(0, 1, len(curve))
            # Slender neck, widest towards the front, rounded end.
            width = half_height * (0.72 + 0.36 * along)
            # The rib is flat: seen edge on at the lateral turn it is half as wide.
            turned = _lateral_share(curve)
            half_width = width * (1 - 0.52 * turned)
            half_depth = 3.5 + (width - 3.5) * turned
            parts.append(
                tube(
                    curve,
                    half_width.astype(np.float32),
                    half_depth.astype(np.float32),
                    pitch,
                    wall=_CORTEX,
                    core=_MARROW,
                    taper=0.06,
                    rounded=True,
                )
            )
    return parts


def _rib_curve(
    anatomy: Anatomy, acquisition: Acquisition, number: int, wobble: AnyFloat
) -> FloatArray:
    """(n, 3) centre line of a rib of the patient's left side, from the spine to the front."""
    end = {1: 150, 2: 152, 10: 118, 11: 78, 12: 52}.get(number, 150 - 3.5 * max(number - 5, 0))
    phi = np.deg2rad(np.linspace(4, end + 3 * wobble[0], 200))
    start = anatomy.rib_spacing * (number - 1.2) * (1 + 0.006 * number)
    drop = (34 + 12.5 * min(number, 7)) * anatomy.rib_drop * (0.8 + 0.2 * acquisition.inspiration)
    fall = 0.5 * (1 - np.cos(phi))
    arch = np.sin(2 * phi) * (phi < np.pi / 2)
    y = start + drop * fall**0.9 - (7 + 0.7 * number + wobble[1]) * arch + 1.2 * wobble[2]
    # Rib n turns where the chest is as wide as it is one drop below; the first ones are small.
    turn = start + 0.5 * drop
    reach = float(lung_outer(anatomy, np.array([max(turn, 6.0)], np.float32))[0]) + 4
    local = lung_outer(anatomy, np.maximum(y, 4).astype(np.float32)) + 4
    radius = 0.5 * reach + 0.5 * np.minimum(local, 1.15 * reach)
    x = 13 * (1 - np.sin(phi)) + radius * np.sin(phi) ** 0.92
    z = -0.5 * anatomy.lung_depth * np.cos(phi)
    return np.stack([x, y, z], axis=1).astype(np.float32)


def _lateral_share(curve: FloatArray) -> FloatArray:
    """0 where a curve lies across the beam, 1 where it runs along the beam."""
    tangent = np.gradient(curve, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    return np.asarray(np.abs(tangent[:, 2]) ** 1.5, np.float32)


def project_shoulders(
    anatomy: Anatomy, acquisition: Acquisition, pitch: float, seed: int, patient: int
) -> list[Samples]:
    """Return the mass of clavicles, scapulae, humeri and sternum."""
    rng = generator(seed, Stream.SKELETON, patient, 0)
    w, drop = anatomy.thorax_half_width, anatomy.shoulder_drop
    parts = []
    for side in (-1, 1):
        tip = (1.22 * w + 4 * rng.normal(), drop - 6 + 3 * rng.normal())
        medial = 30 + 4 * rng.normal() + 0.5 * drop
        clavicle = smooth_curve([
            (15, medial), (0.30 * w, medial - 8), (0.62 * w, 0.5 * (medial + tip[1]) - 9),
            (0.92 * w, tip[1] - 3), tip,
        ])  # fmt: skip
        girth = np.interp(np.linspace(0, 1, 60), [0, 0.12, 0.45, 0.8, 1], [8.5, 6.5, 5.2, 6, 7])
        parts.append(_bone(clavicle, girth, pitch, side, 1.1, 0.14))
        parts += _scapula(w, drop, acquisition.arm_lift, pitch, side, rng)
    breast_bone = smooth_curve([(0, 32), (0, 60), (0, 90), (0, 0.75 * anatomy.lung_height)])
    girth = np.interp(np.linspace(0, 1, 60), [0, 0.2, 0.35, 1], [26, 20, 14, 16])
    parts.append(_bone(breast_bone, girth, pitch, 1, 0.35, 0.1, 4.0))
    return parts


def _bone(
    curve: FloatArray,
    half_width: AnyFloat,
    pitch: float,
    side: int,
    wall: float,
    core: float,
    half_depth: float | None = None,
) -> Samples:
    flipped = np.asarray(curve, np.float32) * np.array([side, 1], np.float32)
    width = np.asarray(half_width, np.float32)
    depth: FloatArray | float = width if half_depth is None else half_depth
    return tube(flipped, width, depth, pitch, wall=wall, core=core, rounded=True)


def _scapula(
    w: float, drop: float, lift: float, pitch: float, side: int, rng: np.random.Generator
) -> list[Samples]:
    """Blade, borders, spine, glenoid, coracoid and the upper humerus of one side."""
    out = (0.06 + 0.24 * lift) * w + 3 * rng.normal()  # lifted arms turn the blade outwards
    joint = (1.18 * w + 0.06 * out, 26 + drop)
    angle = (0.84 * w + out, 138 + drop + 5 * rng.normal())
    upper = (0.66 * w + 0.7 * out, 16 + drop)
    ones = np.ones(60, np.float32)
    blade = smooth_curve([
        (0.5 * (joint[0] + upper[0]), 22 + drop), (0.98 * w + 0.9 * out, 70 + drop), angle,
    ])  # fmt: skip
    blade_width = np.interp(np.linspace(0, 1, 60), [0, 0.5, 1], [0.24 * w, 0.17 * w, 6])
    lateral = smooth_curve([joint, (1.05 * w + 0.8 * out, 70 + drop), angle])
    medial = smooth_curve([upper, (0.72 * w + out, 80 + drop), angle])
    spine = smooth_curve([
        (0.70 * w + 0.7 * out, 30 + drop), (0.95 * w, 12 + drop), (1.22 * w, -4 + drop),
        (1.34 * w, 4 + drop),
    ])  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack([joint[0] + 7 * np.cos(turn), joint[1] + 17 * np.sin(turn)], axis=1)
    hook = smooth_curve([
        (joint[0] - 24, joint[1] - 4), (joint[0] - 15, joint[1] - 13),
        (joint[0] + 1, joint[1] - 11),
    ])  # fmt: skip
    head = (joint[0] + 24, joint[1] + 2)
    shaft = smooth_curve([
        (head[0] - 4, head[1] - 18), (head[0] + 1, head[1] + 4), (head[0] + 8, head[1] + 48),
        (head[0] + 22, head[1] + 150), (head[0] + 34, head[1] + 260),
    ])  # fmt: skip
    girth = np.interp(np.linspace(0, 1, 60), [0, 0.06, 0.14, 0.25, 1], [17, 22, 20, 12.5, 10.5])
    return [
        _bone(blade, blade_width, pitch, side, 0.3, 0.2, 1.6),
        _bone(lateral, 2.6 * ones, pitch, side, 0.8, 0.35),
        _bone(medial, 1.5 * ones, pitch, side, 0.6, 0.4),
        _bone(spine, 5.0 * ones, pitch, side, 0.8, 0.2),
        _bone(ring.astype(np.float32), 1.3 * ones, pitch, side, 0.6, 0.4),
        _bone(hook, 5.0 * ones, pitch, side, 0.7, 0.2),
        _bone(shaft, girth, pitch, side, 1.6, 0.10),
    ]
