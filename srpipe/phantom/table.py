"""The cohort as rows of a table like the NIH's ``Data_Entry_2017.csv``."""

from __future__ import annotations

from collections.abc import Iterable

from srpipe.phantom.acquisition import sample_acquisition
from srpipe.phantom.anatomy import sample_anatomy
from srpipe.phantom.cohort import Exposure

COLUMNS = (
    "Image Index",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Sex",
    "View Position",
)


def table(exposures: Iterable[Exposure]) -> list[dict[str, str | int]]:
    """Return one row per exposure, in the given order, with the keys ``COLUMNS``.

    Age, sex and view are those that the rendering uses: age widens the aorta and thins the bones,
    sex sets sizes and breast shadows, AP images have higher diaphragms and more devices.
    """
    return [dict(zip(COLUMNS, _row(exposure), strict=True)) for exposure in exposures]


def _row(exposure: Exposure) -> tuple[str | int, ...]:
    anatomy = sample_anatomy(exposure.seed, exposure.patient)
    view = sample_acquisition(anatomy, exposure.seed, exposure.patient, exposure.follow_up).view
    return (
        exposure.image_name,
        exposure.follow_up,
        exposure.patient,
        anatomy.age,
        anatomy.sex,
        view,
    )
