"""The plan of the cohort: names, growth, and refused arguments."""

import pytest

from srpipe.phantom.cohort import Exposure, plan_cohort


def test_image_names_follow_the_nih() -> None:
    """Eight digits for the patient, three for the follow-up, and .png."""
    assert Exposure(patient=12, follow_up=3, seed=0).image_name == "00000012_003.png"


def test_a_larger_cohort_starts_with_the_smaller_one() -> None:
    """Adding patients leaves the exposures of earlier patients as they were."""
    small, large = plan_cohort(40, 6, seed=5), plan_cohort(90, 6, seed=5)
    assert large[: len(small)] == small


def test_the_plan_is_sorted_and_complete() -> None:
    """Patients 1..n in order, each with follow-ups 0, 1, ... without a gap."""
    plan = plan_cohort(60, 4, seed=1)
    assert plan == sorted(plan)
    by_patient: dict[int, list[int]] = {}
    for exposure in plan:
        by_patient.setdefault(exposure.patient, []).append(exposure.follow_up)
    assert list(by_patient) == list(range(1, 61))
    assert all(ups == list(range(len(ups))) for ups in by_patient.values())
    assert max(len(ups) for ups in by_patient.values()) <= 4


def test_most_patients_have_one_image_but_not_all() -> None:
    """As in ChestX-ray14, where 57% of the patients have one."""
    plan = plan_cohort(400, 8, seed=2)
    returning = {e.patient for e in plan if e.follow_up > 0}
    assert 0.5 < 1 - len(returning) / 400 < 0.7


def test_the_seed_changes_the_plan() -> None:
    """Two seeds are two cohorts."""
    first = [e.image_name for e in plan_cohort(50, 5, seed=1)]
    second = [e.image_name for e in plan_cohort(50, 5, seed=2)]
    assert first != second


@pytest.mark.parametrize(
    ("patients", "most", "seed", "named"),
    [
        (0, 1, 0, "patients"),
        (-3, 1, 0, "patients"),
        (2.0, 1, 0, "patients"),
        (5, 0, 0, "max_images_per_patient"),
        (5, 1001, 0, "max_images_per_patient"),
        (5, 1, -1, "seed"),
        (True, 1, 0, "patients"),
    ],
)
def test_bad_plan_arguments_are_refused_by_name(
    patients: int, most: int, seed: int, named: str
) -> None:
    """The message names the argument that is wrong."""
    with pytest.raises(ValueError, match=f"^{named} must be"):
        plan_cohort(patients, most, seed)


@pytest.mark.parametrize(
    ("patient", "follow_up", "seed"), [(0, 0, 0), (100_000_000, 0, 0), (1, 1000, 0), (1, 0, -1)]
)
def test_an_exposure_that_has_no_name_cannot_be_made(
    patient: int, follow_up: int, seed: int
) -> None:
    """Numbers that the file name or the seed cannot hold are refused."""
    with pytest.raises(ValueError, match="must be"):
        Exposure(patient, follow_up, seed)
