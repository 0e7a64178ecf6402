"""Ways to score are compared only where their figures are the same."""

import pytest

from benchmarks.scoring import figures, measure, require_agreement
from srpipe.core.errors import SrpipeError


def test_both_ways_are_timed_and_agree() -> None:
    """On a radiograph; a number a round, and the ratio is that of the two."""
    speeds = measure(1, 1)
    assert {name: len(each) for name, each in speeds.items()} == {"before": 1, "after": 1}
    found = figures(speeds)
    assert list(found) == ["score_ratio", "seconds_before", "seconds_after"]
    ratio = found["seconds_before"].median / found["seconds_after"].median
    assert found["score_ratio"].median == pytest.approx(ratio)


@pytest.mark.parametrize(("name", "off"), [("psnr", 2e-4), ("bicubic_ssim_masked", 2e-6)])
def test_figures_that_differ_are_refused(name: str, off: float) -> None:
    """Above what rounding in another order does, by name."""
    theirs = {"psnr": 40.0, "bicubic_ssim_masked": 0.97}
    require_agreement(theirs, theirs)
    with pytest.raises(SrpipeError, match=f"^{name} is "):
        require_agreement({**theirs, name: theirs[name] + off}, theirs)
