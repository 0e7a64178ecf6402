"""Who is in the cohort: exposures, their NIH file names, and the plan that lists them."""

from __future__ import annotations

from dataclasses import dataclass

from srpipe.phantom.seeding import Stream, generator

# Chance that a patient's latest image is the last one. In ChestX-ray14 57% of the 30,805 patients
# have one image (Wang et al., CVPR 2017).
_STOP_PROBABILITY = 0.6

_MAX_PATIENT = 99_999_999
_MAX_FOLLOW_UP = 999


@dataclass(frozen=True, order=True)
class Exposure:
    """One radiograph of one patient.

    Attributes:
        patient: patient number, 1..99,999,999.
        follow_up: 0 for the first image of the patient, at most 999.
        seed: the cohort's seed, >= 0. Two seeds are two unrelated cohorts.

    Raises:
        ValueError: a number is out of its range.
    """

    patient: int
    follow_up: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse numbers that the NIH file name cannot hold."""
        _check_range("patient", self.patient, 1, _MAX_PATIENT)
        _check_range("follow_up", self.follow_up, 0, _MAX_FOLLOW_UP)
        _check_range("seed", self.seed, 0, None)

    @property
    def image_name(self) -> str:
        """File name in the NIH's form, such as ``00000012_003.png``."""
        return f"{self.patient:08d}_{self.follow_up:03d}.png"


def plan_cohort(patients: int, max_images_per_patient: int, seed: int) -> list[Exposure]:
    """List the exposures of patients 1..``patients``, sorted by patient and follow-up.

    Every patient has 1..``max_images_per_patient`` images, most have one. A patient's exposures
    depend only on the seed and the patient number, so a larger cohort starts with the smaller one.

    Args:
        patients: number of patients, 1..99,999,999.
        max_images_per_patient: 1..1000.
        seed: the cohort's seed, >= 0.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_range("patients", patients, 1, _MAX_PATIENT)
    _check_range("max_images_per_patient", max_images_per_patient, 1, _MAX_FOLLOW_UP + 1)
    _check_range("seed", seed, 0, None)
    return [
        Exposure(patient, follow_up, seed)
        for patient in range(1, patients + 1)
        for follow_up in range(_image_count(patient, max_images_per_patient, seed))
    ]


def _image_count(patient: int, limit: int, seed: int) -> int:
    drawn = generator(seed, Stream.COHORT, patient).geometric(_STOP_PROBABILITY)
    return min(int(drawn), limit)


def _check_range(name: str, value: int, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an int, got {value!r}")
    if value < low or (high is not None and value > high):
        allowed = f">= {low}" if high is None else f"{low}..{high}"
        raise ValueError(f"{name} must be {allowed}, got {value}")
