"""Ways to score are compared only where their figures are the same."""

import pytest

from benchmarks.scoring import figures, measure, require_agreement
from srpipe.core.errors import SrpipeError


def test_both_ways_are_timed_and_agree() -> None:
    """On a radiograph; a number a round, and the ratio is that of the two."""
    speeds = measure(1, 1)
    assert {name: len(each) for name, each in speeds.items()} == {"before": 1, "all": 1, "nih": 1}
    found = figures(speeds)
    seconds = {name: found.pop(f"seconds_{name}").median for name in ("before", "all", "nih")}
    assert list(found) == ["score_ratio", "score_ratio_all"]
    assert found["score_ratio"].median == pytest.approx(seconds["before"] / seconds["nih"])
    assert found["score_ratio_all"].median == pytest.approx(seconds["before"] / seconds["all"])
    # Without the content distance of most images there is less to do.
    assert seconds["nih"] < seconds["all"]


@pytest.mark.parametrize(("name", "off"), [("psnr", 2e-4), ("bicubic_ssim_masked", 2e-6)])
def test_figures_that_differ_are_refused(name: str, off: float) -> None:
    """Above what rounding in another order does, by name."""
    theirs = {"psnr": 40.0, "bicubic_ssim_masked": 0.97}
    require_agreement(theirs, theirs)
    with pytest.raises(SrpipeError, match=f"^{name} is "):
        require_agreement({**theirs, name: theirs[name] + off}, theirs)
