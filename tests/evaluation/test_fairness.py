"""Groups of patients are scored separately, and none is dropped."""

from pathlib import Path

import pandas as pd
import pytest

from srpipe.data.facts import COLUMNS
from srpipe.evaluation.fairness import (
    MEASURES,
    age_of,
    by_group,
    draw,
    findings_of,
    sex_of,
    summary,
    view_of,
    with_facts,
)


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("0", "0-17"),
        ("17", "0-17"),
        ("18", "18-39"),
        ("064Y", "40-64"),
        ("65.0", "65+"),
        ("018M", "0-17"),
        ("411", "unknown"),
        ("", "unknown"),
        ("-3", "unknown"),
    ],
)
def test_ages(text: str, band: str) -> None:
    """In years or as DICOM has them; impossible ones are unknown."""
    assert age_of(text) == band


def test_other_facts() -> None:
    """An image may have several findings; what is not known by name is counted as other."""
    assert [sex_of(text) for text in ("M", "Female", "?")] == ["M", "F", "unknown"]
    assert [view_of(text) for text in ("pa", "AP", "LL", "")] == ["PA", "AP", "other", "unknown"]
    assert findings_of("Mass|Pleural Thickening|scar") == ["Mass", "Pleural_Thickening", "other"]
    assert findings_of("") == ["unknown"]


def scored(images: int, **known: list[str]) -> pd.DataFrame:
    """Return scores that count up, each image of a patient of its own."""
    table = pd.DataFrame({"image": [f"{n}.png" for n in range(images)]})
    table["patient"] = [f"p{n}" for n in range(images)]
    table[list(MEASURES)] = [[float(n)] * len(MEASURES) for n in range(images)]
    facts = pd.DataFrame("", index=table["image"], columns=COLUMNS)
    for name, values in known.items():
        facts[name] = values
    return with_facts(table, facts.iloc[::-1])


def test_groups_have_means_and_only_large_ones_intervals() -> None:
    """Five patients give an interval, four a mean; empty groups are there with a count of 0."""
    groups = by_group(scored(9, sex=["F"] * 5 + ["M"] * 4), samples=200, seed=0)
    found = groups[groups["score"] == "psnr"].set_index(["by", "group"])
    women, men = found.loc[("sex", "F")], found.loc[("sex", "M")]
    assert (women["images"], women["patients"], women["mean"]) == (5, 5, 2.0)
    assert 0 <= women["low"] < 2 < women["high"] <= 4
    assert (men["images"], men["mean"]) == (4, 6.5)
    assert pd.isna(men["low"])
    assert found.loc[("age", "0-17"), "images"] == 0
    assert found.loc[("age", "unknown"), "images"] == 9
    assert "sex of 9, age of 0" in summary(groups)


def test_without_facts_the_output_says_so(tmp_path: Path) -> None:
    """Table and picture are there all the same."""
    groups = by_group(scored(6), samples=100, seed=0)
    assert summary(groups) == "no sex, age, view or finding is known of 6 test images"
    draw(tmp_path / "a.png", groups)
    draw(tmp_path / "b.png", groups)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
