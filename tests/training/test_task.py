"""Each epoch of a task has its crops, its loss and its rates; an impossible task is refused."""

import math

import pytest
import torch

from srpipe.core.errors import DataError, SettingsError
from srpipe.data.packed import Packed
from srpipe.training.task import Progress
from tests.training.small import SETTINGS, STEPS, TRAIN_ROWS, settings, task
from tests.training.test_history import ADVERSARIAL, PIXEL


def test_each_stage_draws_its_own_crops(packed: Packed) -> None:
    """The adversarial epochs' have another size and number, and all else of the pixel epochs'; the
    number of steps follows, and the difficulty of the images is measured once for all.
    """
    given = task(packed, adversarial__crops__size=48, adversarial__crops__per_image=2, seed=5)
    sources = [given.source(epoch) for epoch in (1, 2, 3)]
    for source in sources:
        assert (source.rows, source.batch_size, source.seed) == (TRAIN_ROWS, 4, 5)
        assert source.difficulty is sources[0].difficulty
    assert [source.crops for source in sources] == [
        *[settings().crops] * 2,
        settings().crops.model_copy(update={"size": 48, "per_image": 2}),
    ]
    assert [given.adversarial(epoch) for epoch in (1, 2, 3)] == [False, False, True]
    assert [given.steps(epoch) for epoch in (1, 2, 3)] == [STEPS, STEPS, 2]


def test_each_stage_has_its_own_schedule(packed: Packed) -> None:
    """Its own rates, from its own first step to its own last; the discriminator's falls along."""
    given = task(
        packed,
        epochs=5,
        adversarial__epochs=2,
        adversarial__crops__per_image=2,
        schedule="constant",
        adversarial__schedule="cosine",
        warmup_steps=2,
    )
    rising = [given.rates(1, step)[0] for step in range(3)]
    assert rising == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert given.rates(3, 2) == (1e-3, 0.0)
    # Two steps an epoch: the fourth of four is three quarters on.
    for epoch, step, progress in ((4, 0, 0.0), (5, 0, 0.5), (5, 1, 0.75)):
        left = 0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2
        assert given.rates(epoch, step) == pytest.approx((1e-4 * left, 1e-3 * left))
    falling = task(packed)
    assert [falling.rates(epoch, 0)[0] for epoch in (1, 2, 3)] == pytest.approx(
        [1e-3, (1e-3 + 5e-5) / 2, 1e-4]
    )


def test_the_last_pixel_epochs_have_their_own_image_loss(packed: Packed) -> None:
    """With two fine ones of four, the third and the fourth; all else of the loss stays, and the
    adversarial epochs have the usual one.
    """
    loss = {**SETTINGS["loss"], "image": "l1", "fine_image": "psnr", "total_variation": 0.5}
    given = task(
        packed,
        epochs=6,
        adversarial__epochs=2,
        adversarial__form="hinge",
        fine_epochs=2,
        loss=loss,
    )
    objectives = [given.objective(epoch) for epoch in range(1, 7)]
    found = [each.weights for each in objectives]
    assert [each.image for each in found] == ["l1", "l1", "psnr", "psnr", "l1", "l1"]
    usual = given.settings.loss
    assert all(each.model_copy(update={"image": "l1"}) == usual for each in found)
    assert objectives[-1].form == "hinge"
    never = task(packed, epochs=2, adversarial__epochs=0, loss=loss)
    assert [never.objective(epoch).weights.image for epoch in (1, 2)] == ["l1", "l1"]


def test_images_that_do_not_suit_the_crops_are_refused(packed: Packed) -> None:
    """Of either stage, under the name of its settings: images smaller than the crop, too few for a
    batch, a margin that leaves nothing.
    """
    for changes, error, message in (
        ({"crops__size": 80}, DataError, r"smaller than the crop of 80.*train\.crops\.size"),
        ({"adversarial__crops__size": 80}, DataError, r"train\.adversarial\.crops\.size"),
        ({"batch_size": 16}, DataError, "do not fill a batch of 16"),
        (
            {"batch_size": 8, "adversarial__crops__per_image": 1},
            DataError,
            "4 training images with 1 crops each do not fill a batch of 8",
        ),
        ({"crops__margin": 4}, SettingsError, r"crops\.margin is 4 LR pixels, which leaves nothi"),
    ):
        with pytest.raises(error, match=message):
            task(packed, **changes).check(1)


@pytest.mark.parametrize("processes", [3, 8])
def test_a_batch_that_processes_cannot_share_is_refused(packed: Packed, processes: int) -> None:
    """The message gives both numbers and both ways out; a divisor passes."""
    given = task(packed)
    for divisor in (1, 2, 4):
        given.check(divisor)
    wanted = rf"batch_size is 4, which {processes} processes.*SRPIPE_PROCESSES to a divisor"
    with pytest.raises(SettingsError, match=wanted):
        given.check(processes)


def test_progress_sums_the_losses_of_an_epoch() -> None:
    """Each by its name, also those that only some steps have; the next epoch starts from none."""
    progress = Progress()
    progress.add({"total": torch.tensor(1.0)})
    progress.add({"total": torch.tensor(2.5), "real": torch.tensor(0.5)})
    assert (progress.epoch, progress.steps) == (1, 2)
    assert progress.sums == {"total": torch.tensor(3.5), "real": torch.tensor(0.5)}
    progress.next_epoch(PIXEL)
    assert (progress.epoch, progress.steps, progress.sums) == (2, 0, {})
    progress.next_epoch(ADVERSARIAL)
    assert progress.history == [PIXEL, ADVERSARIAL]
