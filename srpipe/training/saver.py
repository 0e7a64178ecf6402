"""Saving the training state, so that a killed training can resume."""

import math
import time
from dataclasses import asdict

from srpipe.training.processes import Group
from srpipe.training.resume import Store
from srpipe.training.state import StageState
from srpipe.training.task import Progress

# Steps after each save before the time is checked.
FIRST_LOOK = 10


class Saver:
    """Saves the state at intervals of time, at steps that all processes agree on.

    Args:
        store: where to save; None in all but the first process.
        group: the processes.
        epochs: of the whole training; the final state omits what only training needs.
        seconds: between two saves; 0 saves after every step.
    """

    def __init__(self, store: Store | None, group: Group, epochs: int, seconds: float) -> None:
        self.store = store
        self.group = group
        self.epochs = epochs
        self.seconds = seconds
        self.since, self.steps, self.next = 0.0, 0, 0
        self._begin()

    def after_step(self, state: StageState, progress: Progress) -> None:
        """Save if it is time. Agreeing on the time costs a message, so it is checked rarely."""
        self.steps += 1
        if self.steps < self.next:
            return
        passed = time.monotonic() - self.since
        left = self.group.from_first(lambda: self.seconds - passed)
        if left > 0:
            # At most ten times the steps measured: the first ones may have been fast.
            more = self.group.from_first(lambda: math.ceil(min(left / passed, 9) * self.steps))
            self.next = self.steps + max(1, more)
            return
        self.save(state, progress)

    def save(self, state: StageState, progress: Progress) -> None:
        """Save now; every process must call this."""
        sums = self.group.means(progress.sums)
        if self.store is not None:
            self.store.save(
                {
                    "epoch": progress.epoch,
                    "steps": progress.steps,
                    "sums": sums,
                    "history": [asdict(record) for record in progress.history],
                    "stage": state.state(finished=progress.epoch > self.epochs),
                }
            )
        self._begin()

    def _begin(self) -> None:
        self.since, self.steps = time.monotonic(), 0
        # Measured again for every save: adversarial steps take longer than pixel steps.
        self.next = 1 if self.seconds == 0 else FIRST_LOOK
