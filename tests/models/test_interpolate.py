"""Between two generators lies a line of generators; its ends are the two themselves."""

from typing import Any

import pytest
import torch

from srpipe.core.errors import CheckpointError
from srpipe.models.interpolate import interpolate, same_weights
from tests.models.made import loaded


@pytest.mark.parametrize("architecture", ["swift_srgan", "srgan", "plain_sr"])
@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_between_two_generators_every_weight_is_between(architecture: str, alpha: float) -> None:
    """Weights and statistics on the line, counts the nearer one's; the parents do not change."""
    skip = architecture == "plain_sr"
    a, b = (loaded(seed, architecture, bicubic_skip=skip) for seed in range(2))
    before = [{k: v.clone() for k, v in each.model.state_dict().items()} for each in (a, b)]
    made = interpolate(a, b, alpha)
    assert (made.architecture, made.hyperparameters, made.scale) == (
        architecture,
        a.hyperparameters,
        a.scale,
    )
    assert made.record == {}
    assert not made.model.training
    for name, value in made.model.state_dict().items():
        start, end = before[0][name], before[1][name]
        if value.is_floating_point():
            wanted = (1 - alpha) * start.double() + alpha * end.double()
            torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-6)
        else:
            assert int(value) == (100 if alpha < 0.5 else 200)
    for each, state in zip((a, b), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in each.model.state_dict().items())


@pytest.mark.parametrize("alpha", [0, 0.0, 1, 1.0])
def test_the_ends_are_the_generators_themselves(alpha: float) -> None:
    """Bit by bit: signs of zero, numbers near the largest, and counts."""
    a, b = loaded(0), loaded(1)
    for each, extreme in ((a, 3e38), (b, -3e38)):
        bias = each.model.state_dict()["final_conv.pointwise.bias"]
        bias.fill_(extreme)
        each.model.state_dict()["initial.act.weight"].fill_(-0.0)
    wanted = (b if alpha else a).model.state_dict()
    for name, value in interpolate(a, b, alpha).model.state_dict().items():
        assert value.numpy().tobytes() == wanted[name].numpy().tobytes(), name


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.7])
def test_a_generator_mixed_with_itself_is_itself(alpha: float) -> None:
    """What did not change in training does not change in between."""
    assert same_weights(interpolate(loaded(0), loaded(0), alpha), loaded(0))


@pytest.mark.parametrize("alpha", [-0.01, 1.01, float("nan"), float("inf")])
def test_an_alpha_outside_is_refused(alpha: float) -> None:
    """There is nothing beyond the two ends."""
    with pytest.raises(ValueError, match=f"alpha is {alpha}: must be from 0"):
        interpolate(loaded(0), loaded(1), alpha)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"features": 4}, r"differ in features \(8 and 4\) cannot"),
        ({"scale": 4, "blocks": 3}, r"differ in blocks \(2 and 3\); scale \(2 and 4\) cannot"),
        ({"bicubic_skip": True}, r"bicubic_skip \(False and True\)"),
        ({"architecture": "srgan"}, r"architecture \(swift_srgan and srgan\)"),
    ],
)
def test_generators_that_are_built_differently_are_refused(
    other: dict[str, Any], told: str
) -> None:
    """All that differs is named, with both values."""
    with pytest.raises(CheckpointError, match=told):
        interpolate(loaded(0), loaded(0, **other), 0.5)
    assert not same_weights(loaded(0), loaded(0, **other))


def test_same_weights_sees_one_number() -> None:
    """Records do not count; statistics do."""
    a, b = loaded(0), loaded(0)
    assert same_weights(a, b)
    b.model.state_dict()["residual.0.block1.bn.running_mean"][3] += 1e-6
    assert not same_weights(a, b)
