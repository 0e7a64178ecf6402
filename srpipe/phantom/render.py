"""One exposure, start to end: body, beam, detector, vendor processing, markers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from srpipe.imaging.arrays import FloatArray
from srpipe.phantom.acquisition import Acquisition, sample_acquisition
from srpipe.phantom.anatomy import Anatomy, sample_anatomy
from srpipe.phantom.canvas import Frame, deposit
from srpipe.phantom.cohort import Exposure
from srpipe.phantom.collimation import bar_mask, exposed_share, sample_field
from srpipe.phantom.detector import expose
from srpipe.phantom.devices import project_devices
from srpipe.phantom.markers import burn_in, lead_thickness, sample_markers
from srpipe.phantom.processing import develop
from srpipe.phantom.seeding import Stream, generator
from srpipe.phantom.skeleton import project_ribs, project_shoulders
from srpipe.phantom.soft_tissue import project_soft_tissue
from srpipe.phantom.spine import project_spine
from srpipe.phantom.texture import make_textures
from srpipe.phantom.vessels import grow_vessels, project_vessels

MIN_SIZE, MAX_SIZE = 64, 4096

# Linear attenuation at the mean energy of a filtered 110-120 kV beam (about 60 keV), per mm
# (Hubbell and Seltzer, NIST tables): water, and what cortical bone adds to the water it replaces.
MU_WATER = 0.0205
MU_BONE_EXTRA = 0.038

# Vessels displace aerated lung; the slight excess stands for the bronchial walls beside them.
_VESSEL_CONTRAST = 0.95
_BONE_ROUGHNESS = 1.15  # px of a 1024-pixel image
_BLADE = 3.0  # attenuation of the collimator blades


def render(exposure: Exposure, size: int = 1024) -> NDArray[np.uint8]:
    """Return the radiograph of an exposure, uint8 (size, size), bone bright.

    The same exposure and size always give the same pixels.

    Args:
        exposure: which patient, follow-up and cohort.
        size: side in pixels, 64..4096. The field of view stays the same.

    Raises:
        ValueError: ``size`` is out of its range.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size must be an int in {MIN_SIZE}..{MAX_SIZE}, got {size!r}")
    seed, patient, follow_up = exposure.seed, exposure.patient, exposure.follow_up
    anatomy = sample_anatomy(seed, patient)
    acquisition = sample_acquisition(anatomy, seed, patient, follow_up)
    attenuation = project_body(anatomy, acquisition, exposure, size)

    marks = generator(seed, Stream.MARKERS, patient, follow_up)
    field = sample_field(marks)
    lead, texts = sample_markers(marks, acquisition.view)
    share = exposed_share(field, size)
    if lead is not None:
        attenuation += lead_thickness(lead, size)
    attenuation += np.float32(_BLADE) * (1 - share)

    noise = generator(seed, Stream.NOISE, patient, follow_up)
    signal = expose(attenuation, acquisition, noise)
    image = develop(signal, share > 0.99, acquisition)
    if field.shutter:
        image *= share
    image[bar_mask(field, size)] = 0
    for text in texts:
        burn_in(image, text)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def project_body(
    anatomy: Anatomy, acquisition: Acquisition, exposure: Exposure, size: int
) -> FloatArray:
    """Return the line integral of attenuation through the patient, float32 (size, size)."""
    seed, patient = exposure.seed, exposure.patient
    frame = Frame(
        size, acquisition.field_mm, acquisition.centre_x, acquisition.centre_y, acquisition.tilt
    )
    tissue = project_soft_tissue(anatomy, acquisition, frame)
    bone = deposit(
        frame,
        [
            *project_ribs(anatomy, acquisition, frame.pitch, seed, patient),
            *project_shoulders(anatomy, acquisition, frame.pitch, seed, patient),
            *project_spine(anatomy, frame.pitch, seed, patient),
        ],
    )
    # Real bone is not an ideal cylinder: its edges are rounded and rough, so they are less crisp.
    bone = ndimage.gaussian_filter(bone, _BONE_ROUGHNESS * size / 1024, truncate=3.0)
    vessels = project_vessels(grow_vessels(anatomy, acquisition, seed, patient), frame)
    devices = project_devices(
        anatomy, acquisition.view, frame.pitch, seed, patient, exposure.follow_up
    )
    texture = make_textures(frame, seed, patient)

    # Vessels and reticular texture fade out where there is no lung to hold them.
    lung = np.clip(tissue.air / np.float32(0.5 * anatomy.lung_depth), 0, 1)
    water = tissue.water
    water += np.float32(_VESSEL_CONTRAST) * vessels * lung
    water += np.float32(0.85 * anatomy.haze) * texture.lung * lung
    water += np.float32(0.9) * texture.muscle * np.clip(tissue.body / 100, 0, 1)
    # Trabecular contrast saturates with thickness: overlapping trabeculae average out.
    bone += np.float32(0.10) * texture.bone * np.minimum(bone, 4)
    attenuation = np.float32(MU_WATER) * water
    attenuation += np.float32(MU_BONE_EXTRA * anatomy.bone_density) * bone
    if devices:
        attenuation += np.float32(MU_WATER) * deposit(frame, devices)
    return attenuation
