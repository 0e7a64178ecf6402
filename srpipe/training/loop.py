"""The training loop: pixel epochs, then adversarial epochs, validation after each."""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from srpipe.core import console, memory
from srpipe.metrics.scores import Reference, Scores, reference, score
from srpipe.models.base import SRGenerator
from srpipe.models.inference import super_resolve
from srpipe.training import watch
from srpipe.training.crops.batches import epoch_batches
from srpipe.training.history import EpochRecord, epoch_record
from srpipe.training.processes import Group, translated_errors
from srpipe.training.resume import Store
from srpipe.training.saver import Saver
from srpipe.training.state import Hardware, StageState, adversarial_stage, pixel_stage
from srpipe.training.steps import adversarial_step, on_device, pixel_step
from srpipe.training.task import Progress, Task


@dataclass(frozen=True)
class TrainingResult:
    """The generators (EMA, eval mode) after the pixel stage and at the end, and the history.

    Without adversarial epochs both are the same network.
    """

    pixel: SRGenerator
    generator: SRGenerator
    history: list[EpochRecord]


def train(
    task: Task,
    hardware: Hardware,
    store: Store | None,
    on_epoch: Callable[[EpochRecord], None] = lambda record: None,
) -> TrainingResult:
    """Train a generator on packed pairs, resuming from the state in `store` if there is one.

    Args:
        task: what to train.
        hardware: where and how.
        store: where the training state is saved; None in all but the first process.
        on_epoch: called in the first process with each epoch's record, including those before an
            interruption.

    Raises:
        DataError: the images are too small or too few for the crops.
        SettingsError: the batch cannot be split equally among the processes.
        TrainingError: the loss is no longer finite, or another process is lost.
        CheckpointError: the saved state is damaged.
        NotEnoughMemoryError: memory does not suffice for a step.
    """
    settings, group = task.settings, hardware.group
    task.check(group.size)
    if task.content is not None:
        task.content.to(hardware.device)
    state, progress = _begin(task, hardware, store)
    if group.first:
        for record in progress.history:
            on_epoch(record)
    rows = group.share(task.validation_rows)
    references = [reference(task.packed.hr(row), task.packed.lr(row)) for row in rows]
    saver = Saver(store, group, settings.epochs, hardware.save_seconds)
    while progress.epoch <= settings.epochs:
        with _memory_guarded(task, progress.epoch, hardware), translated_errors():
            if task.adversarial(progress.epoch) and not state.adversarial:
                state = adversarial_stage(settings, task.packed.scale, state.ema.network, hardware)
            _train_epoch(task, state, progress, hardware, saver)
        losses = _mean_losses(task, progress, group)
        scores = _validate(state.ema.network, references, len(task.validation_rows), hardware)
        rate, _ = task.rates(progress.epoch, 0)
        record = epoch_record(progress.epoch, state.adversarial, rate, losses, scores)
        progress.next_epoch(record)
        saver.save(state, progress)
        if group.first:
            watch.report(record, settings.epochs)
            on_epoch(record)
    generator = state.ema.network
    return TrainingResult(state.pixel or generator, generator, progress.history)


def _memory_guarded(
    task: Task, epoch: int, hardware: Hardware
) -> contextlib.AbstractContextManager[None]:
    settings, own = task.settings, task.settings.batch_size // hardware.group.size
    crops, key = settings.crops, "train.crops"
    if task.adversarial(epoch):
        crops, key = settings.adversarial_crops, "train.adversarial.crops"
    helps = "close other programs"
    if hardware.device != "cpu":
        helps = "share the batch among more GPUs (SRPIPE_PROCESSES)"
    return memory.guarded(
        f"training on {own} crops of {crops.size}x{crops.size} pixels on {hardware.device}",
        f"Lower train.batch_size or {key}.size, or {helps}.",
    )


def _begin(task: Task, hardware: Hardware, store: Store | None) -> tuple[StageState, Progress]:
    """Return the state to train from: a new one, or the saved one."""
    first = hardware.group.first
    saved = hardware.group.from_first(lambda: store.load() if store else None)
    start = task.start.weights if task.start else None
    state = pixel_stage(task.settings, task.packed.scale, hardware, start)
    if saved is None:
        return state, Progress()
    if saved["stage"]["pixel"] is not None:
        state = adversarial_stage(task.settings, task.packed.scale, state.ema.network, hardware)
    state.load(saved["stage"])
    # The sums were over the whole batch; each process continues from the same ones.
    sums = {name: value.to(hardware.device) for name, value in saved["sums"].items()}
    history = [EpochRecord(**each) for each in saved["history"]]
    progress = Progress(saved["epoch"], saved["steps"], sums, history)
    if first and progress.epoch > task.settings.epochs:
        console.say("this training is done already; its outputs are written again")
    elif first:
        console.say(
            f"going on with an interrupted training: epoch {progress.epoch}, "
            f"step {progress.steps} of {task.steps(progress.epoch)}"
        )
    return state, progress


def _train_epoch(
    task: Task, state: StageState, progress: Progress, hardware: Hardware, saver: Saver
) -> None:
    """Train the rest of the epoch in `progress`."""
    group, clip = hardware.group, task.settings.gradient_clip
    objective = task.objective(progress.epoch)
    state.generator.network.train()
    batches = epoch_batches(
        task.source(progress.epoch),
        progress.epoch,
        first_step=progress.steps,
        part=(group.rank, group.size),
        threads=hardware.threads,
        pinned=hardware.device.startswith("cuda"),
    )
    watching = watch.Watch(progress.epoch, first=group.first)
    bar = watch.progress_bar(task, progress, shown=group.first)
    with bar as shown, contextlib.closing(batches):
        for batch in batches:
            crops = on_device(batch, task.settings.generator.channels, hardware.device)
            state.set_rates(*task.rates(progress.epoch, progress.steps))
            if state.discriminator is None:
                losses = pixel_step(state.generator, crops, objective, hardware.precision, clip)
            else:
                losses = adversarial_step(
                    state.generator, state.discriminator, crops, objective, hardware.precision, clip
                )
            state.ema.update(state.generator.network)
            progress.add(losses)
            group.require_launcher()
            shown.update()
            watching.look(shown, progress)
            saver.after_step(state, progress)


def _mean_losses(task: Task, progress: Progress, group: Group) -> dict[str, float]:
    """Return the means of an epoch's losses over its steps and all processes."""
    steps = task.steps(progress.epoch)
    means = {name: float(value) / steps for name, value in group.means(progress.sums).items()}
    if group.first:
        watch.refuse_nan(means, progress.epoch)
    return means


def _validate(
    generator: SRGenerator, references: Sequence[Reference], total: int, hardware: Hardware
) -> dict[str, float]:
    """Score the generator on whole validation images, exactly as evaluation does.

    Each process scores its share; means are over all images in order, so that they do not depend on
    the number of processes.
    """
    part = [score(super_resolve(generator, each.lr, hardware.device), each) for each in references]
    scores = hardware.group.gather(part, total)
    return {
        name: math.fsum(getattr(each, name) for each in scores) / total for name in Scores.names()
    }
