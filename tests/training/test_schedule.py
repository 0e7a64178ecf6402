"""The learning rate has its known values."""

import itertools

import pytest

from srpipe.training.schedule import learning_rate


def test_a_cosine_falls_from_the_start_to_its_end() -> None:
    """Full in the first step, halfway in the middle, and at the fraction asked for at the end."""
    rates = [learning_rate(0.002, "cosine", step, 100, final=0.05) for step in range(101)]
    assert rates[0] == 0.002
    assert rates[50] == pytest.approx(0.002 * (1 + 0.05) / 2)
    assert rates[100] == pytest.approx(0.002 * 0.05)
    # cos(pi / 3) = 1/2: after a third, three quarters of what falls are left.
    assert learning_rate(1.0, "cosine", 20, 60, final=0.2) == pytest.approx(0.2 + 0.8 * 0.75)
    assert all(late < early for early, late in itertools.pairwise(rates))


def test_a_constant_stays() -> None:
    """To the bit, whatever the end of a cosine would be."""
    assert {learning_rate(3e-4, "constant", s, 7, final=0.05) for s in range(7)} == {3e-4}


def test_a_cosine_that_ends_where_it_starts_is_constant() -> None:
    assert {learning_rate(1e-3, "cosine", s, 9, final=1.0) for s in range(9)} == {1e-3}


@pytest.mark.parametrize("shape", ["cosine", "constant"])
def test_warm_up_rises_to_where_the_shape_then_is(shape: str) -> None:
    """Step s of w takes (s + 1) / (w + 1) of the shape: never 0, and whole from step w on."""
    steps, warmup = 40, 4
    plain = [learning_rate(0.01, shape, s, steps, final=0.1) for s in range(steps)]
    warm = [learning_rate(0.01, shape, s, steps, final=0.1, warmup=warmup) for s in range(steps)]
    for step, fraction in enumerate((0.2, 0.4, 0.6, 0.8)):
        assert warm[step] == pytest.approx(plain[step] * fraction)
    assert warm[warmup:] == plain[warmup:]


@pytest.mark.parametrize("shape", ["", "linear", "Cosine"])
def test_another_shape_is_refused(shape: str) -> None:
    """The message gives the shapes that there are."""
    with pytest.raises(ValueError, match=f"schedule '{shape}': must be cosine or constant"):
        learning_rate(1.0, shape, 0, 1, final=0.1)
