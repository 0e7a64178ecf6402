"""Lines, tubes, leads, clips and wires on and in the patient.

Each is a tube of metal or plastic along a curve; densities are relative to water, so that the
deposit adds to the soft tissue.
"""

from __future__ import annotations

import numpy as np

from srpipe.phantom.acquisition import View
from srpipe.phantom.anatomy import Anatomy
from srpipe.phantom.canvas import Samples, smooth_curve, tube
from srpipe.phantom.seeding import Stream, generator

_METAL = 60.0  # density times attenuation of steel, relative to water, at chest energies
_PLASTIC = 3.0  # barium-loaded tubing


def project_devices(
    anatomy: Anatomy, view: View, pitch: float, seed: int, patient: int, follow_up: int
) -> list[Samples]:
    """Return the devices of one image; portable images have more. The list is often empty."""
    rng = generator(seed, Stream.DEVICES, patient, follow_up)
    lasting = generator(seed, Stream.DEVICES, patient)  # implants stay with the patient
    share = 1.0 if view == "AP" else 0.25
    parts: list[Samples] = []
    if lasting.random() < 0.08:
        parts += _sternal_wires(anatomy, pitch, lasting)
    if lasting.random() < 0.09:
        parts += _clips(anatomy, pitch, lasting)
    if rng.random() < 0.45 * share:
        parts += _leads(anatomy, pitch, rng)
    if rng.random() < 0.45 * share:
        parts.append(_catheter(anatomy, pitch, rng))
    if rng.random() < 0.22 * share:
        parts += _airway_and_stomach_tubes(anatomy, pitch, rng)
    return parts


def _scaled(samples: Samples, density: float) -> Samples:
    return Samples(samples.x, samples.y, samples.mass * np.float32(density))


def _leads(anatomy: Anatomy, pitch: float, rng: np.random.Generator) -> list[Samples]:
    w, h = anatomy.thorax_half_width, anatomy.lung_height
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(-0.95, 0.95) * w, rng.uniform(0.05, 1.0) * h
        out = np.sign(x) if x else 1.0
        wire = smooth_curve([
            (x, y), (x + out * rng.uniform(10, 40), y + rng.uniform(-25, 25)),
            (out * rng.uniform(0.8, 1.2) * w, y + rng.uniform(-60, 60)),
            (out * rng.uniform(1.1, 1.7) * w, y + rng.uniform(-90, 120)),
        ])  # fmt: skip
        parts.append(_scaled(tube(wire, 0.45, 0.45, pitch), 0.16 * _METAL))
        turn = np.linspace(0, 2 * np.pi, 40)
        squeeze = rng.uniform(0.6, 1)
        for radius, density in ((5.0, 0.8), (2.2, 4.0)):
            ring = np.stack([x + radius * np.cos(turn), y + squeeze * radius * np.sin(turn)], 1)
            parts.append(_scaled(tube(ring, 0.9, 0.9, pitch), density))
    return parts


def _catheter(anatomy: Anatomy, pitch: float, rng: np.random.Generator) -> Samples:
    """Central venous line: from the arm or the neck to the superior vena cava."""
    w, h = anatomy.thorax_half_width, anatomy.lung_height
    side = -1.0 if rng.random() < 0.6 else 1.0
    tip = (-20 + 4 * rng.normal(), h * rng.uniform(0.38, 0.6))
    end = [(-21 - rng.normal(), 0.28 * h), tip]
    if rng.random() < 0.5:  # peripherally inserted
        path = [(side * 1.5 * w, 150.0), (side * 1.25 * w, 45.0), (side * 0.8 * w, 26.0)]
    else:  # jugular
        path = [(side * 45, -120.0), (side * 38, -50.0), (side * 32, 5.0)]
    path += [(side * 0.3 * w if side > 0 else -26.0, 22.0), *end]
    line = smooth_curve(path)
    return _scaled(tube(line, 0.9, 0.9, pitch, wall=0.35, core=0.1), 1.4 * _PLASTIC)


def _airway_and_stomach_tubes(
    anatomy: Anatomy, pitch: float, rng: np.random.Generator
) -> list[Samples]:
    h = anatomy.lung_height
    x = anatomy.trachea_shift
    airway = smooth_curve([(x, -160), (x + rng.normal(), -60), (x, h * rng.uniform(0.2, 0.34))])
    parts = []
    for offset in (-4.4, 0.0, 4.4):  # two walls and the opaque stripe
        density = 0.55 if offset else 1.6
        parts.append(
            _scaled(tube(airway + np.array([offset, 0]), 0.55, 0.8, pitch), density * _PLASTIC)
        )
    if rng.random() < 0.6:
        stomach = smooth_curve([
            (3, -160), (4, 0), (9, 0.5 * h), (16, 0.95 * h), (46, 1.12 * h), (74, 1.2 * h),
        ])  # fmt: skip
        parts.append(_scaled(tube(stomach, 2.2, 2.2, pitch, wall=0.5, core=0.05), 0.6 * _PLASTIC))
    return parts


def _sternal_wires(anatomy: Anatomy, pitch: float, rng: np.random.Generator) -> list[Samples]:
    parts = []
    for level in np.linspace(0.22, 0.8, int(rng.integers(4, 7))):
        x, y = rng.normal(0, 1.5), level * anatomy.lung_height
        r = rng.uniform(6, 9)
        loop = smooth_curve([
            (x - 1, y), (x - r, y - 2), (x - r, y + 3), (x, y + 4), (x + r, y + 3), (x + r, y - 2),
            (x + 1, y), (x + 2, y + 4),
        ])  # fmt: skip
        parts.append(_scaled(tube(loop, 0.42, 0.42, pitch), 0.8 * _METAL))
    return parts


def _clips(anatomy: Anatomy, pitch: float, rng: np.random.Generator) -> list[Samples]:
    w, h = anatomy.thorax_half_width, anatomy.lung_height
    middle = np.array([rng.uniform(-0.9, 0.9) * w, rng.uniform(0.15, 0.8) * h])
    parts = []
    for _ in range(int(rng.integers(3, 10))):
        start = middle + rng.normal(0, 14, 2)
        angle = rng.uniform(0, np.pi)
        end = start + rng.uniform(3, 6) * np.array([np.cos(angle), np.sin(angle)])
        parts.append(_scaled(tube(np.stack([start, end]), 0.5, 0.5, pitch), 0.5 * _METAL))
    return parts
