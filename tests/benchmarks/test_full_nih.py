"""The cost of all of NIH follows from the speeds, by the formulas in docs/benchmarks.md."""

from dataclasses import replace

import pytest

from benchmarks import full_nih
from benchmarks.full_nih import Rates
from srpipe.settings.params import Params, load_params

RATES = Rates(prepare=0.05, baseline=2.0, evaluate=3.0, train=0.5, cores=2)


@pytest.fixture
def params() -> Params:
    """Return the default settings, but for those that the numbers below are made from."""
    given = load_params()
    return given.model_copy(update={"split": given.split.model_copy(update={"validation": 0.1})})


def test_times_follow_from_the_rates(params: Params) -> None:
    """Stages of independent images share the cores."""
    seconds = full_nih.seconds(RATES, params)
    assert seconds["downsample"] == 112_120 * 0.05 / 2
    assert seconds["baseline"] == 25_596 * 2.0 / 2
    assert seconds["evaluate"] == 25_596 * 3.0
    assert seconds["train"] == pytest.approx(77_008 * 16 * 6 * 96**2 / 1e6 / 0.5)
    assert full_nih.seconds(replace(RATES, train=1.0), params)["train"] == pytest.approx(
        seconds["train"] / 2
    )


def test_room_on_disk_is_that_of_the_zip_and_the_packed_images() -> None:
    """117.6 GB of HR and a sixteenth of it of LR."""
    disk = full_nih.disk(4)
    assert {name: round(value / 1e9, 1) for name, value in disk.items()} == {
        "zip": 42.0,
        "packed HR": 117.6,
        "packed LR": 7.3,
    }


def test_it_is_told_as_tables(params: Params) -> None:
    """With how each number came about."""
    text = full_nih.text(RATES, params)
    for words in ("112,120 x 50 ms / 2 cores |", "166.9 GB |"):
        assert words in text
