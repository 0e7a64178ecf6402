"""How one image was taken: view, pose, tube and detector, vendor processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from srpipe.phantom.anatomy import Anatomy
from srpipe.phantom.seeding import Stream, generator

View = Literal["PA", "AP"]


@dataclass(frozen=True)
class Acquisition:
    """Settings of one exposure.

    Pixel lengths hold for a 1024-pixel image and are scaled with the image.

    Attributes:
        view: "PA" (standing) or "AP" (portable: larger heart, higher diaphragm, more scatter).
        field_mm: side of the square field of view.
        centre_x: patient x at the image centre, mm.
        centre_y: patient y at the image centre, mm.
        tilt: sideways lean of the patient, mm per mm.
        inspiration: diaphragm height against full inspiration, 1 is full.
        heart_zoom: magnification of the heart.
        arm_lift: how far shoulders and scapulae are rotated out of the lungs, 0..1.
        scatter: scatter-to-primary ratio at the image mean.
        log_dose: natural log of quanta per pixel without an object.
        focal_blur: sigma of focal-spot and detector blur, px.
        noise_blur: sigma of the noise correlation, px.
        detail_gain: vendor edge enhancement of fine detail, 0 is none.
        detail_sigma: its scale, px.
        flatten: compression of the large scales, 0 is none, 1 is full.
        grey_low: grey level of the darkest lung.
        grey_high: grey level of the brightest tissue.
        curve: exponent of the tone curve.
        air_grey: grey level of direct exposure.
    """

    view: View
    field_mm: float
    centre_x: float
    centre_y: float
    tilt: float
    inspiration: float
    heart_zoom: float
    arm_lift: float
    scatter: float
    log_dose: float
    focal_blur: float
    noise_blur: float
    detail_gain: float
    detail_sigma: float
    flatten: float
    grey_low: float
    grey_high: float
    curve: float
    air_grey: float


def sample_acquisition(anatomy: Anatomy, seed: int, patient: int, follow_up: int) -> Acquisition:
    """Draw how one image of a patient was taken."""
    rng = generator(seed, Stream.ACQUISITION, patient, follow_up)
    portable = bool(rng.random() < 0.4)
    width = 2 * anatomy.thorax_half_width
    return Acquisition(
        view="AP" if portable else "PA",
        field_mm=float(width * rng.uniform(1.2, 1.5)),
        centre_x=float(rng.normal(0, 7)),
        centre_y=float(anatomy.lung_height * rng.uniform(0.44, 0.6)),
        tilt=float(rng.normal(0, 0.018 if portable else 0.008)),
        inspiration=float(rng.uniform(0.78, 0.95) if portable else rng.uniform(0.88, 1.0)),
        heart_zoom=float(rng.uniform(1.06, 1.2) if portable else rng.uniform(0.96, 1.04)),
        arm_lift=float(rng.uniform(0, 0.35) if portable else rng.uniform(0.5, 1.0)),
        scatter=float(rng.uniform(0.25, 0.6) if portable else rng.uniform(0.1, 0.3)),
        log_dose=float(np.clip(rng.normal(11.15, 0.45), 10.4, 12)),
        focal_blur=float(rng.uniform(0.3, 0.7)),
        noise_blur=float(rng.uniform(0.35, 0.6)),
        detail_gain=float(rng.uniform(0.1, 1.0)),
        detail_sigma=float(rng.uniform(2.0, 7.0)),
        flatten=float(rng.uniform(0.1, 0.55)),
        grey_low=float(rng.uniform(18, 132)),
        grey_high=float(np.clip(rng.normal(229, 14), 190, 250)),
        curve=float(rng.uniform(0.3, 0.95)),
        air_grey=float(rng.gamma(1.1, 7.0)),
    )
