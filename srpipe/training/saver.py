"""When and what a training saves, so that a killed one can go on."""

import math
import time
from dataclasses import asdict

from srpipe.training.processes import Group
from srpipe.training.resume import Store
from srpipe.training.state import StageState
from srpipe.training.task import Progress

# Steps before the time is looked at, after each save.
FIRST_LOOK = 10


class Saver:
    """Saves the state every so many seconds, in a rhythm of steps that all processes agree on.

    Args:
        store: where to; None in all but the first process.
        group: the processes.
        epochs: of the whole training; a finished one is saved without what only training needs.
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
        """Save when it is time. Agreeing on the time costs a message, so that is done rarely."""
        self.steps += 1
        if self.steps < self.next:
            return
        passed = time.monotonic() - self.since
        left = self.group.from_first(lambda: self.seconds - passed)
        if left > 0:
            # At most ten times as far as was measured: the first steps may have been quick.
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
        # Found anew for every save: a step of the adversarial stage takes longer than one before.
        self.next = 1 if self.seconds == 0 else FIRST_LOOK
