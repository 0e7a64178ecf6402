"""Training repeats bit for bit, goes on after any interruption as if there had been none, goes
through its stages in order, and stops at a NaN.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srpipe.core.errors import DataError, SettingsError, TrainingError
from srpipe.data.packed import Packed
from srpipe.imaging.resample import bicubic
from srpipe.metrics.features import ContentFeatures
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.inference import super_resolve
from srpipe.models.plain_sr import PlainSR
from srpipe.settings.train import Content
from srpipe.training import loop, resume, saver, watch
from srpipe.training.content import load_content
from srpipe.training.crops.source import CropSource
from srpipe.training.history import EpochRecord
from srpipe.training.loop import TrainingResult, train
from srpipe.training.losses import Objective
from srpipe.training.precision import choose
from srpipe.training.resume import Store
from srpipe.training.state import Hardware
from srpipe.training.steps import Crops
from srpipe.training.task import Task
from tests.training.small import SETTINGS, settings

TRAIN_ROWS = [0, 1, 2, 3]
VALIDATION_ROWS = [4, 5]
# Of an epoch, with the settings of `small`.
STEPS = 3
# Our own generator, and everything that can be asked of crops at once.
ALL_OF_CROPS: dict[str, Any] = {
    "generator": {**SETTINGS["generator"], "name": "plain_sr", "blocks": 2},
    "crops__candidates": 4,
    "crops__shifts": True,
    "crops__turns": 0.5,
    "crops__markers": 0.25,
    "crops__jitter": 0.25,
    "crops__margin": 1,
}
WITH_CONTENT = {"loss": {**SETTINGS["loss"], "content": 0.01}}

Found = Mapping[str, Tensor]
Step = Callable[..., Found]


class DeathError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def content() -> ContentFeatures:
    """Return the packaged feature network."""
    return load_content(Content(network="efficientnet_lite0", weights=None))


def run(
    packed: Packed,
    content: ContentFeatures | None = None,
    told: list[EpochRecord] | None = None,
    store: Store | None = None,
    *,
    hardware: Hardware | None = None,
    save_seconds: float = 1e6,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    **changes: Any,
) -> TrainingResult:
    """Train with changed settings."""
    given = settings(**changes)
    kind = given.adversarial.discriminator.name
    hardware = replace(
        hardware or Hardware(),
        precision=choose(given.precision, "cpu", kind),
        save_seconds=save_seconds,
    )
    return train(
        Task(packed, TRAIN_ROWS, VALIDATION_ROWS, given, content),
        hardware,
        store,
        on_epoch or (told if told is not None else []).append,
    )


@pytest.fixture(scope="module")
def told() -> list[EpochRecord]:
    """Return the list that the first training reports its epochs to."""
    return []


@pytest.fixture(scope="module")
def first(packed: Packed, content: ContentFeatures, told: list[EpochRecord]) -> TrainingResult:
    """Train once, uninterrupted and unsaved; the tests below look at it."""
    return run(packed, content, told, **WITH_CONTENT)


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Say whether two networks hold the same, to the bit."""
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in ours.items()
    )


def same(a: TrainingResult, b: TrainingResult) -> bool:
    """Say whether two trainings gave the same, to the bit."""
    return a.history == b.history and equal(a.pixel, b.pixel) and equal(a.generator, b.generator)


# ------------------------------------------------------------------ what a training is


def test_the_same_settings_give_the_same_weights(
    packed: Packed, content: ContentFeatures, first: TrainingResult
) -> None:
    """Every bit of every weight and every number of the history, whatever was drawn before, and
    however many threads cut the crops.
    """
    torch.rand(7)
    again = run(packed, content, hardware=Hardware(threads=3), **WITH_CONTENT)
    assert same(again, first)


def test_another_seed_gives_other_weights(
    packed: Packed, content: ContentFeatures, first: TrainingResult
) -> None:
    """The seed decides the start and the crops."""
    other = run(packed, content, seed=1, **WITH_CONTENT)
    assert other.history != first.history
    last = "final_conv.pointwise.weight"
    assert not torch.equal(other.generator.state_dict()[last], first.generator.state_dict()[last])


def test_pixel_epochs_come_first(first: TrainingResult) -> None:
    """Two pixel epochs, then the adversarial one, each with its own terms."""
    assert [record.epoch for record in first.history] == [1, 2, 3]
    assert [record.stage for record in first.history] == ["pixel", "pixel", "adversarial"]
    for record in first.history[:2]:
        assert record.d_state == "off"
        assert record.loss_adversarial is record.loss_content is record.d_real is None
        assert record.d_gradient_norm is record.d_real_accuracy is record.d_fake_accuracy is None
    last = first.history[2]
    assert last.d_state in ("healthy", "blind", "saturated")
    seen = (last.d_real, last.d_fake, last.d_real_accuracy, last.d_fake_accuracy)
    assert None not in (last.loss_adversarial, last.loss_content, last.loss_discriminator, *seen)
    assert last.loss_total_variation is None


def test_the_adversarial_stage_starts_from_the_pixel_ema(
    packed: Packed, content: ContentFeatures, first: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first step sees those weights, and they are handed back as they were then."""
    before: list[dict[str, Tensor]] = []
    real = loop.adversarial_step

    def noting(generator: Any, *arguments: Any) -> Found:
        before.append({k: v.clone() for k, v in generator.network.state_dict().items()})
        return real(generator, *arguments)

    monkeypatch.setattr(loop, "adversarial_step", noting)
    result = run(packed, content, **WITH_CONTENT)
    assert len(before) == STEPS
    for name, value in result.pixel.state_dict().items():
        assert torch.equal(value, before[0][name]), name
    assert not equal(result.pixel, result.generator)
    assert not result.pixel.training
    assert equal(result.pixel, first.pixel)


def test_the_pixel_result_is_that_of_a_training_without_adversarial_epochs(
    packed: Packed, first: TrainingResult
) -> None:
    """The adversarial epochs change nothing about it; without them both results are one."""
    plain = run(packed, epochs=2, adversarial__epochs=0)
    assert plain.pixel is plain.generator
    assert equal(plain.pixel, first.pixel)
    assert plain.history == first.history[:2]


def test_the_result_is_the_ema(packed: Packed, first: TrainingResult) -> None:
    """Without averaging the weights are others; the losses of the pixel epochs are the same."""
    plain = run(packed, epochs=2, adversarial__epochs=0, ema=0.0)
    assert not equal(plain.generator, first.pixel)
    for ours, theirs in zip(plain.history, first.history, strict=False):
        assert (ours.loss, ours.gradient_norm) == (theirs.loss, theirs.gradient_norm)
        assert ours.psnr != theirs.psnr


def test_every_step_trains_the_statistics_too(first: TrainingResult) -> None:
    """BatchNorm sees the crops of all nine steps, and validation leaves it alone."""
    for network, steps in ((first.pixel, 2 * STEPS), (first.generator, 3 * STEPS)):
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(norms) == 3
        assert all(int(norm.num_batches_tracked) == steps for norm in norms)
        assert all(norm.running_mean.abs().max() > 0 for norm in norms)


def test_every_number_is_finite(first: TrainingResult) -> None:
    """Losses, norms, scores and rates; the discriminator's scores are fractions."""
    for record in first.history:
        assert all(math.isfinite(value) for value in record.numbers().values())
        assert record.psnr > 10
        assert 0 < record.ssim <= 1
        assert record.gradient_norm > 0
    last = first.history[2]
    for seen in (last.d_real, last.d_fake, last.d_real_accuracy, last.d_fake_accuracy):
        assert 0 <= seen <= 1
    assert last.d_gradient_norm > 0


def test_the_loss_told_is_the_weighted_mean_of_its_terms(first: TrainingResult) -> None:
    """In a pixel epoch the total is the image term; later the weights of the settings count."""
    assert first.history[0].loss == first.history[0].loss_image
    last = first.history[2]
    wanted = last.loss_image + 0.01 * last.loss_adversarial + 0.01 * last.loss_content
    assert last.loss == pytest.approx(wanted, rel=1e-5)


def test_each_epoch_is_told_once(first: TrainingResult, told: list[EpochRecord]) -> None:
    """In order, with the record that the history keeps."""
    assert told == first.history


def test_validation_scores_are_those_of_the_evaluation(
    packed: Packed, first: TrainingResult
) -> None:
    """The last record's scores are what the scorer says of the generator that is handed back, the
    pixel epochs' those of the other one.
    """
    for network, record in ((first.generator, first.history[2]), (first.pixel, first.history[1])):
        assert not network.training
        scores = [
            score(super_resolve(network, packed.lr(row)), reference(packed.hr(row), packed.lr(row)))
            for row in VALIDATION_ROWS
        ]
        for name in set(Scores.names()) - {"ssim_masked"}:
            mean = sum(getattr(each, name) for each in scores) / 2
            assert getattr(record, name) == pytest.approx(mean), name


def test_pixel_training_beats_bicubic(packed: Packed) -> None:
    """The skip starts at bicubic; a few epochs on tiny images are enough to pass it."""
    result = run(packed, epochs=4, adversarial__epochs=0, crops__per_image=8, learning_rate=3e-3)
    start = [
        score(bicubic(packed.lr(row), 4), reference(packed.hr(row), packed.lr(row))).psnr
        for row in VALIDATION_ROWS
    ]
    assert result.history[-1].psnr > sum(start) / 2 + 0.02
    assert result.history[-1].psnr > result.history[0].psnr


def test_plain_sr_trains_through_both_stages(packed: Packed) -> None:
    """With every option of the crops on: it starts at bicubic, learns, and repeats bit for bit,
    however many threads cut the crops.
    """
    changes = {**ALL_OF_CROPS, "crops__per_image": 8, "fine_epochs": 1}
    result = run(packed, **changes)
    assert isinstance(result.generator, PlainSR)
    assert result.history[1].psnr > result.history[0].psnr
    assert result.history[2].stage == "adversarial"
    assert same(run(packed, hardware=Hardware(threads=3), **changes), result)


@pytest.mark.parametrize("name", ["swift_srgan", "srgan"])
def test_colour_generators_train_on_grey(packed: Packed, name: str) -> None:
    """Both architectures with three channels take grey crops, in bf16 too, against either
    discriminator, in any form of the loss.
    """
    generator = {**SETTINGS["generator"], "name": name, "channels": 3}
    kind, form = ("swift", "hinge") if name == "srgan" else ("unet", "relativistic")
    result = run(
        packed,
        epochs=2,
        crops__per_image=1,
        adversarial__crops__per_image=1,
        precision="bf16",
        generator=generator,
        adversarial__discriminator={**SETTINGS["adversarial"]["discriminator"], "name": kind},
        adversarial__form=form,
        loss__total_variation=0.1,
    )
    assert result.generator.channels == 3
    assert result.history[0].loss_total_variation > 0
    assert result.history[1].d_real is not None


def test_the_discriminator_has_its_own_rate(packed: Packed) -> None:
    """A discriminator that hardly moves stays undecided; a quick one learns to tell SR from HR."""
    slow, quick = (
        run(
            packed,
            epochs=2,
            adversarial__crops__per_image=8,
            adversarial__discriminator__learning_rate=rate,
        ).history[1]
        for rate in (1e-9, 1e-2)
    )
    assert abs(slow.d_real - slow.d_fake) < 0.02
    assert slow.loss_discriminator == pytest.approx(math.log(2), abs=0.02)
    assert quick.loss_discriminator != pytest.approx(slow.loss_discriminator, abs=0.02)


def test_clipping_is_for_both_networks(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is given the bound that is set."""
    given: list[float] = []
    for name in ("pixel_step", "adversarial_step"):
        real = getattr(loop, name)

        def noting(*arguments: Any, real: Step = real) -> Found:
            given.append(arguments[-1])
            return real(*arguments)

        monkeypatch.setattr(loop, name, noting)
    run(packed, epochs=2, gradient_clip=0.25)
    assert given == [0.25] * 2 * STEPS


# ------------------------------------------------------------------ rates and crops


def plain_task(packed: Packed, **changes: Any) -> Task:
    """Return a task with changed settings."""
    return Task(packed, TRAIN_ROWS, VALIDATION_ROWS, settings(**changes), None)


def test_the_rate_falls_and_then_is_the_adversarial_one(first: TrainingResult) -> None:
    """A cosine from the rate set, in steps; halfway it is halfway to a twentieth."""
    rates = [record.learning_rate for record in first.history]
    assert rates == pytest.approx([1e-3, (1e-3 + 5e-5) / 2, 1e-4])


def test_each_stage_has_its_own_schedule(packed: Packed) -> None:
    """Its own rates, from its own first step to its own last; the discriminator's falls along."""
    task = plain_task(
        packed,
        epochs=5,
        adversarial__epochs=2,
        schedule="constant",
        adversarial__schedule="cosine",
        warmup_steps=2,
    )
    assert task.steps(1) == task.steps(5) == STEPS
    assert [task.rates(1, step)[0] for step in range(3)] == pytest.approx(
        [1e-3 / 3, 2e-3 / 3, 1e-3]
    )
    assert task.rates(3, 2) == (1e-3, 0.0)
    assert task.rates(4, 0) == (1e-4, 1e-3)
    assert task.rates(5, 0) == pytest.approx((1e-4 * 1.05 / 2, 1e-3 * 1.05 / 2))
    of_cosine = 0.05 + 0.95 * (1 + math.cos(math.pi * 5 / 6)) / 2
    assert task.rates(5, 2) == pytest.approx((1e-4 * of_cosine, 1e-3 * of_cosine))


def test_every_step_learns_at_its_rate(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the optimizers are set to is what the schedule says of that step."""
    used: list[tuple[float, ...]] = []
    for name, learners in (("pixel_step", 1), ("adversarial_step", 2)):
        real = getattr(loop, name)

        def noting(*arguments: Any, real: Step = real, learners: int = learners) -> Found:
            groups = [each.optimizers[0].param_groups[0] for each in arguments[:learners]]
            used.append(tuple(group["lr"] for group in groups))
            return real(*arguments)

        monkeypatch.setattr(loop, name, noting)
    changes = {"epochs": 2, "adversarial__schedule": "cosine"}
    run(packed, **changes)
    task = plain_task(packed, **changes)
    assert used == [
        *((task.rates(1, step)[0],) for step in range(STEPS)),
        *(task.rates(2, step) for step in range(STEPS)),
    ]


def test_every_epoch_draws_its_own_crops(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crops asked for are those of the settings' seed and of the epoch's number, all of them,
    by the threads that there are.
    """
    real, asked = loop.epoch_batches, []

    def noting(source: CropSource, epoch: int, **options: Any) -> Any:
        asked.append((source, epoch, options))
        return real(source, epoch, **options)

    monkeypatch.setattr(loop, "epoch_batches", noting)
    run(packed, epochs=2, adversarial__epochs=0, seed=5, hardware=Hardware(threads=2))
    sources, epochs, options = zip(*asked, strict=True)
    assert epochs == (1, 2)
    assert list(options) == 2 * [{"first_step": 0, "part": (0, 1), "threads": 2, "pinned": False}]
    for source in sources:
        assert (source.rows, source.batch_size, source.seed) == (TRAIN_ROWS, 4, 5)
        assert source.crops == settings().crops
    assert sources[0].difficulty is sources[1].difficulty, "what was found is kept"


def test_adversarial_epochs_draw_their_own_crops(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another size and number, in as many steps as that gives; rates fall over those steps."""
    real, asked = loop.epoch_batches, []

    def noting(source: CropSource, epoch: int, **options: Any) -> Any:
        asked.append((source.crops.size, source.crops.per_image, epoch))
        return real(source, epoch, **options)

    monkeypatch.setattr(loop, "epoch_batches", noting)
    changes = {"adversarial__crops__size": 48, "adversarial__crops__per_image": 2}
    task = plain_task(packed, **changes, adversarial__schedule="cosine")
    assert [task.steps(epoch) for epoch in (1, 2, 3)] == [3, 3, 2]
    halfway = 0.05 + 0.95 / 2
    assert task.rates(3, 1) == pytest.approx((1e-4 * halfway, 1e-3 * halfway))
    run(packed, **changes)
    assert asked == [(32, 3, 1), (32, 3, 2), (48, 2, 3)]


def test_the_last_pixel_epochs_have_their_own_image_term(packed: Packed) -> None:
    """With two fine ones of four, the third and the fourth; all else of the loss stays, and the
    adversarial epochs have the usual one.
    """
    loss = {**SETTINGS["loss"], "image": "l1", "fine_image": "psnr", "total_variation": 0.5}
    task = plain_task(packed, epochs=6, adversarial__epochs=2, fine_epochs=2, loss=loss)
    found = [task.objective(epoch).weights for epoch in range(1, 7)]
    assert [each.image for each in found] == ["l1", "l1", "psnr", "psnr", "l1", "l1"]
    usual = task.settings.loss
    assert all(each.model_copy(update={"image": "l1"}) == usual for each in found)
    never = plain_task(packed, epochs=2, adversarial__epochs=0, loss=loss)
    assert [never.objective(epoch).weights.image for epoch in (1, 2)] == ["l1", "l1"]


def test_every_step_has_the_loss_of_its_epoch(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `Task.objective` says is what the steps are given."""
    used: list[str] = []
    for name in ("pixel_step", "adversarial_step"):
        real = getattr(loop, name)

        def noting(*arguments: Any, real: Step = real) -> Found:
            (objective,) = (each for each in arguments if isinstance(each, Objective))
            used.append(objective.weights.image)
            return real(*arguments)

        monkeypatch.setattr(loop, name, noting)
    run(packed, fine_epochs=1)
    assert used == ["l1"] * STEPS + ["psnr"] * STEPS + ["l1"] * STEPS


def test_networks_see_the_crops_in_unit_range(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of the crops, divided by 255, in as many channels as the generator has; without a
    margin all of it counts.
    """
    seen: list[Crops] = []
    real = loop.pixel_step

    def noting(generator: Any, crops: Crops, *rest: Any) -> Found:
        seen.append(crops)
        return real(generator, crops, *rest)

    monkeypatch.setattr(loop, "pixel_step", noting)
    generator = {**SETTINGS["generator"], "channels": 3}
    run(packed, epochs=1, adversarial__epochs=0, generator=generator)
    task = plain_task(packed)
    drawn = loop.epoch_batches(task.source(1), 1)
    for given, batch in zip(seen, drawn, strict=True):
        assert given.counted is None
        for image, crop in ((given.lr, batch.lr), (given.hr, batch.hr)):
            assert image.shape == (4, 3, *crop.shape[2:])
            for channel in range(3):
                assert torch.equal(image[:, channel : channel + 1], crop.float() / 255)


# ------------------------------------------------------------------ interruptions


def opened(folder: Path) -> contextlib.AbstractContextManager[Store]:
    """Open the store as the next process does."""
    return resume.opened(folder, {"run": 1})


def die_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Make training raise when it would take more steps."""
    taken: list[int] = []
    for name in ("pixel_step", "adversarial_step"):
        real = getattr(loop, name)

        def mortal(*arguments: Any, real: Step = real) -> Found:
            if len(taken) == steps:
                raise DeathError
            taken.append(1)
            return real(*arguments)

        monkeypatch.setattr(loop, name, mortal)


def live_for(
    steps: int, packed: Packed, content: ContentFeatures | None, folder: Path, **options: Any
) -> tuple[int, int]:
    """Train for some steps and die; return the epoch and the step that are saved, (1, 0) if none
    is.
    """
    with pytest.MonkeyPatch.context() as patch, opened(folder) as store:
        die_after(patch, steps)
        with pytest.raises(DeathError):
            run(packed, content, store=store, **options)
        state = store.load()
    return (state["epoch"], state["steps"]) if state else (1, 0)


def test_a_training_interrupted_after_every_step_is_the_same(
    packed: Packed, content: ContentFeatures, first: TrainingResult, tmp_path: Path
) -> None:
    """Nine processes that each live for one step, through both stages and the change between them:
    bit for bit the weights and the history of one.
    """
    for steps in range(1, 3 * STEPS):
        at = live_for(1, packed, content, tmp_path, save_seconds=0, **WITH_CONTENT)
        assert at == (1 + steps // STEPS, steps % STEPS)
    with opened(tmp_path) as store:
        assert same(run(packed, content, store=store, save_seconds=0, **WITH_CONTENT), first)


@pytest.mark.parametrize("steps", [0, 2, 4, 6, 7])
def test_steps_since_the_last_save_are_taken_again(
    packed: Packed,
    content: ContentFeatures,
    first: TrainingResult,
    tmp_path: Path,
    steps: int,
) -> None:
    """Saved at the end of each epoch alone, it goes on from there: before anything was saved, in
    the middle of either stage, and where the stage changes.
    """
    at = live_for(steps, packed, content, tmp_path, **WITH_CONTENT)
    assert at == (1 + steps // STEPS, 0)
    told: list[EpochRecord] = []
    with opened(tmp_path) as store:
        assert same(run(packed, content, told, store, **WITH_CONTENT), first)
    assert told == first.history


@pytest.mark.parametrize("epoch", [2, 3])
def test_an_epoch_whose_validation_was_interrupted_is_validated(
    packed: Packed,
    content: ContentFeatures,
    first: TrainingResult,
    tmp_path: Path,
    epoch: int,
) -> None:
    """All its steps are saved: none is taken again, and the sums of its losses are those."""
    real = loop._validate

    def die(*arguments: Any) -> Mapping[str, float]:
        deaths.append(1)
        if len(deaths) == epoch:
            raise DeathError
        return real(*arguments)

    deaths: list[int] = []
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path) as store:
        patch.setattr(loop, "_validate", die)
        with pytest.raises(DeathError):
            run(packed, content, store=store, save_seconds=0, **WITH_CONTENT)
        state = store.load()
        assert state is not None
        assert (state["epoch"], state["steps"]) == (epoch, STEPS)
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path) as store:
        die_after(patch, STEPS * (3 - epoch))
        assert same(run(packed, content, store=store, save_seconds=0, **WITH_CONTENT), first)


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_fault_while_an_epoch_is_told_costs_no_step(
    packed: Packed,
    content: ContentFeatures,
    first: TrainingResult,
    tmp_path: Path,
    epoch: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The epoch is saved before it is told: the next process tells it, and goes on after it."""

    def fail(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise DeathError

    with opened(tmp_path) as store, pytest.raises(DeathError):
        run(packed, content, store=store, on_epoch=fail, **WITH_CONTENT)
    capsys.readouterr()
    told: list[EpochRecord] = []
    with opened(tmp_path) as store:
        assert same(run(packed, content, told, store, **WITH_CONTENT), first)
    assert told == first.history
    going_on = f"going on with an interrupted training: epoch {epoch + 1}, step 0 of {STEPS}"
    done = "this training is done already"
    assert (going_on if epoch < 3 else done) in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes", [{}, {"ema": 0.0, "schedule": "constant"}, {**ALL_OF_CROPS, "fine_epochs": 1}]
)
def test_other_settings_go_on_too(packed: Packed, tmp_path: Path, changes: dict[str, Any]) -> None:
    """With clipping, weight decay, warm-up, a U-Net and the relativistic form; all of crops."""
    changes = {
        "epochs": 2,
        "gradient_clip": 0.1,
        "weight_decay": 0.01,
        "warmup_steps": 4,
        "adversarial__schedule": "cosine",
        "adversarial__discriminator": {**SETTINGS["adversarial"]["discriminator"], "name": "unet"},
        "adversarial__form": "relativistic",
        "loss__total_variation": 0.1,
        **changes,
    }
    wanted = run(packed, **changes)
    for steps, at in ((2, (1, 2)), (3, (2, 2))):
        assert live_for(steps, packed, None, tmp_path, save_seconds=0, **changes) == at
    with opened(tmp_path) as store:
        assert same(run(packed, store=store, save_seconds=0, **changes), wanted)


def test_a_finished_training_returns_at_once(
    packed: Packed,
    content: ContentFeatures,
    first: TrainingResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed while outputs were written: the same result, every epoch told, without a step or a
    validation; what is kept for that is small.
    """
    with opened(tmp_path) as store:
        run(packed, content, store=store, **WITH_CONTENT)
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path) as store:
        die_after(patch, 0)
        patch.setattr(loop, "super_resolve", lambda *_: pytest.fail("it validates"))
        told: list[EpochRecord] = []
        again = run(packed, content, told, store, **WITH_CONTENT)
    assert same(again, first)
    assert told == first.history
    assert not again.generator.training
    assert "done already; its outputs are written again" in capsys.readouterr().out
    state = store.load()
    assert state is not None
    assert state["stage"]["generator"] is state["stage"]["discriminator"] is None


def test_a_training_that_starts_says_nothing_of_going_on(
    packed: Packed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line an epoch; what goes on says from which step."""
    changes = {"epochs": 1, "adversarial__epochs": 0}
    live_for(2, packed, None, tmp_path, save_seconds=0, **changes)
    assert capsys.readouterr().out == ""
    with opened(tmp_path) as store:
        run(packed, store=store, **changes)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"going on with an interrupted training: epoch 1, step 2 of {STEPS}"
    assert second.startswith("epoch 1/1 pixel: loss ")


def saves(
    packed: Packed, folder: Path, seconds: float, pace: Callable[[int], float]
) -> list[tuple[int, int]]:
    """Train an epoch of 40 steps, the n-th of which takes `pace(n)` seconds of a made clock; return
    the epochs and steps that were saved.
    """
    saved: list[tuple[int, int]] = []
    now = [0.0]
    real = Store.save

    def step(*_: Any) -> Found:
        steps.append(1)
        now[0] += pace(len(steps))
        return {name: torch.tensor(1.0) for name in ("total", "image", "gradient_norm")}

    def noting(store: Store, state: Mapping[str, Any]) -> None:
        saved.append((state["epoch"], state["steps"]))
        real(store, state)

    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patch, opened(folder) as store:
        patch.setattr(loop, "pixel_step", step)
        patch.setattr(saver.time, "monotonic", lambda: now[0])
        patch.setattr(Store, "save", noting)
        changes = {"epochs": 1, "adversarial__epochs": 0, "crops__per_image": 40}
        run(packed, store=store, save_seconds=seconds, **changes)
    return saved


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
    packed: Packed,
    tmp_path: Path,
    seconds: float,
    pace: Callable[[int], float],
    expected: list[int],
) -> None:
    """Without asking for the time in every step; the end of the epoch is saved in any case."""
    steps = [(1, step) for step in expected]
    assert saves(packed, tmp_path, seconds, pace) == [*steps, (2, 0)]


# ------------------------------------------------------------------ what goes wrong


def with_faults(
    monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[int, dict[str, Tensor]], None]
) -> None:
    """Let `change` alter what the n-th call (from 1) of a step finds."""
    real, calls = getattr(loop, name), []

    def faulty(*arguments: Any) -> Found:
        calls.append(1)
        found = dict(real(*arguments))
        change(len(calls), found)
        return found

    monkeypatch.setattr(loop, name, faulty)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """The message names the epoch and the settings to change; no record is told of it."""

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        found["total"] = torch.tensor(value)

    told: list[EpochRecord] = []
    with_faults(monkeypatch, "pixel_step", spoil)
    wanted = f"total loss is {value} in epoch 1: lower train.learning_rate.*train.gradient_clip: 1"
    with pytest.raises(TrainingError, match=wanted):
        run(packed, told=told, adversarial__epochs=0)
    assert told == []


def test_one_nan_among_many_steps_is_seen(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN of an early step is not averaged away by later ones."""

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        if call == 2:
            found["total"] = found["total"] * math.nan

    with_faults(monkeypatch, "pixel_step", spoil)
    with pytest.raises(TrainingError, match="epoch 1"):
        run(packed, adversarial__epochs=0)


def test_a_nan_stops_a_long_epoch_early(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only at its end: two looks after it, and the discriminator's too."""
    monkeypatch.setattr(watch, "REPORT_EVERY", 2)
    taken: list[int] = []

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        taken.append(call)
        if call == 3:
            found["discriminator"] = torch.tensor(math.nan)

    with_faults(monkeypatch, "adversarial_step", spoil)
    with pytest.raises(TrainingError, match="discriminator loss is nan in epoch 2"):
        run(packed, epochs=2, adversarial__crops__per_image=12)
    assert taken[-1] == 6


def test_a_nan_is_never_saved_as_the_end_of_an_epoch(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk is from before it, so that nothing goes on from weights that are none."""

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        if call == STEPS + 1:
            found["total"] = torch.tensor(math.nan)

    with_faults(monkeypatch, "pixel_step", spoil)
    with opened(tmp_path) as store, pytest.raises(TrainingError, match="epoch 2"):
        run(packed, store=store, adversarial__epochs=0)
    state = store.load()
    assert state is not None
    assert (state["epoch"], state["steps"]) == (2, 0)
    assert all(
        bool(value.isfinite().all())
        for value in state["stage"]["generator"]["network"].values()
        if value.is_floating_point()
    )


# real, fake, real_accuracy, fake_accuracy
Seen = tuple[float, float, float, float]


def discriminate(monkeypatch: pytest.MonkeyPatch, scores: Callable[[int], Seen]) -> None:
    """Let the discriminator give in its n-th step (from 1) what `scores` says; nothing learns.

    The losses are looked at in every second step, and the discriminator over four.
    """
    calls: list[int] = []

    def step(*_: Any) -> Found:
        calls.append(1)
        names = ("real", "fake", "real_accuracy", "fake_accuracy")
        found = dict.fromkeys(("total", "image", "gradient_norm", "discriminator"), 1.0)
        found |= dict(zip(names, scores(len(calls)), strict=True))
        return {name: torch.tensor(value) for name, value in found.items()}

    monkeypatch.setattr(watch, "REPORT_EVERY", 2)
    monkeypatch.setattr(watch, "DISCRIMINATOR_EVERY", 4)
    monkeypatch.setattr(loop, "adversarial_step", step)


def warnings_in(captured: str) -> list[str]:
    """Return the lines that warn."""
    return [line for line in captured.splitlines() if "warning:" in line]


@pytest.mark.parametrize(
    ("real", "fake", "state", "advice"),
    [
        (0.5, 0.5, "blind", "raise train.adversarial.discriminator.learning_rate"),
        (0.999, 0.001, "saturated", "lower train.adversarial.discriminator.learning_rate"),
    ],
)
def test_a_discriminator_that_collapsed_is_told_within_the_epoch(
    packed: Packed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    real: float,
    fake: float,
    state: str,
    advice: str,
) -> None:
    """Once while it runs, with the steps that were looked at and what to do, and at its end."""
    discriminate(monkeypatch, lambda call: (real, fake, 1, 1))
    result = run(packed, epochs=2, adversarial__crops__per_image=20)
    during, after = warnings_in(capsys.readouterr().err)
    assert f"the discriminator is {state} in epoch 2, steps 2 to 6: " in during
    assert f"the discriminator is {state} in epoch 2: " in after
    assert advice in during
    assert advice in after
    assert result.history[1].d_state == state


def test_what_counts_are_the_latest_steps_of_a_discriminator(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that collapses late is warned of, though the mean of its epoch is still healthy."""
    discriminate(monkeypatch, lambda call: (0.9, 0.1, 1, 1) if call <= 12 else (0.5, 0.5, 1, 1))
    result = run(packed, epochs=2, adversarial__crops__per_image=20)
    (warning,) = warnings_in(capsys.readouterr().err)
    assert "the discriminator is blind in epoch 2, steps 14 to 18" in warning
    assert result.history[1].d_state == "healthy"


def test_a_healthy_discriminator_is_not_warned_of(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is there anything to warn of in the pixel stage; the line says how often it was right."""
    discriminate(monkeypatch, lambda call: (0.7, 0.4, 0.75, 0.5))
    run(packed, epochs=2, adversarial__crops__per_image=20)
    captured = capsys.readouterr()
    assert warnings_in(captured.err) == []
    assert "discriminator right on 75% of HR and 50% of SR" in captured.out.splitlines()[-1]


def test_images_that_do_not_suit_the_crops_are_refused(packed: Packed) -> None:
    """Before any work is done: too small for the crop, or too few for a batch."""
    with pytest.raises(DataError, match="smaller than the crop"):
        run(packed, crops__size=80)
    with pytest.raises(DataError, match="do not fill a batch"):
        run(packed, batch_size=16)
    with pytest.raises(DataError, match="smaller than the crop of 80"):
        run(packed, adversarial__crops__size=80)
    with pytest.raises(DataError, match="4 training images with 1 crops each do not fill a batch"):
        run(packed, batch_size=8, adversarial__crops__per_image=1)
    with pytest.raises(SettingsError, match=r"crops\.margin is 4 LR pixels, which leaves nothing"):
        run(packed, crops__margin=4)


@pytest.mark.parametrize("processes", [3, 8])
def test_a_batch_that_processes_cannot_share_is_refused(packed: Packed, processes: int) -> None:
    """The message gives both numbers and both ways out; a divisor passes."""
    task = plain_task(packed)
    for divisor in (1, 2, 4):
        task.check(divisor)
    wanted = rf"batch_size is 4, which {processes} processes.*SRPIPE_PROCESSES to a divisor"
    with pytest.raises(SettingsError, match=wanted):
        task.check(processes)


def test_a_saved_history_is_the_history(packed: Packed, tmp_path: Path) -> None:
    """Every field of a record survives the file, None and text too."""
    with opened(tmp_path) as store:
        result = run(packed, store=store, epochs=2)
        state = store.load()
    assert state is not None
    assert state["history"] == [asdict(record) for record in result.history]
    assert [EpochRecord(**each) for each in state["history"]] == result.history
    assert replace(result.history[0], epoch=9) != result.history[0]
