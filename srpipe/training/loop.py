"""The training loop: pixel-loss epochs, then adversarial epochs, validation after each."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from srpipe import console
from srpipe.checkpoint import Start
from srpipe.crops import CropPlan, batches_per_epoch, check_sizes, epoch_batches, plan_of
from srpipe.difficulty import Difficulty
from srpipe.errors import SettingsError, TrainingError
from srpipe.inference import super_resolve
from srpipe.models.base import SRGenerator
from srpipe.models.content import ContentFeatures
from srpipe.packed import Packed
from srpipe.scoring.metrics import Reference, Scores, reference, score
from srpipe.settings import Loss, Train
from srpipe.training.history import EpochRecord, discriminator_state, epoch_record
from srpipe.training.precision import Precision, choose
from srpipe.training.processes import Group, explained
from srpipe.training.resume import Store
from srpipe.training.schedule import learning_rate
from srpipe.training.state import Hardware, StageState, adversarial_stage, pixel_stage
from srpipe.training.steps import adversarial_step, on_device, pixel_step

# The progress line, and the watch over the losses, look at every so many steps.
REPORT_EVERY = 10
# A discriminator is judged within an epoch over so many steps.
JUDGE_EVERY = 200


@dataclass(frozen=True)
class Task:
    """What is trained on what: the same in every process and on every machine."""

    packed: Packed
    train_rows: Sequence[int]
    validation_rows: Sequence[int]
    settings: Train
    content: ContentFeatures | None
    start: Start | None = None

    @cached_property
    def difficulty(self) -> Difficulty:
        """Return what is known of where the images are hard."""
        return Difficulty(self.packed)

    def plan(self, epoch: int) -> CropPlan:
        """Return what an epoch draws."""
        return plan_of(self.settings, adversarial=epoch > self.pixel_epochs)

    def steps(self, epoch: int) -> int:
        """Return the steps of an epoch."""
        return batches_per_epoch(len(self.train_rows), self.plan(epoch))

    @property
    def pixel_epochs(self) -> int:
        """Return how many epochs come before the adversarial ones."""
        return self.settings.epochs - self.settings.adversarial_epochs

    def loss(self, epoch: int) -> Loss:
        """Return the loss of an epoch: the last pixel epochs may have another image term."""
        given = self.settings
        first = self.pixel_epochs - given.fine_epochs
        if first < epoch <= self.pixel_epochs:
            return given.loss.model_copy(update={"image": given.loss.fine_image})
        return given.loss

    def rates(self, epoch: int, step: int) -> tuple[float, float]:
        """Return the learning rates of generator and discriminator for a step (from 0)."""
        given = self.settings
        if epoch <= self.pixel_epochs:
            steps = self.steps(epoch)
            at, of = (epoch - 1) * steps + step, self.pixel_epochs * steps
            shape, final = given.schedule, given.final_rate
            warmup = given.warmup_steps
            return learning_rate(
                given.learning_rate, shape, at, of, final=final, warmup=warmup
            ), 0.0
        steps = self.steps(epoch)
        at = (epoch - self.pixel_epochs - 1) * steps + step
        of = given.adversarial_epochs * steps
        shape, final = given.adversarial_schedule, given.final_rate
        return (
            learning_rate(given.adversarial_learning_rate, shape, at, of, final=final),
            learning_rate(given.discriminator.learning_rate, shape, at, of, final=final),
        )


@dataclass(frozen=True)
class TrainingResult:
    """The averaged generators after the pixel stage and at the end (eval mode), and the history.

    Without adversarial epochs both are the same network.
    """

    pixel: SRGenerator
    generator: SRGenerator
    history: list[EpochRecord]


@dataclass
class Progress:
    """Where training is: `steps` of `epoch` are done; sums over them, and the epochs before."""

    epoch: int = 1
    steps: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    history: list[EpochRecord] = field(default_factory=list)


def check_task(task: Task, processes: int) -> None:
    """Refuse what could not be trained, before anything is.

    Raises:
        DataError: the images do not suit the crops.
        SettingsError: the batch cannot be shared equally.
    """
    for epoch in {1, task.settings.epochs}:
        check_sizes(task.packed, task.train_rows, task.plan(epoch))
        _ = task.steps(epoch)
    if task.settings.batch_size % processes:
        raise SettingsError(
            f"train.batch_size is {task.settings.batch_size}, which {processes} processes cannot "
            f"share equally: set it to a multiple of {processes}, or SRPIPE_PROCESSES to a divisor"
        )


def train(
    task: Task,
    hardware: Hardware,
    store: Store | None,
    *,
    save_seconds: float,
    on_epoch: Callable[[EpochRecord], None],
) -> TrainingResult:
    """Train a generator on packed pairs, from where `store` says that an earlier process was.

    Args:
        task: what to train.
        hardware: device and processes.
        store: where to save what is needed to go on; None in all but the first process.
        save_seconds: how often to do so, beside the end of each epoch.
        on_epoch: called in the first process with each epoch's record, those of earlier processes
            included.

    Raises:
        DataError: the images do not suit the crops.
        SettingsError: the batch cannot be shared equally.
        TrainingError: the loss is no longer finite, or another process is lost.
        CheckpointError: the saved state is damaged.
    """
    settings, group = task.settings, hardware.group
    check_task(task, group.size)
    if task.content is not None:
        task.content.to(hardware.device)
    precision = choose(settings.precision, hardware.device, settings.discriminator.name)
    saved = group.from_first(lambda: store.load() if store else None)
    state, progress = _begin(task, hardware, saved)
    if group.first:
        for record in progress.history:
            on_epoch(record)

    references = [
        reference(task.packed.hr(row), task.packed.lr(row))
        for row in group.share(task.validation_rows)
    ]
    saver = _Saver(store, group, settings.epochs, save_seconds)
    while progress.epoch <= settings.epochs:
        if progress.epoch > task.pixel_epochs and not state.adversarial:
            state = adversarial_stage(settings, task.packed.scale, state.average.network, hardware)
        rate = task.rates(progress.epoch, 0)[0]
        with explained():
            _train_epoch(task, state, progress, precision, hardware, saver)
        means = {
            name: float(value) / task.steps(progress.epoch)
            for name, value in group.means(progress.sums).items()
        }
        if group.first:
            _refuse_nan(means, progress.epoch)
        scores = _validate(state.average.network, references, len(task.validation_rows), hardware)
        record = epoch_record(progress.epoch, state.adversarial, rate, means, scores)
        progress.history.append(record)
        progress.epoch, progress.steps, progress.sums = progress.epoch + 1, 0, {}
        saver.save(state, progress)
        if group.first:
            _report(record, settings.epochs)
            on_epoch(record)
    generator = state.average.network
    return TrainingResult(state.pixel or generator, generator, progress.history)


def _begin(
    task: Task, hardware: Hardware, saved: Mapping[str, Any] | None
) -> tuple[StageState, Progress]:
    """Return the state to train on from: a new one, or the saved one."""
    start = task.start.weights if task.start else None
    state = pixel_stage(task.settings, task.packed.scale, hardware, start)
    if saved is None:
        return state, Progress()
    if saved["stage"]["pixel"] is not None:
        state = adversarial_stage(task.settings, task.packed.scale, state.average.network, hardware)
    state.load(saved["stage"])
    # The sums were over the whole batch; each process goes on from the same ones.
    sums = {name: value.to(hardware.device) for name, value in saved["sums"].items()}
    history = [EpochRecord(**each) for each in saved["history"]]
    progress = Progress(saved["epoch"], saved["steps"], sums, history)
    if hardware.group.first and progress.epoch > task.settings.epochs:
        console.say("this training is done already; its outputs are written again")
    elif hardware.group.first:
        console.say(
            f"going on with an interrupted training: epoch {progress.epoch}, "
            f"step {progress.steps} of {task.steps(progress.epoch)}"
        )
    return state, progress


def _train_epoch(
    task: Task,
    state: StageState,
    progress: Progress,
    precision: Precision,
    hardware: Hardware,
    saver: "_Saver",
) -> None:
    """Train the rest of the epoch that `progress` is in."""
    settings, group = task.settings, hardware.group
    state.generator.network.train()
    batches = epoch_batches(
        task.packed,
        task.train_rows,
        task.plan(progress.epoch),
        progress.epoch,
        difficulty=task.difficulty,
        first_step=progress.steps,
        part=group.rank,
        parts=group.size,
        threads=hardware.threads,
        pinned=hardware.device.startswith("cuda"),
    )
    loss = task.loss(progress.epoch)
    watch = _Watch(settings.epochs, progress.epoch, group.first)
    with _bar(task, progress, state.adversarial, group) as bar, contextlib.closing(batches):
        for batch in batches:
            crops = on_device(batch, settings.generator.channels, hardware.device)
            rate, judge_rate = task.rates(progress.epoch, progress.steps)
            state.generator.set_rate(rate)
            if state.discriminator is not None:
                state.discriminator.set_rate(judge_rate)
                found = adversarial_step(
                    state.generator,
                    state.discriminator,
                    crops,
                    loss,
                    task.content,
                    precision,
                    settings.gradient_clip,
                )
            else:
                found = pixel_step(state.generator, crops, loss, precision, settings.gradient_clip)
            state.average.update(state.generator.network)
            for name, value in found.items():
                progress.sums[name] = (
                    progress.sums[name] + value if name in progress.sums else value
                )
            progress.steps += 1
            group.require_launcher()
            bar.update()
            watch.look(bar, progress)
            saver.after_step(state, progress)


class _Saver:
    """Saves the state every so many seconds, in a rhythm of steps that all processes agree on."""

    def __init__(self, store: Store | None, group: Group, epochs: int, seconds: float) -> None:
        self.store = store
        self.epochs = epochs
        self.group = group
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
        self.next = 1 if self.seconds == 0 else REPORT_EVERY


class _Watch:
    """Looks at the losses of some steps ago, whose values have reached the host meanwhile."""

    def __init__(self, epochs: int, epoch: int, first: bool) -> None:
        self.epochs = epochs
        self.epoch = epoch
        self.first = first
        self.on_way: tuple[int, dict[str, Tensor], torch.cuda.Event | None] | None = None
        self.judged_from: tuple[int, dict[str, float]] | None = None
        self.told = False

    def look(self, bar: "tqdm[Any]", progress: Progress) -> None:
        """Show the losses that arrived, stop at one that is no number, and send for the next."""
        # One process looks for all: a NaN of one is in the others' weights a step later.
        if not self.first or progress.steps % REPORT_EVERY:
            return
        if self.on_way is not None:
            steps, values, event = self.on_way
            if event is not None and not event.query():  # type: ignore[no-untyped-call]
                return
            sums = {name: float(value) for name, value in values.items()}
            _refuse_nan(sums, self.epoch)
            bar.set_postfix_str(f"loss {sums['total'] / steps:.3g}", refresh=False)
            self._judge(steps, sums)
        self.on_way = (progress.steps, *_fetched(progress.sums))

    def _judge(self, steps: int, sums: dict[str, float]) -> None:
        """Warn of a discriminator that teaches nothing while its epoch is still running."""
        if "real" not in sums or self.told:
            return
        if self.judged_from is None:
            self.judged_from = steps, sums
            return
        since, before = self.judged_from
        if steps - since < JUDGE_EVERY:
            return
        real, fake = ((sums[name] - before[name]) / (steps - since) for name in ("real", "fake"))
        self.judged_from = steps, sums
        verdict = discriminator_state(real, fake)
        if verdict != "healthy":
            self.told = True
            _warn_discriminator(verdict, f"epoch {self.epoch}, steps {since} to {steps}")


def _fetched(sums: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], torch.cuda.Event | None]:
    """Start a copy to the host without waiting for it; it is there when the event has come."""
    values = torch.stack(list(sums.values()))
    event = None
    if values.is_cuda:
        # Only to page-locked memory does a copy go on by itself.
        values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(
            values, non_blocking=True
        )
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
    return dict(zip(sums, values, strict=True)), event


def _refuse_nan(values: Mapping[str, float], epoch: int) -> None:
    for name in ("total", "discriminator"):
        if not math.isfinite(values.get(name, 0.0)):
            raise TrainingError(
                f"the {name} loss is {values[name]} in epoch {epoch}: lower train.learning_rate, "
                "train.adversarial_learning_rate or train.discriminator.learning_rate, set "
                "train.gradient_clip: 1.0 (which hardly bounds train.optimizer: muon), or set "
                "train.precision: fp32"
            )


def _validate(
    generator: SRGenerator, references: Sequence[Reference], total: int, hardware: Hardware
) -> dict[str, float]:
    """Score the generator on whole validation images, exactly as evaluation does.

    Each process scores its share of them; the means are over all, in their order, so that they do
    not depend on the number of processes.
    """
    part = [score(super_resolve(generator, each.lr, hardware.device), each) for each in references]
    scores = hardware.group.gather(part, total)
    return {
        name: math.fsum(getattr(each, name) for each in scores) / total for name in Scores.names()
    }


def _bar(
    task: Task, progress: Progress, adversarial: bool, group: Group
) -> contextlib.AbstractContextManager["tqdm[Any]"]:
    stage = "adversarial" if adversarial else "pixel"
    what = f"epoch {progress.epoch}/{task.settings.epochs} ({stage})"
    steps = task.steps(progress.epoch)
    return console.bar(steps, what=what, unit="step", done=progress.steps, shown=group.first)


def _report(record: EpochRecord, epochs: int) -> None:
    scores = f"PSNR {record.psnr:.2f} dB (masked {record.psnr_masked:.2f}), SSIM {record.ssim:.4f}"
    judged = ""
    if record.d_real_accuracy is not None and record.d_fake_accuracy is not None:
        judged = (
            f", discriminator right on {record.d_real_accuracy:.0%} of HR and "
            f"{record.d_fake_accuracy:.0%} of SR"
        )
    console.say(
        f"epoch {record.epoch}/{epochs} {record.stage}: loss {record.loss:.3g}, "
        f"validation {scores}{judged}"
    )
    if record.d_state in ("saturated", "blind"):
        _warn_discriminator(record.d_state, f"epoch {record.epoch}")


def _warn_discriminator(verdict: str, when: str) -> None:
    advice = {
        "saturated": "lower train.discriminator.learning_rate or raise train.loss.adversarial",
        "blind": "raise train.discriminator.learning_rate or train more adversarial epochs",
    }[verdict]
    console.warn(
        f"the discriminator is {verdict} in {when}: the adversarial loss teaches the generator "
        f"nothing now; {advice}"
    )
