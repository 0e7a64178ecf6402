"""Training repeats bit for bit, goes on after any interruption as if there had been none, goes
through its stages in order, and stops at a NaN.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from srpipe.core.errors import TrainingError
from srpipe.data.packed import Packed
from srpipe.imaging.resample import bicubic
from srpipe.metrics.features import ContentFeatures
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.inference import super_resolve
from srpipe.models.plain_sr import PlainSR
from srpipe.settings.train import Content
from srpipe.training import loop, resume, watch
from srpipe.training.content import load_content
from srpipe.training.crops.batches import epoch_batches
from srpipe.training.crops.source import CropSource
from srpipe.training.history import EpochRecord
from srpipe.training.loop import TrainingResult, train
from srpipe.training.losses import Objective
from srpipe.training.precision import choose
from srpipe.training.resume import Store
from srpipe.training.state import Hardware
from srpipe.training.steps import Crops
from tests import survival
from tests.memory import limited
from tests.training.small import SETTINGS, STEPS, VALIDATION_ROWS, task

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
    given = task(packed, content, **changes)
    kind = given.settings.adversarial.discriminator.name
    hardware = replace(
        hardware or Hardware(),
        precision=choose(given.settings.precision, "cpu", kind),
        save_seconds=save_seconds,
    )
    return train(
        given,
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


# ------------------------------------------------------------------ what a step is given


def test_every_step_is_given_what_the_task_says(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crops of its epoch in unit range, in as many channels as the generator has; the loss, the
    rates and the bound of the gradients.
    """
    taken: list[tuple[Crops, Objective, float, tuple[float, ...]]] = []
    for name in ("pixel_step", "adversarial_step"):
        real = getattr(loop, name)

        def noting(*arguments: Any, real: Step = real) -> Found:
            *learners, crops, objective, _, clip = arguments
            rates = tuple(each.optimizers[0].param_groups[0]["lr"] for each in learners)
            taken.append((crops, objective, clip, rates))
            return real(*arguments)

        monkeypatch.setattr(loop, name, noting)
    changes = {
        "fine_epochs": 1,
        "gradient_clip": 0.25,
        "schedule": "cosine",
        "generator": {**SETTINGS["generator"], "channels": 3},
        "adversarial__schedule": "cosine",
        "adversarial__crops__size": 48,
    }
    run(packed, hardware=Hardware(threads=2), **changes)
    given, steps = task(packed, **changes), iter(taken)
    for epoch in (1, 2, 3):
        for step, batch in enumerate(epoch_batches(given.source(epoch), epoch)):
            crops, objective, clip, rates = next(steps)
            for image, bytes_ in ((crops.lr, batch.lr), (crops.hr, batch.hr)):
                assert torch.equal(image, (bytes_.float() / 255).expand(-1, 3, -1, -1))
            assert crops.counted is None
            assert objective == given.objective(epoch)
            assert clip == 0.25
            assert rates == given.rates(epoch, step)[: len(rates)]
            assert len(rates) == (2 if epoch == 3 else 1)
    assert next(steps, None) is None


@pytest.mark.parametrize("threads", [1, 3])
def test_crops_are_cut_by_the_threads_there_are(
    packed: Packed, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """On the CPU without page-locked memory, which is for GPUs."""
    real, asked = loop.epoch_batches, []

    def noting(source: CropSource, epoch: int, **options: Any) -> Any:
        asked.append((options["threads"], options["pinned"]))
        return real(source, epoch, **options)

    monkeypatch.setattr(loop, "epoch_batches", noting)
    run(packed, epochs=1, adversarial__epochs=0, hardware=Hardware(threads=threads))
    assert asked == [(threads, False)]


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
    images: list[int] = []

    def die(*arguments: Any) -> Any:
        images.append(1)
        if len(images) == epoch * len(VALIDATION_ROWS):
            raise DeathError
        return super_resolve(*arguments)

    with pytest.MonkeyPatch.context() as patch, opened(tmp_path) as store:
        patch.setattr(loop, "super_resolve", die)
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


def test_a_nan_of_one_step_stops_training(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of its epoch at the latest: later steps do not hide it, and the epoch is not
    reported.
    """

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        if call == STEPS + 2:
            found["total"] = found["total"] * math.nan

    reported: list[EpochRecord] = []
    with_faults(monkeypatch, "pixel_step", spoil)
    with pytest.raises(TrainingError, match="total loss is nan in epoch 2"):
        run(packed, told=reported, adversarial__epochs=0)
    assert [record.epoch for record in reported] == [1]


def test_a_nan_stops_a_long_epoch_early(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses are watched while it runs, the discriminator's too."""
    taken: list[int] = []

    def spoil(call: int, found: dict[str, Tensor]) -> None:
        taken.append(call)
        if call == 3:
            found["discriminator"] = torch.tensor(math.nan)

    with_faults(monkeypatch, "adversarial_step", spoil)
    with pytest.raises(TrainingError, match="discriminator loss is nan in epoch 2"):
        run(packed, epochs=2, adversarial__crops__per_image=3 * watch.REPORT_EVERY)
    assert len(taken) == 2 * watch.REPORT_EVERY


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


@pytest.mark.parametrize(("adversarial", "key"), [(0, "train"), (1, "train.adversarial")])
def test_too_little_memory_for_a_step(tmp_path: Path, adversarial: int, key: str) -> None:
    """The stage ends in one message: what was trained on, how much was wanted, which settings help.

    In a process of its own, with 300 MB to spare; the epoch that fails is a pixel epoch, or the
    adversarial one that follows, with larger crops and a large discriminator.
    """
    folder = survival.workspace(tmp_path / "workspace", epochs=1 + adversarial)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    train = params["train"]
    train.update(batch_size=128)
    large = {"size": 64, "per_image": 32}
    train["adversarial"].update(epochs=adversarial, crops=large)
    if adversarial:
        train["crops"]["per_image"] = 32
        train["adversarial"]["discriminator"]["features"] = 32
    else:
        train["crops"].update(large)
        train["generator"]["features"] = 64
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    done = limited(
        "import stages.train, torch, numpy as np\n"
        "from srpipe.models.checkpoint import load_generator\n"
        "from srpipe.models.inference import unrounded\n"
        "from srpipe.models.released import weights_file\n"
        "model = load_generator(weights_file('swift_srgan_x4')).model\n"
        "unrounded(model, np.zeros((32, 32), np.uint8))\n",
        300_000_000,
        "stages.train.main()\n",
        folder,
    )
    assert done.returncode == 1, done.stderr
    message = done.stderr.replace("\r", "\n").splitlines()[-1]
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert message.startswith(
        "error: memory does not suffice for training on 128 crops of 64x64 pixels on cpu: another "
    )
    assert message.endswith(
        f" MB were not to be had. Lower train.batch_size or {key}.crops.size, or close other "
        "programs."
    )
