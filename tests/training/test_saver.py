"""The training state is saved when it is time, by all processes after the same step."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srpipe.training import saver
from srpipe.training.history import EpochRecord
from srpipe.training.processes import Group
from srpipe.training.resume import Store
from srpipe.training.saver import Saver
from srpipe.training.state import Hardware, StageState, pixel_stage
from srpipe.training.task import Progress
from tests.training.pair import in_two
from tests.training.small import settings
from tests.training.test_history import ADVERSARIAL, PIXEL

STEPS = 40


class Noting(Saver):
    """Notes the steps after which it saves."""

    def save(self, state: StageState, progress: Progress) -> None:
        self.saved = [*getattr(self, "saved", []), progress.steps]
        super().save(state, progress)


class Clock:
    """Stands for the module `time`, and moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def saved_steps(
    store: Store | None, group: Group, seconds: float, pace: Callable[[int], float]
) -> list[int]:
    """Take steps, the n-th of which lasts `pace(n)` seconds; return those that a save followed."""
    clock, progress = Clock(), Progress()
    state = pixel_stage(settings(), 4, Hardware())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saver, "time", clock)
        noting = Noting(store, group, 1, seconds)
        for step in range(1, STEPS + 1):
            clock.now += pace(step)
            progress.add({"total": torch.tensor(1.0 + group.rank)})
            noting.after_step(state, progress)
    return getattr(noting, "saved", [])


@pytest.mark.parametrize(
    ("seconds", "pace", "expected"),
    [
        # In the tenth step it finds in which one the time will have come.
        (16, lambda step: 1, [16, 32]),
        # Slow from the start: ten steps are the least.
        (16, lambda step: 60, [10, 20, 30, 40]),
        # Slower later, as in the adversarial stage.
        (20, lambda step: 1 if step <= 20 else 9, [20, 30, 40]),
        (1e4, lambda step: 1, []),
        # After every step.
        (0, lambda step: 1, list(range(1, 41))),
    ],
)
def test_the_state_is_saved_when_it_is_time(
    tmp_path: Path, seconds: float, pace: Callable[[int], float], expected: list[int]
) -> None:
    """Without asking for the time in every step; the file holds the last step that was saved."""
    store = Store(tmp_path, "0" * 16)
    assert saved_steps(store, Group(), seconds, pace) == expected
    state = store.load()
    assert (state["steps"] if state else None) == (expected[-1] if expected else None)


def uneven(group: Group, folder: Path) -> list[int]:
    """Save in two processes whose clocks and paces differ; the first one alone has a store."""
    store = Store(folder, "0" * 16) if group.first else None
    return saved_steps(store, group, 16, lambda step: 1.0 if group.first else 7.0)


def test_processes_save_after_the_same_steps(tmp_path: Path) -> None:
    """Whatever the second one's clock says: saving takes all of them. Losses are their means."""
    (tmp_path / "state").mkdir()
    both = in_two(uneven, tmp_path, tmp_path / "state")
    assert both == [[16, 32], [16, 32]]
    state = Store(tmp_path / "state", "0" * 16).load()
    assert state is not None
    assert float(state["sums"]["total"]) == 32 * 1.5


def test_a_saved_state_holds_progress_and_history(tmp_path: Path) -> None:
    """Every field of a record survives the file, None and text too; after the last epoch nothing
    is kept that only training needs.
    """
    store = Store(tmp_path, "0" * 16)
    progress, stage = Progress(), pixel_stage(settings(), 4, Hardware())
    saving = Saver(store, Group(), 2, 1e6)
    for record, finished in ((PIXEL, False), (ADVERSARIAL, True)):
        progress.add({"total": torch.tensor(0.5)})
        progress.next_epoch(record)
        progress.add({"total": torch.tensor(0.25)})
        saving.save(stage, progress)
        state = store.load()
        assert state is not None
        assert (state["epoch"], state["steps"]) == (progress.epoch, 1)
        assert state["sums"] == {"total": torch.tensor(0.25)}
        assert [EpochRecord(**each) for each in state["history"]] == progress.history
        assert (state["stage"]["generator"] is None) == finished
