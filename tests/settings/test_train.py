"""What follows from the settings of a training."""

import pytest

from srpipe.settings.train import Crops, Train
from tests.settings.valid import changed


def train(**changes: object) -> Train:
    """Return valid settings with keys of the section changed; `__` stands for the dot."""
    keys = {f"train.{name.replace('__', '.')}": value for name, value in changes.items()}
    return Train.model_validate(changed(keys)["train"])


def test_pixel_epochs_are_those_without_a_discriminator() -> None:
    assert train(epochs=7, adversarial__epochs=3).pixel_epochs == 4


def test_adversarial_epochs_draw_alike_in_a_size_of_their_own() -> None:
    """Size and number are theirs; markers, turns and the rest are those of the pixel epochs."""
    settings = train(
        crops__candidates=8,
        crops__markers=0.25,
        crops__margin=3,
        adversarial__crops__size=48,
        adversarial__crops__per_image=5,
    )
    wanted = {**settings.crops.model_dump(), "size": 48, "per_image": 5}
    assert settings.adversarial_crops == Crops.model_validate(wanted)
    assert (settings.crops.size, settings.crops.per_image) == (96, 2)


@pytest.mark.parametrize(
    ("epochs", "weight", "expected"), [(1, 0.006, True), (0, 0.006, False), (1, 0, False)]
)
def test_the_feature_network_is_used_where_its_term_counts(
    epochs: int, weight: float, expected: bool
) -> None:
    """Only adversarial epochs with a content weight need it."""
    assert train(adversarial__epochs=epochs, loss__content=weight).uses_content is expected
