"""Lung vessels: two trees that branch from the hila down to below one low-resolution pixel.

Radii shrink by Murray's law (r0^3 = r1^3 + r2^3; C. D. Murray, PNAS 1926) with unequal children.
Branches have directions in three dimensions, so those along the beam show as dots. All branches of
a generation are grown and drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition
from srpipe.phantom.anatomy import Anatomy, lung_outer
from srpipe.phantom.canvas import Frame, Samples, deposit
from srpipe.phantom.seeding import Stream, generator

_KNOTS = 5  # points of a branch's centre line
_GENERATIONS = 11
_ROOT_RADIUS = 4.8  # mm, interlobar artery
# Degrees below the horizontal at which arteries and veins leave the hilum.
_ROOT_ELEVATIONS = (
    -76, -66, -56, -44, -30, -15, 0, 12, 22, 32, 40, 48, 54, 60, 66, 72, 80, -62, 46, 64,
)  # fmt: skip
_SIDE_LOSS = 0.94  # share of the radius left after side branches that are not drawn


@dataclass(frozen=True)
class Branches:
    """One generation of branches.

    Attributes:
        points: (n, 5, 3) centre lines, mm.
        radius: (n,) mm.
    """

    points: FloatArray
    radius: FloatArray


def grow_vessels(
    anatomy: Anatomy, acquisition: Acquisition, seed: int, patient: int
) -> list[Branches]:
    """Return the branches of both lungs, one entry per generation, coarse to fine."""
    rng = generator(seed, Stream.VESSELS, patient)
    roots = [_roots(anatomy, acquisition, side, rng) for side in (-1, 1)]
    start = np.concatenate([r[0] for r in roots])
    heading = np.concatenate([r[1] for r in roots])
    radius = np.concatenate([r[2] for r in roots])
    generations = []
    for _ in range(_GENERATIONS):
        branch = _grow(start, heading, radius, anatomy.lung_height / 240, rng)
        generations.append(branch)
        start, heading, radius = _prune(anatomy, *_split(branch, rng), rng)
    return generations


def project_vessels(generations: list[Branches], frame: Frame) -> FloatArray:
    """Return the projected thickness of all vessels, float32 (size, size), mm."""
    return deposit(frame, [_draw(branch, frame.pitch) for branch in generations])


def _roots(
    anatomy: Anatomy, acquisition: Acquisition, side: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    h = anatomy.lung_height * acquisition.inspiration
    level = (0.47 if side > 0 else 0.50) * h
    elevation = np.deg2rad(_ROOT_ELEVATIONS)
    elevation = elevation + rng.normal(0, 0.12, elevation.size)
    n = elevation.size
    start = np.stack(
        [
            side * (26 + 9 * rng.random(n)),
            level + 16 * np.sin(elevation) + rng.normal(0, 3, n),
            rng.normal(0, 8, n),
        ],
        axis=1,
    )
    heading = np.stack(
        [side * np.cos(elevation), np.sin(elevation), rng.normal(0, 0.25, n)], axis=1
    )
    radius = _ROOT_RADIUS * anatomy.vessel_caliber * rng.uniform(0.45, 1.0, n)
    return start.astype(np.float32), _unit(heading), radius.astype(np.float32)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def _grow(
    start: FloatArray, heading: FloatArray, radius: FloatArray, scale: float,
    rng: np.random.Generator,
) -> Branches:  # fmt: skip
    n = len(start)
    length = scale * (5.5 + 6.2 * radius) * rng.uniform(0.6, 1.5, n)
    bend = rng.normal(0, 0.16, (n, 3)).astype(np.float32)
    points = np.empty((n, _KNOTS, 3), np.float32)
    points[:, 0] = start
    direction = heading
    for knot in range(1, _KNOTS):
        step = (length / (_KNOTS - 1)).astype(np.float32)
        points[:, knot] = points[:, knot - 1] + direction * step[:, None]
        direction = _unit(direction + bend)
    return Branches(points, radius)


def _split(branch: Branches, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    n = len(branch.radius)
    end = branch.points[:, -1]
    heading = _unit(end - branch.points[:, -2])
    sideways = _unit(np.cross(heading, rng.normal(0, (0.6, 0.6, 1.0), (n, 3))).astype(np.float32))
    share = rng.uniform(0.3, 0.7, n).astype(np.float32)  # of r^3 that the first child gets
    first, second = np.cbrt(share), np.cbrt(1 - share)
    # The thinner child turns off more sharply.
    turn = rng.uniform(0.45, 1.0, n).astype(np.float32)
    one = _unit(heading + sideways * (turn * (1 - share))[:, None])
    two = _unit(heading - sideways * (turn * share)[:, None])
    return (
        np.concatenate([end, end]),
        np.concatenate([one, two]),
        np.float32(_SIDE_LOSS) * np.concatenate([branch.radius * first, branch.radius * second]),
    )


def _prune(
    anatomy: Anatomy, start: FloatArray, heading: FloatArray, radius: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Drop branches that leave the lung, and some at random so that the tree is not a fractal."""
    x, y = np.abs(start[:, 0]), start[:, 1]
    kept = (x < lung_outer(anatomy, np.maximum(y, 0)) + 2) & (x > 16) & (y > 2)
    kept &= (y < 1.15 * anatomy.lung_height) & (np.abs(start[:, 2]) < 0.55 * anatomy.lung_depth)
    # Large branches always continue; a fifth of the small ones end.
    kept &= (rng.random(len(radius)) < 0.8) | (radius > 1.2)
    return start[kept], heading[kept], radius[kept]


def _draw(branch: Branches, pitch: float) -> Samples:
    """Sample the branches of a generation along and across."""
    points, radius = branch.points, branch.radius
    length = np.linalg.norm(np.diff(points[:, :, :2], axis=1), axis=2).sum(axis=1)
    total = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1)
    along = max(int(np.ceil(np.percentile(length, 90) / (0.9 * pitch))), 2)
    across = max(int(np.ceil(2 * np.percentile(radius, 90) / (0.8 * pitch))), 1)
    t = (np.arange(along, dtype=np.float32) + 0.5) / along * (_KNOTS - 1)
    left = np.minimum(t.astype(int), _KNOTS - 2)
    part = (t - left)[None, :, None].astype(np.float32)
    spine = points[:, left, :2] * (1 - part) + points[:, left + 1, :2] * part
    # Normals turn smoothly from knot to knot, or the wall of a bent vessel would crack.
    tangent = np.gradient(points[:, :, :2], axis=1)
    at_knots = _unit(np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1))
    normal = at_knots[:, left] * (1 - part) + at_knots[:, left + 1] * part
    s = ((np.arange(across) + 0.5) / across * 2 - 1).astype(np.float32)
    offset = radius[:, None, None, None] * s[None, None, :, None] * normal[:, :, None, :]
    place = spine[:, :, None, :] + offset
    weight = np.sqrt(1 - s * s)
    weight /= weight.sum()
    # A branch along the beam adds up to a dot, but no further than its own calibre allows.
    total = np.minimum(total, 1.4 * length)
    mass = (np.float32(np.pi) * radius**2 * total / along)[:, None, None] * weight[None, None, :]
    mass = np.broadcast_to(mass, place.shape[:3]).astype(np.float32)
    return Samples(place[..., 0], place[..., 1], mass)
