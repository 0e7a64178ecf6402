"""Ratios are those of the timings, round by round."""

import itertools
import time

import pytest

from benchmarks.turns import for_seconds, in_turn, mixed, ratios, spread, timed


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
    """2, 3 and 4 times as fast: 3, from 2.5 to 3.5."""
    found = ratios([2.0, 9.0, 8.0], [1.0, 3.0, 2.0])
    assert (found.median, found.low, found.high) == (3.0, 2.5, 3.5)
    assert found.text() == "3.00 (2.50 to 3.50)"


def test_what_slows_a_whole_round_leaves_the_ratio() -> None:
    """The machine was ten times slower in the second round."""
    assert ratios([6.0, 0.6, 6.0], [2.0, 0.2, 2.0]).median == pytest.approx(3)


def test_ratios_need_as_many_rounds_on_either_side() -> None:
    """Rounds are compared one by one, so none may be missing."""
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one round"):
        spread([])


def test_a_mixture_takes_the_time_of_its_parts() -> None:
    """Five parts at 10 a second and one at 2 a second are 6 in a second."""
    speeds = {"pixel": [10.0, 5.0], "adversarial": [2.0, 1.0], "other": [1.0, 1.0]}
    assert mixed({"pixel": 5, "adversarial": 1}, speeds) == pytest.approx([6.0, 3.0])


def test_a_timed_case_counts_all_its_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times two units in half a second are 12 a second."""
    clock = iter([10.0, 10.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert timed(lambda: calls.append(1), 2, "cpu", repeats=3)() == 12
    assert len(calls) == 3


def test_work_is_repeated_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 4, of 0.3 s each, until one second is over: four batches in 1.2 s."""
    clock = itertools.count(step=0.3)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert for_seconds(lambda: 4, 1.0)() == pytest.approx(16 / 1.2)
