"""One patient's body: the numbers from which every image of the patient is drawn.

Lengths are millimetres in the patient frame: x = 0 is the midline and x grows towards the right
edge of the image (the patient's left), y = 0 is the level of the lung apices and grows downwards.
The ranges are round adult values (Gray's Anatomy; ICRP Publication 89 for body sizes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.seeding import Stream, generator

Sex = Literal["F", "M"]


@dataclass(frozen=True)
class Anatomy:
    """Sizes of one patient; lengths in mm, ratios without unit.

    Attributes:
        sex: "F" or "M"; sets size ranges and breast shadows.
        age: years, 18..90; widens the aorta and thins the bones.
        thorax_half_width: midline to the lateral lung border at its widest.
        lung_height: apex to the right diaphragm dome at full inspiration.
        lung_depth: front to back.
        fat: subcutaneous layer of the trunk.
        lung_density: lung tissue relative to water at full inspiration.
        heart_size: 1 is a cardio-thoracic ratio of about 0.45.
        heart_side: patient-specific shift of the heart to its left.
        aorta_radius: radius of the aortic arch.
        left_dome_drop: how much lower the left diaphragm dome lies.
        dome_height: dome above the costophrenic angle.
        rib_spacing: distance of posterior ribs.
        rib_drop: factor on the slope of the ribs.
        rib_half_height: half of a rib's height.
        bone_density: factor on bone attenuation.
        shoulder_drop: acromion below the apices.
        breast: projected breast radius, 0 for none.
        scoliosis: sideways amplitude of the spine.
        trachea_shift: trachea off the midline.
        vessel_caliber: factor on vessel radii.
        gastric_gas: radius of the gastric bubble, 0 for none.
        haze: factor on the parenchymal texture (interstitial markings).
    """

    sex: Sex
    age: int
    thorax_half_width: float
    lung_height: float
    lung_depth: float
    fat: float
    lung_density: float
    heart_size: float
    heart_side: float
    aorta_radius: float
    left_dome_drop: float
    dome_height: float
    rib_spacing: float
    rib_drop: float
    rib_half_height: float
    bone_density: float
    shoulder_drop: float
    breast: float
    scoliosis: float
    trachea_shift: float
    vessel_caliber: float
    gastric_gas: float
    haze: float


def sample_anatomy(seed: int, patient: int) -> Anatomy:
    """Draw the anatomy of a patient; the same arguments always give the same body."""
    rng = generator(seed, Stream.ANATOMY, patient)
    sex: Sex = "F" if rng.random() < 0.44 else "M"
    female = sex == "F"
    age = int(np.clip(rng.normal(48, 17), 18, 90))
    width = float(np.clip(rng.normal(122 if female else 135, 8), 105, 155))
    height = float(np.clip(rng.normal(218 if female else 240, 22), 165, 285))
    fat = float(np.clip(rng.gamma(2.2, 11.0), 8, 70))
    return Anatomy(
        sex=sex,
        age=age,
        thorax_half_width=width,
        lung_height=height,
        lung_depth=float(width * rng.uniform(1.05, 1.3)),
        fat=fat,
        lung_density=float(rng.uniform(0.2, 0.34)),
        heart_size=float(np.clip(rng.normal(1.0, 0.11), 0.78, 1.4)),
        heart_side=float(rng.normal(0, 5)),
        aorta_radius=float(13 + 0.09 * age + rng.normal(0, 1.2)),
        left_dome_drop=float(rng.normal(11, 5)),
        dome_height=float(rng.uniform(34, 58)),
        rib_spacing=float(height * rng.uniform(0.09, 0.105)),
        rib_drop=float(rng.uniform(0.75, 1.25)),
        rib_half_height=float(rng.uniform(5.4, 7.2) * (0.93 if female else 1.0)),
        bone_density=float(rng.uniform(0.8, 1.2) * (1.1 - 0.0025 * max(age - 30, 0))),
        shoulder_drop=float(rng.uniform(-12, 18)),
        breast=float(rng.uniform(48, 78)) if female else 0.0,
        scoliosis=float(rng.normal(0, 3)),
        trachea_shift=float(rng.normal(1.5, 2.5)),
        vessel_caliber=float(rng.uniform(0.85, 1.25)),
        gastric_gas=float(rng.uniform(16, 42)) if rng.random() < 0.6 else 0.0,
        haze=float(rng.lognormal(0, 0.35)),
    )


def lung_outer(anatomy: Anatomy, y: FloatArray) -> FloatArray:
    """Return x of the lateral lung border at heights ``y`` (mm, >= 0)."""
    u = np.clip(y / (0.66 * anatomy.lung_height), 0.0, 1.0)
    rise = np.sin(0.5 * np.pi * u) ** 0.52
    return np.asarray(anatomy.thorax_half_width * (0.40 + 0.60 * rise), np.float32)


def lung_inner(anatomy: Anatomy, y: FloatArray) -> FloatArray:
    """Return x of the medial lung border at heights ``y`` (mm, >= 0), without heart and vessels."""
    u = np.clip(y / (0.30 * anatomy.lung_height), 0.0, 1.0)
    fall = np.sin(0.5 * np.pi * u) ** 0.55
    apex = 0.40 * anatomy.thorax_half_width
    # Towards the diaphragm the lungs give way to the heart and the spine bed.
    spread = 0.4 * np.maximum(y - 0.8 * anatomy.lung_height, 0)
    return np.asarray(apex - (apex - 15.0) * fall + spread, np.float32)
