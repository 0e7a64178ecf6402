"""The table of the cohort."""

from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.table import COLUMNS, table


def test_the_table_has_one_row_an_exposure_and_patients_keep_age_and_sex() -> None:
    """Rows follow the order given; what belongs to the patient is equal in all its rows."""
    plan = plan_cohort(30, 5, seed=3)
    rows = table(plan)
    assert [row["Image Index"] for row in rows] == [e.image_name for e in plan]
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["View Position"] for row in rows} == {"PA", "AP"}
    for patient in range(1, 31):
        own = [row for row in rows if row["Patient ID"] == patient]
        assert [row["Follow-up #"] for row in own] == list(range(len(own)))
        assert len({(row["Patient Age"], row["Patient Sex"]) for row in own}) == 1
