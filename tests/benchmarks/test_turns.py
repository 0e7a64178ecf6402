"""Ratios are those of the timings, round by round."""

import itertools
import time

import pytest

from benchmarks.turns import for_seconds, in_turn, ratios, spread, timed


def test_every_case_runs_once_a_round_and_the_order_is_reversed() -> None:
    """The speeds of a round stand at one place in all lists, whatever the order was."""
    calls: list[str] = []
    numbers = itertools.count()

    def case(name: str) -> float:
        calls.append(name)
        return float(next(numbers))

    names = ("a", "b", "c")
    speeds = in_turn({name: lambda name=name: case(name) for name in names}, 3)
    assert calls == [*"abc", *"cba", *"abc"]
    assert speeds == {"a": [0, 5, 6], "b": [1, 4, 7], "c": [2, 3, 8]}


def test_a_ratio_is_the_median_over_the_rounds_with_quartiles() -> None:
    """What slows a whole round leaves it; none of the rounds may be missing."""
    found = ratios([2.0, 9.0, 8.0], [1.0, 3.0, 2.0])
    assert (found.median, found.low, found.high) == (3.0, 2.5, 3.5)
    assert found.text() == "3.00 (2.50 to 3.50)"
    assert ratios([6.0, 0.6, 6.0], [2.0, 0.2, 2.0]).median == pytest.approx(3)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one round"):
        spread([])


def test_speeds_are_what_was_done_in_the_time_that_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work done once; and batches of 4, of 0.3 s each, until one second is over: four in 1.2 s."""
    clock = itertools.count(step=0.3)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert timed(lambda: calls.append(1), 2, "cpu")() == pytest.approx(2 / 0.3)
    assert len(calls) == 1
    assert for_seconds(lambda: 4, 1.0)() == pytest.approx(16 / 1.2)
