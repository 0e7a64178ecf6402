"""The image plane: millimetres to pixels, and the deposit of mass along curves.

Everything thin (bone, vessels, wires) is drawn by *depositing mass*: a curve with a cross-section
is cut into small samples, each carrying a volume in mm^3, and each sample is shared between its
four nearest pixels. The sum divided by the pixel area is the projected thickness in mm, exactly the
line integral that an X-ray sees, so overlaps add and tubes that run along the beam turn bright.
Structures narrower than a pixel keep their true mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srpipe.imaging.arrays import FloatArray

_PIECE = 1 << 15  # samples deposited at a time


class Samples(NamedTuple):
    """Points in the patient frame that carry mass; three arrays of one shape.

    Attributes:
        x: mm.
        y: mm.
        mass: mm^3, or any unit of density times mm^3.
    """

    x: FloatArray
    y: FloatArray
    mass: FloatArray


@dataclass(frozen=True)
class Frame:
    """Maps the patient frame (mm) to pixels of a square image.

    Attributes:
        size: side of the image in pixels.
        field_mm: side of the image in mm.
        centre_x: patient x at the image centre, mm.
        centre_y: patient y at the image centre, mm.
        tilt: sideways shift per mm of height (the patient leans).
    """

    size: int
    field_mm: float
    centre_x: float
    centre_y: float
    tilt: float

    @property
    def pitch(self) -> float:
        """Pixel side in mm."""
        return self.field_mm / self.size

    def grid(self) -> tuple[FloatArray, FloatArray]:
        """Return patient x of shape (size, size) and y of shape (size, 1) of the pixel centres."""
        offset = (np.arange(self.size) - 0.5 * (self.size - 1)) * self.pitch
        y = (offset + self.centre_y)[:, None]
        x = (offset + self.centre_x)[None, :] - self.tilt * (y - self.centre_y)
        return x.astype(np.float32), y.astype(np.float32)

    def to_pixels(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return column and row, in pixels, of points of the patient frame."""
        scale = np.float32(1 / self.pitch)
        middle = np.float32(0.5 * (self.size - 1))
        dy = y - np.float32(self.centre_y)
        column = (x - np.float32(self.centre_x) + np.float32(self.tilt) * dy) * scale + middle
        return column, dy * scale + middle


def deposit(frame: Frame, parts: list[Samples]) -> FloatArray:
    """Return the projected thickness, float32 (size, size), in mm, of all samples together."""
    total = np.zeros(frame.size * frame.size, np.float64)
    for part in parts:
        x, y, mass = part.x.ravel(), part.y.ravel(), part.mass.ravel()
        # Pieces that fit the processor's cache are several times faster than whole arrays.
        for start in range(0, mass.size, _PIECE):
            piece = slice(start, start + _PIECE)
            _deposit_piece(frame, x[piece], y[piece], mass[piece], total)
    thickness = total.reshape(frame.size, frame.size) / frame.pitch**2
    return np.asarray(thickness, np.float32)


def _deposit_piece(
    frame: Frame, x: FloatArray, y: FloatArray, mass: FloatArray, total: NDArray[np.float64]
) -> None:
    """Share each sample between its four nearest pixels of ``total``; drop those outside."""
    size = frame.size
    column, row = frame.to_pixels(x, y)
    inside = (column > 0) & (column < size - 1) & (row > 0) & (row < size - 1)
    if not inside.all():
        column, row, mass = column[inside], row[inside], mass[inside]
    left, top = column.astype(np.intp), row.astype(np.intp)
    fx, fy = column - left.astype(np.float32), row - top.astype(np.float32)
    index = top * size + left
    lower = mass * fy
    upper = mass - lower
    upper_right, lower_right = upper * fx, lower * fx
    np.add.at(total, index, (upper - upper_right).astype(np.float64))
    np.add.at(total, index + 1, upper_right.astype(np.float64))
    np.add.at(total, index + size, (lower - lower_right).astype(np.float64))
    np.add.at(total, index + size + 1, lower_right.astype(np.float64))


def resample_curve(points: ArrayLike, step: float) -> tuple[FloatArray, FloatArray]:
    """Cut a polyline into equal steps.

    Args:
        points: (n, d) corners, mm.
        step: wanted spacing, mm.

    Returns:
        The (m, d) points and their (m,) positions along the curve, 0..1.
    """
    corners = np.asarray(points, np.float32)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    count = max(int(np.ceil(length[-1] / step)) + 1, 2)
    at = np.linspace(0, length[-1], count)
    fine = np.stack([np.interp(at, length, corners[:, d]) for d in range(corners.shape[1])], axis=1)
    return fine.astype(np.float32), (at / max(length[-1], 1e-6)).astype(np.float32)


def smooth_curve(points: ArrayLike, count: int = 60) -> FloatArray:
    """Return ``count`` points on a smooth (Catmull-Rom) curve through the (n, d) ``points``."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    position = np.linspace(0, len(p) - 1, count)
    i = np.minimum(position.astype(int), len(p) - 2)
    t = (position - i)[:, None]
    a, b, c, d = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve, np.float32)


def tube(
    points: ArrayLike,
    half_width: float | FloatArray,
    half_depth: float | FloatArray,
    pitch: float,
    *,
    wall: float = 0.0,
    core: float = 1.0,
    taper: float = 0.0,
    rounded: bool = False,
) -> Samples:
    """Return the mass of a tube of elliptical cross-section along a curve.

    Args:
        points: (n, 2) or (n, 3) curve in mm; z, along the beam, adds length but not displacement.
        half_width: half of the projected width, mm; a number or one value per point of the curve.
        half_depth: half of the extent along the beam, mm; likewise.
        pitch: pixel side, mm; sets the sampling.
        wall: thickness of the dense wall (bone cortex), mm; 0 makes the tube solid.
        core: density inside the wall relative to the wall.
        taper: share of the length over which both ends fade out.
        rounded: True closes both ends like a dome, False cuts them off.
    """
    fine, along = resample_curve(points, 0.8 * pitch)
    knots = np.linspace(0, 1, len(np.asarray(points)))
    width, depth = (
        np.interp(along, knots, np.broadcast_to(v, knots.shape)).astype(np.float32)
        for v in (half_width, half_depth)
    )
    if rounded:
        length = np.float32(np.linalg.norm(np.diff(fine, axis=0), axis=1).sum())
        near = np.clip(np.minimum(along, 1 - along) * length / width, 0.02, 1)
        dome = np.sqrt(near * (2 - near))
        width, depth = width * dome, depth * dome
    count = max(int(np.ceil(2 * float(width.max()) / (0.7 * pitch))), 1)
    across = ((np.arange(count) + 0.5) / count * 2 - 1).astype(np.float32)
    step = np.linalg.norm(np.gradient(fine, axis=0), axis=1).astype(np.float32)
    shape = _shares(across[None, :])
    area = np.float32(np.pi) * width * depth
    profile = area[:, None] * shape
    if wall > 0:
        inner_w, inner_d = np.maximum(width - wall, 1e-3), np.maximum(depth - wall, 1e-3)
        ratio = (inner_w / width)[:, None]
        hollow = np.float32(np.pi) * inner_w * inner_d * np.float32(1 - core)
        profile = profile - hollow[:, None] * _shares(across[None, :] / ratio)
    if taper > 0:
        step = step * np.clip(np.minimum(along, 1 - along) / taper, 0, 1)
    tangent = np.gradient(fine[:, :2], axis=0)
    norm = np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    normal = (tangent / norm)[:, ::-1] * np.array([-1, 1], np.float32)
    offset = width[:, None] * across[None, :]
    return Samples(
        fine[:, :1] + normal[:, :1] * offset,
        fine[:, 1:2] + normal[:, 1:2] * offset,
        profile * step[:, None],
    )


def _shares(s: FloatArray) -> FloatArray:
    """How a disc of radius 1 shares its mass between the offsets ``s`` of a row; rows sum to 1."""
    chord = np.sqrt(np.maximum(1 - s * s, 1e-6))
    return np.asarray(chord / chord.sum(axis=1, keepdims=True), np.float32)
