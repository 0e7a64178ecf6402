"""Body outline, lungs, heart, diaphragm, breasts and gas: smooth solids as projected thickness.

Each solid is described by its chord along the beam in mm of water, in closed form, row by row.
Chords of ellipsoids rise like a square root, which is what gives silhouettes their crisp edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition
from srpipe.phantom.anatomy import Anatomy, lung_inner, lung_outer
from srpipe.phantom.canvas import Frame

AnyFloat = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SoftTissue:
    """Projected soft tissue; float32 (size, size), mm.

    Attributes:
        water: water-equivalent thickness of the body, lungs already subtracted.
        air: thickness of lung, from which vessels and parenchymal texture take their strength.
        body: thickness of the body as if it held no air.
    """

    water: FloatArray
    air: FloatArray
    body: FloatArray


def project_soft_tissue(anatomy: Anatomy, acquisition: Acquisition, frame: Frame) -> SoftTissue:
    """Return the smooth part of the body, seen through ``frame``."""
    x, y = frame.grid()
    body = _body(anatomy, x, y)
    air = _lungs(anatomy, acquisition, x, y, _mediastinum(anatomy, acquisition, x, y))
    water = body - np.float32(1 - anatomy.lung_density) * air
    water -= _gas(anatomy, acquisition, x, y)
    return SoftTissue(np.maximum(water, 0), air, body)


def diaphragm_level(anatomy: Anatomy, acquisition: Acquisition, x: FloatArray) -> FloatArray:
    """Return y of the top of the diaphragm, mm, at the positions ``x``."""
    reach = np.float32(anatomy.thorax_half_width)
    level = np.float32(anatomy.lung_height * acquisition.inspiration)
    side = np.abs(x) / reach
    off = side - np.float32(0.46)
    lateral = np.maximum(off, 0) / np.float32(0.54)
    medial = np.maximum(-off, 0) / np.float32(0.46)
    fall = np.float32(anatomy.dome_height) * lateral**2 * (0.35 + 0.65 * lateral * lateral)
    fall += np.float32(0.35 * anatomy.dome_height) * medial * medial
    left = np.clip(x / 40 + np.float32(0.5), 0, 1)
    return np.asarray(level + fall + np.float32(anatomy.left_dome_drop) * left, np.float32)


def ellipsoid(
    x: FloatArray,
    y: FloatArray,
    centre: tuple[float, float],
    radii: tuple[float, float],
    depth: float,
    angle: float = 0.0,
) -> FloatArray:
    """Return the chord, mm, of an ellipsoid of half depth ``depth`` turned by ``angle`` radians."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (c * dx + s * dy) / np.float32(radii[0])
    v = (c * dy - s * dx) / np.float32(radii[1])
    return np.float32(2 * depth) * np.sqrt(np.maximum(1 - u * u - v * v, 0))


def _union(parts: list[FloatArray]) -> FloatArray:
    """Return a smooth maximum: solids that merge without a crease."""
    total = parts[0] ** 2
    total *= total
    for part in parts[1:]:
        squared = part * part
        total += squared * squared
    return np.sqrt(np.sqrt(total))


def _row_profile(y: FloatArray, knots: list[tuple[float, float]]) -> FloatArray:
    at, value = zip(*knots, strict=True)
    curve = PchipInterpolator(at, value)
    return np.asarray(curve(np.clip(y, at[0], at[-1])), np.float32)


def _half_ellipse(x: FloatArray, half_width: AnyFloat, depth: AnyFloat) -> FloatArray:
    u = x / np.maximum(half_width, 1)
    return np.asarray(depth * np.sqrt(np.maximum(1 - u * u, 0)), np.float32)


def _body(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    w, fat, drop = anatomy.thorax_half_width, anatomy.fat, anatomy.shoulder_drop
    height = anatomy.lung_height
    depth = anatomy.lung_depth + 38 + 1.1 * fat
    neck = 50 + 0.25 * fat
    outline = _row_profile(y, [
        (-200, neck + 22), (-130, neck + 14), (-95, neck + 2), (-62, neck + 3),
        (-42 + 0.3 * drop, 0.62 * w + 0.2 * fat), (-22 + 0.6 * drop, 0.98 * w + 0.3 * fat),
        (2 + drop, 1.30 * w + 0.4 * fat), (30 + drop, 1.48 * w + 0.7 * fat),
        (75 + drop, 1.52 * w + 0.8 * fat), (160 + drop, 1.3 * w + fat),
    ])  # fmt: skip
    shoulder_depth = _row_profile(y, [
        (-200, 150), (-110, 145), (-60, 112 + 0.3 * fat), (-10, 112 + 0.5 * fat),
        (45 + drop, 105 + 0.5 * fat), (100 + drop, 52), (170 + drop, 1),
    ])  # fmt: skip
    trunk_width = _row_profile(y, [
        (-60, 0.5 * w), (0, 0.9 * w), (60, 1.06 * w + 0.6 * fat), (0.6 * height, w + 4 + fat),
        (height, 0.98 * w + 4 + fat), (1.6 * height, 0.98 * w + 1.3 * fat),
    ])  # fmt: skip
    trunk_depth = _row_profile(y, [
        (-60, 0), (-20, 0.45 * depth), (60, 0.85 * depth), (0.7 * height, depth),
        (1.6 * height, 1.04 * depth),
    ])  # fmt: skip
    parts = [
        _half_ellipse(x, outline, shoulder_depth),
        _half_ellipse(x, trunk_width, trunk_depth),
    ]
    # The arm hangs from the shoulder; the air wedge between arm and trunk stays dark.
    lean = np.maximum(y - 30, 0) * np.float32(0.10)
    arm_centre = np.float32(1.40 * w + 0.75 * fat) + lean
    arm_width = np.float32(30 + 0.25 * fat) * np.clip((y - drop) / 60, 0, 1)
    parts.append(_half_ellipse(np.abs(x) - arm_centre, arm_width + 1, 2 * arm_width))
    body = _union(parts)
    if anatomy.breast > 0:
        radius = anatomy.breast + 0.2 * fat
        for side in (-1, 1):
            centre = (side * 0.60 * w, 0.74 * height)
            lump = ellipsoid(x, y, centre, (radius * 1.05, radius), 0.30 * radius)
            # Tissue thins upwards, so only the lower fold shows as an edge.
            lump *= np.clip((y - np.float32(centre[1] - 0.9 * radius)) / radius, 0, 1)
            body += lump
    return body


def _mediastinum(
    anatomy: Anatomy, acquisition: Acquisition, x: FloatArray, y: FloatArray
) -> FloatArray:
    """Chord of the heart, great vessels and spine bed, which displace lung."""
    h = anatomy.lung_height * acquisition.inspiration
    w = anatomy.thorax_half_width
    k = anatomy.heart_size * acquisition.heart_zoom * w / 130
    shift, arch = anatomy.heart_side, anatomy.aorta_radius * acquisition.heart_zoom
    deep = 0.43 * anatomy.lung_depth
    centre_y = h - 24 * k
    ascending = 12 + 0.5 * arch
    parts = [
        ellipsoid(x, y, (-9 + shift, centre_y - 16 * k), (35 * k, 62 * k), deep, 0.08),
        ellipsoid(x, y, (26 * k + shift, centre_y), (70 * k, 46 * k), deep, 0.60),
        ellipsoid(x, y, (16 * k + shift, centre_y - 46 * k), (31 * k, 52 * k), 0.8 * deep, -0.22),
        ellipsoid(x, y, (18, 0.36 * h), (1.2 * arch, 1.05 * arch), 0.45 * deep),
        ellipsoid(x, y, (-5, 0.44 * h), (ascending + 9, 0.30 * h), 0.7 * deep, -0.03),
        ellipsoid(x, y, (0, 0.16 * h), (27, 0.5 * h), 0.75 * deep),
        ellipsoid(x, y, (22, 0.72 * h), (0.56 * arch, 0.46 * h), 0.3 * deep, 0.06),
    ]
    return _union(parts)


def _lungs(
    anatomy: Anatomy, acquisition: Acquisition, x: FloatArray, y: FloatArray, inside: FloatArray
) -> FloatArray:
    h = anatomy.lung_height
    side = np.abs(x)
    inner, outer = lung_inner(anatomy, y), lung_outer(anatomy, y)
    u = 2 * (side - inner) / np.maximum(outer - inner, 1) - 1
    squared = u * u
    depth = anatomy.lung_depth * np.sqrt(np.clip(y / (0.42 * h), 0, 1))
    chord = np.asarray(depth, np.float32) * np.sqrt(np.maximum(1 - squared * np.abs(u), 0))
    chord[np.broadcast_to(y <= 0, chord.shape)] = 0
    # The medial surface is not parallel to the beam, so its border is soft but for heart and aorta.
    medial = np.clip((u + 1) / np.float32(0.7), 0, 1)
    chord *= medial * (2 - medial)
    chord = np.maximum(chord - inside, 0)
    below = np.maximum(y - diaphragm_level(anatomy, acquisition, x), 0) / np.float32(50)
    below = 1 - np.minimum(below, 1)
    dome = np.sqrt(1 - below * below)  # the dome fills the depth like a quarter circle
    return np.asarray(np.maximum(chord - dome * chord * np.float32(1.02), 0), np.float32)


def _gas(anatomy: Anatomy, acquisition: Acquisition, x: FloatArray, y: FloatArray) -> FloatArray:
    """Trachea, main bronchi and gastric bubble: air-filled, so thickness to take away."""
    h = anatomy.lung_height * acquisition.inspiration
    carina = 0.40 * h
    centre = np.float32(anatomy.trachea_shift) + np.float32(0.012) * y
    reach = np.clip((np.float32(carina) - y) / 14, 0, 1)
    gas = _half_ellipse(x - centre, np.full_like(y, 9.0), np.float32(17) * reach)
    for side, slope, length in ((-1, 1.15, 40.0), (1, 0.62, 52.0)):
        along = y - np.float32(carina - 8)
        middle = np.float32(anatomy.trachea_shift) + side * along / np.float32(slope)
        tube = _half_ellipse(x - middle, np.full_like(y, 8.0), np.full_like(y, 12.0))
        gas += tube * np.clip(along / 8, 0, 1) * np.clip((length * slope - along) / 20, 0, 1)
    if anatomy.gastric_gas > 0:
        r = anatomy.gastric_gas
        top = (0.5 * anatomy.thorax_half_width, h + anatomy.left_dome_drop + 16 + 0.8 * r)
        bubble = ellipsoid(x, y, top, (1.1 * r, r), 0.3 * r, 0.2)
        if acquisition.view == "PA":  # standing: gas rises above a level of fluid
            bubble *= np.clip((np.float32(top[1] + 0.3 * r) - y) / 2.5 + 0.5, 0, 1)
        gas += bubble
    return gas
