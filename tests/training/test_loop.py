"""Training repeats bit for bit, goes through its stages in order, and stops at a NaN."""

import math
from typing import Any

import pytest
import torch

from srpipe.crops import CropPlan
from srpipe.errors import DataError, TrainingError
from srpipe.inference import super_resolve
from srpipe.losses import GeneratorLoss
from srpipe.models.content import ContentFeatures, load_content
from srpipe.packed import Packed
from srpipe.resample import bicubic
from srpipe.scoring.metrics import reference, score
from srpipe.settings import Content, Train
from srpipe.training import loop
from srpipe.training.history import EpochRecord
from srpipe.training.loop import TrainingResult, train

TRAIN_ROWS = [0, 1, 2, 3]
VALIDATION_ROWS = [4, 5]
SETTINGS: dict[str, Any] = {
    "seed": 0,
    "epochs": 3,
    "adversarial_epochs": 1,
    "batch_size": 4,
    "crop": 32,
    "crops_per_image": 3,
    "learning_rate": 1e-3,
    "adversarial_learning_rate": 1e-4,
    "precision": "fp32",
    "validation_images": 2,
    "generator": {
        "name": "swift_srgan",
        "channels": 1,
        "features": 8,
        "blocks": 1,
        "bicubic_skip": True,
    },
    "discriminator": {"features": 4, "learning_rate": 1e-3},
    "loss": {"image": "l1", "adversarial": 0.01, "content": 0.01, "total_variation": 0.0},
    "content": {"network": "efficientnet_lite0", "weights": None},
}


@pytest.fixture(scope="module")
def content() -> ContentFeatures:
    """Return the packaged feature network."""
    return load_content(Content(network="efficientnet_lite0", weights=None))


def run(
    packed: Packed,
    content: ContentFeatures | None,
    told: list[EpochRecord] | None = None,
    **changes: Any,
) -> TrainingResult:
    """Train with changed settings."""
    return train(
        packed,
        TRAIN_ROWS,
        VALIDATION_ROWS,
        Train.model_validate({**SETTINGS, **changes}),
        content=content,
        device="cpu",
        on_epoch=(told if told is not None else []).append,
    )


@pytest.fixture(scope="module")
def told() -> list[EpochRecord]:
    """Return the list that the first training reports its epochs to."""
    return []


@pytest.fixture(scope="module")
def first(packed: Packed, content: ContentFeatures, told: list[EpochRecord]) -> TrainingResult:
    """Train once; the tests below look at it."""
    return run(packed, content, told)


def test_the_same_settings_give_the_same_weights(
    packed: Packed, content: ContentFeatures, first: TrainingResult
) -> None:
    """Every bit of every weight and every number of the history, whatever was drawn before."""
    torch.rand(7)
    again = run(packed, content)
    assert again.history == first.history
    state = again.generator.state_dict()
    for name, value in first.generator.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_another_seed_gives_other_weights(
    packed: Packed, content: ContentFeatures, first: TrainingResult
) -> None:
    """The seed decides the start and the crops."""
    other = run(packed, content, seed=1)
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
    last = first.history[2]
    assert last.d_state in ("healthy", "blind", "saturated")
    assert None not in (last.loss_adversarial, last.loss_content, last.loss_discriminator)
    assert last.loss_total_variation is None


def test_every_step_trains_the_statistics_too(first: TrainingResult) -> None:
    """BatchNorm sees the crops of all nine steps, and validation leaves it alone."""
    norms = [m for m in first.generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 3
    assert all(int(norm.num_batches_tracked) == 9 for norm in norms)
    assert all(norm.running_mean.abs().max() > 0 for norm in norms)


def test_every_number_is_finite(first: TrainingResult) -> None:
    """Losses, scores and rates; the discriminator's scores are probabilities."""
    for record in first.history:
        assert all(math.isfinite(value) for value in record.numbers().values())
        assert record.psnr > 10
        assert 0 < record.ssim <= 1
    assert 0 < first.history[2].d_real < 1
    assert 0 < first.history[2].d_fake < 1


def test_the_loss_told_is_the_weighted_mean_of_its_terms(first: TrainingResult) -> None:
    """In a pixel epoch the total is the image term; later the weights of the settings count."""
    assert first.history[0].loss == first.history[0].loss_image
    last = first.history[2]
    wanted = last.loss_image + 0.01 * last.loss_adversarial + 0.01 * last.loss_content
    assert last.loss == pytest.approx(wanted, rel=1e-5)


def test_the_rate_falls_and_then_is_the_adversarial_one(first: TrainingResult) -> None:
    """A cosine from the rate set, in steps; halfway it is halfway to a twentieth."""
    rates = [record.learning_rate for record in first.history]
    assert rates == pytest.approx([1e-3, (1e-3 + 5e-5) / 2, 1e-4])


def test_each_epoch_is_told_once(first: TrainingResult, told: list[EpochRecord]) -> None:
    """In order, with the record that the history keeps."""
    assert told == first.history


def test_validation_scores_are_those_of_the_evaluation(
    packed: Packed, first: TrainingResult
) -> None:
    """The last record's scores are what the scorer says of the generator that is handed back."""
    assert not first.generator.training
    scores = [
        score(
            super_resolve(first.generator, packed.lr(row)),
            reference(packed.hr(row), packed.lr(row)),
        )
        for row in VALIDATION_ROWS
    ]
    last = first.history[-1]
    assert last.psnr == pytest.approx(sum(each.psnr for each in scores) / 2)
    assert last.ssim == pytest.approx(sum(each.ssim for each in scores) / 2)
    assert last.psnr_masked == pytest.approx(sum(each.psnr_masked for each in scores) / 2)


def test_pixel_training_beats_bicubic(packed: Packed) -> None:
    """The skip starts at bicubic; a few epochs on tiny images are enough to pass it."""
    result = run(packed, None, epochs=4, adversarial_epochs=0, crops_per_image=8)
    start = [
        score(bicubic(packed.lr(row), 4), reference(packed.hr(row), packed.lr(row))).psnr
        for row in VALIDATION_ROWS
    ]
    assert result.history[-1].psnr > sum(start) / 2 + 0.02
    assert result.history[-1].psnr > result.history[0].psnr


@pytest.mark.parametrize("name", ["swift_srgan", "srgan"])
def test_colour_generators_train_on_grey(packed: Packed, name: str) -> None:
    """Both architectures with three channels take grey crops, in bf16 too."""
    generator = {**SETTINGS["generator"], "name": name, "channels": 3}
    loss = {**SETTINGS["loss"], "content": 0.0, "total_variation": 0.1}
    result = run(
        packed,
        None,
        epochs=2,
        crops_per_image=1,
        precision="bf16",
        generator=generator,
        loss=loss,
    )
    assert result.generator.channels == 3
    assert result.history[0].loss_total_variation > 0
    assert result.history[1].d_real is not None


def test_a_loss_that_is_not_finite_stops_training(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the epoch and the settings to lower; no record is told of it."""

    real = loop.pixel_step

    def faulty(*arguments: Any) -> GeneratorLoss:
        real(*arguments)
        nan = torch.tensor(math.nan)
        return GeneratorLoss(nan, nan, None, None, None)

    told: list[EpochRecord] = []
    monkeypatch.setattr(loop, "pixel_step", faulty)
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 1/3 .*: lower train"):
        run(packed, None, told, adversarial_epochs=0)
    assert told == []


def test_one_nan_among_many_steps_is_seen(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN of an early step is not averaged away by later ones."""
    real, calls = loop.pixel_step, []

    def faulty_once(*arguments: Any) -> GeneratorLoss:
        losses = real(*arguments)
        calls.append(1)
        if len(calls) == 2:
            return GeneratorLoss(losses.total * math.nan, losses.image, None, None, None)
        return losses

    monkeypatch.setattr(loop, "pixel_step", faulty_once)
    with pytest.raises(TrainingError, match="epoch 1"):
        run(packed, None, adversarial_epochs=0)


def test_the_discriminator_has_its_own_rate(packed: Packed) -> None:
    """A discriminator that hardly moves stays undecided; a quick one learns to tell SR from HR."""
    loss = {**SETTINGS["loss"], "content": 0.0}
    slow, quick = (
        run(
            packed,
            None,
            epochs=2,
            crops_per_image=8,
            loss=loss,
            discriminator={"features": 4, "learning_rate": rate},
        ).history[1]
        for rate in (1e-9, 1e-2)
    )
    assert abs(slow.d_real - slow.d_fake) < 0.02
    assert slow.loss_discriminator == pytest.approx(math.log(2), abs=0.02)
    assert quick.loss_discriminator != pytest.approx(slow.loss_discriminator, abs=0.02)


def test_every_epoch_draws_its_own_crops(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crops asked for are those of the settings' seed and of the epoch's number."""
    real, asked = loop.epoch_batches, []

    def recording(packed: Packed, rows: list[int], plan: CropPlan, epoch: int) -> Any:
        asked.append((rows, plan, epoch))
        return real(packed, rows, plan, epoch)

    monkeypatch.setattr(loop, "epoch_batches", recording)
    run(packed, None, epochs=2, adversarial_epochs=0, seed=5)
    plan = CropPlan(crop=32, batch_size=4, crops_per_image=3, seed=5)
    assert asked == [(TRAIN_ROWS, plan, 1), (TRAIN_ROWS, plan, 2)]


def test_images_that_do_not_suit_the_crops_are_refused(packed: Packed) -> None:
    """Before any work is done: too small for the crop, or too few for a batch."""
    with pytest.raises(DataError, match="smaller than the crop"):
        run(packed, None, crop=80)
    with pytest.raises(DataError, match="do not fill a batch"):
        run(packed, None, batch_size=64)
