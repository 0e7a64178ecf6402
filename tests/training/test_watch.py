"""Losses are checked while an epoch runs, and what its end has shown is told in a line."""

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, repeat

import pytest
import torch

from srpipe.core import console
from srpipe.core.errors import TrainingError
from srpipe.training.task import Progress
from srpipe.training.watch import DISCRIMINATOR_EVERY, REPORT_EVERY, Watch, report
from tests.training.test_history import ADVERSARIAL, PIXEL

Losses = dict[str, float]
HEALTHY = {"total": 1.0, "discriminator": 1.0, "real": 0.9, "fake": 0.1}
BLIND = {**HEALTHY, "real": 0.5, "fake": 0.5}
SATURATED = {**HEALTHY, "real": 0.999, "fake": 0.001}
ADVICE = {
    "blind": "raise train.adversarial.discriminator.learning_rate",
    "saturated": "lower train.adversarial.discriminator.learning_rate",
}


def watch(losses: Iterable[Losses], *, first: bool = True) -> Progress:
    """Watch steps with these losses; return the progress after them."""
    progress, watching = Progress(), Watch(2, first=first)
    with console.bar(None, what="epoch 2", unit="step", shown=False) as bar:
        for each in losses:
            progress.add({name: torch.tensor(value) for name, value in each.items()})
            watching.look(bar, progress)
    return progress


@pytest.mark.parametrize("name", ["total", "discriminator"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_an_epoch_early(name: str, value: float) -> None:
    """At the second look after it; the message names the epoch and the settings to change."""
    taken: list[int] = []

    def losses() -> Iterable[Losses]:
        for step in range(1, 10 * REPORT_EVERY):
            taken.append(step)
            yield {**HEALTHY, name: value} if step == 3 else HEALTHY

    wanted = f"{name} loss is {value} in epoch 2: lower train.learning_rate.*train.gradient_clip: 1"
    with pytest.raises(TrainingError, match=wanted):
        watch(losses())
    assert len(taken) == 2 * REPORT_EVERY


def test_the_first_process_alone_looks() -> None:
    """The sums of the others hold their part of the batch only, and their bars are not shown."""
    steps = 3 * REPORT_EVERY
    assert watch(repeat({"total": math.nan}, steps), first=False).steps == steps


def warnings_in(captured: str) -> list[str]:
    """Return the lines that warn."""
    return [line for line in captured.splitlines() if "warning:" in line]


@pytest.mark.parametrize(("state", "losses"), [("blind", BLIND), ("saturated", SATURATED)])
def test_a_collapsed_discriminator_is_told_within_the_epoch(
    capsys: pytest.CaptureFixture[str], state: str, losses: Losses
) -> None:
    """Once, with the steps that were looked at and what to do."""
    watch(repeat(losses, 3 * DISCRIMINATOR_EVERY))
    (warning,) = warnings_in(capsys.readouterr().err)
    since, to = REPORT_EVERY, REPORT_EVERY + DISCRIMINATOR_EVERY
    assert f"the discriminator is {state} in epoch 2, steps {since} to {to}: " in warning
    assert ADVICE[state] in warning


def test_what_counts_are_the_latest_steps_of_a_discriminator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that collapses late is warned of, though the mean of its epoch is still healthy; one that
    stays healthy is not, and in the pixel stage there is none.
    """
    watch(repeat(HEALTHY, 3 * DISCRIMINATOR_EVERY))
    watch(repeat({"total": 1.0}, 2 * DISCRIMINATOR_EVERY))
    assert capsys.readouterr().err == ""
    since = REPORT_EVERY + DISCRIMINATOR_EVERY
    watch(chain(repeat(HEALTHY, since), repeat(BLIND, since)))
    (warning,) = warnings_in(capsys.readouterr().err)
    to = since + DISCRIMINATOR_EVERY
    assert f"the discriminator is blind in epoch 2, steps {since} to {to}: " in warning


def test_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Its loss and scores, and how often the discriminator was right where there is one."""
    report(PIXEL, 2)
    report(ADVERSARIAL, 2)
    captured = capsys.readouterr()
    scores = "PSNR {} dB (masked {}), SSIM {}"
    assert captured.out.splitlines() == [
        f"epoch 1/2 pixel: loss 0.0123, validation {scores.format('36.50', '38.00', '0.9100')}",
        f"epoch 2/2 adversarial: loss 0.02, validation {scores.format('37.00', '39.00', '0.9200')}"
        ", discriminator right on 75% of HR and 88% of SR",
    ]
    assert captured.err == ""


@pytest.mark.parametrize("state", ["blind", "saturated"])
def test_a_collapsed_discriminator_is_told_at_the_end(
    capsys: pytest.CaptureFixture[str], state: str
) -> None:
    """Of the whole epoch, with what to do."""
    report(replace(ADVERSARIAL, d_state=state), 2)
    (warning,) = warnings_in(capsys.readouterr().err)
    assert f"the discriminator is {state} in epoch 2: " in warning
    assert ADVICE[state] in warning
