"""Facts come from known columns of a table, and from no other."""

import pandas as pd

from srpipe.data.facts import COLUMNS, facts_in


def test_only_known_columns_are_read() -> None:
    """The NIH's header, cut at its commas; a patient's name stays where it is."""
    table = pd.DataFrame(
        {
            "Patient Gender": ["F", "M"],
            "patient age": ["58", "411"],
            "Height]": ["2048", "2500"],
            "Name": ["Anna", "Otto"],
        }
    )
    found = facts_in(table, ["a.png", "b.png"])
    assert list(found) == COLUMNS
    assert found.loc["a.png", ["sex", "age", "original_height", "view"]].tolist() == [
        "F",
        "58",
        "2048",
        "",
    ]
    assert "Anna" not in found.to_csv()


def test_rows_that_differ_make_a_fact_unknown() -> None:
    """What all rows of an image agree on stays."""
    table = pd.DataFrame({"Sex": ["F", "F"], "Age": ["40", "41"]})
    found = facts_in(table, ["a.png", "a.png"])
    assert found.loc["a.png", ["sex", "age"]].tolist() == ["F", ""]
