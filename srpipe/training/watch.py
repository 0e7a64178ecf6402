"""Monitoring a running training: losses, errors, and each epoch's results."""

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from srpipe.core import console
from srpipe.core.errors import TrainingError
from srpipe.training.history import EpochRecord, discriminator_state
from srpipe.training.task import Progress, Task

# Steps between updates of the progress bar and checks of the losses.
REPORT_EVERY = 10
# Steps over which the discriminator is checked within an epoch.
DISCRIMINATOR_EVERY = 200


def progress_bar(
    task: Task, progress: Progress, *, shown: bool
) -> contextlib.AbstractContextManager["tqdm[Any]"]:
    """Return the progress bar of an epoch."""
    stage = "adversarial" if task.adversarial(progress.epoch) else "pixel"
    what = f"epoch {progress.epoch}/{task.settings.epochs} ({stage})"
    steps = task.steps(progress.epoch)
    return console.bar(steps, what=what, unit="step", done=progress.steps, shown=shown)


class Watch:
    """Checks the losses of some steps ago, whose values have reached the host by now.

    Args:
        epoch: number of the epoch.
        first: whether this is the first process, which checks for all: a NaN in one reaches the
            others' weights a step later.
    """

    def __init__(self, epoch: int, *, first: bool) -> None:
        self.epoch = epoch
        self.first = first
        self.on_way: tuple[int, dict[str, Tensor], torch.cuda.Event | None] | None = None
        self.compared_from: tuple[int, dict[str, float]] | None = None
        self.told = False

    def look(self, bar: "tqdm[Any]", progress: Progress) -> None:
        """Show the losses that arrived, stop if one is not finite, and request the next."""
        if not self.first or progress.steps % REPORT_EVERY:
            return
        if self.on_way is not None:
            steps, values, event = self.on_way
            if event is not None and not event.query():  # type: ignore[no-untyped-call]
                return
            sums = {name: float(value) for name, value in values.items()}
            refuse_nan(sums, self.epoch)
            bar.set_postfix_str(f"loss {sums['total'] / steps:.3g}", refresh=False)
            self._look_at_discriminator(steps, sums)
        self.on_way = (progress.steps, *_fetched(progress.sums))

    def _look_at_discriminator(self, steps: int, sums: dict[str, float]) -> None:
        """Warn of an uninformative discriminator while its epoch is still running."""
        if "real" not in sums or self.told:
            return
        if self.compared_from is None:
            self.compared_from = steps, sums
            return
        since, before = self.compared_from
        if steps - since < DISCRIMINATOR_EVERY:
            return
        real, fake = ((sums[name] - before[name]) / (steps - since) for name in ("real", "fake"))
        self.compared_from = steps, sums
        state = discriminator_state(real, fake)
        if state != "healthy":
            self.told = True
            _warn_of_discriminator(state, f"epoch {self.epoch}, steps {since} to {steps}")


def _fetched(sums: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], torch.cuda.Event | None]:
    """Start an asynchronous copy to the host, complete once the event has occurred."""
    values = torch.stack(list(sums.values()))
    event = None
    if values.is_cuda:
        # Only copies to page-locked memory are asynchronous.
        values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(
            values, non_blocking=True
        )
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
    return dict(zip(sums, values, strict=True)), event


def refuse_nan(losses: Mapping[str, float], epoch: int) -> None:
    """Stop if a loss is not finite.

    Raises:
        TrainingError: the generator's or the discriminator's loss is not finite.
    """
    for name in ("total", "discriminator"):
        if not math.isfinite(losses.get(name, 0.0)):
            raise TrainingError(
                f"the {name} loss is {losses[name]} in epoch {epoch}: lower train.learning_rate, "
                "train.adversarial.learning_rate or train.adversarial.discriminator.learning_rate, "
                "set train.gradient_clip: 1.0 (which hardly bounds train.optimizer: muon), or set "
                "train.precision: fp32"
            )


def report(record: EpochRecord, epochs: int) -> None:
    """Report an epoch's results, and warn of an uninformative discriminator."""
    scores = f"PSNR {record.psnr:.2f} dB (masked {record.psnr_masked:.2f}), SSIM {record.ssim:.4f}"
    accuracy = ""
    if record.d_real_accuracy is not None and record.d_fake_accuracy is not None:
        accuracy = (
            f", discriminator right on {record.d_real_accuracy:.0%} of HR and "
            f"{record.d_fake_accuracy:.0%} of SR"
        )
    console.say(
        f"epoch {record.epoch}/{epochs} {record.stage}: loss {record.loss:.3g}, "
        f"validation {scores}{accuracy}"
    )
    if record.d_state in ("saturated", "blind"):
        _warn_of_discriminator(record.d_state, f"epoch {record.epoch}")


def _warn_of_discriminator(state: str, when: str) -> None:
    advice = {
        "saturated": "lower train.adversarial.discriminator.learning_rate or raise "
        "train.loss.adversarial",
        "blind": "raise train.adversarial.discriminator.learning_rate or train more adversarial "
        "epochs",
    }[state]
    console.warn(
        f"the discriminator is {state} in {when}: the adversarial loss teaches the generator "
        f"nothing now; {advice}"
    )
