"""BatchNorm over two processes is BatchNorm over the batch that they share."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srpipe.models.srresnet import SwiftSRGAN
from srpipe.training.ema import Ema
from srpipe.training.processes import Group
from srpipe.training.synchronised import SynchronisedBatchNorm2d, synchronise
from tests.training.pair import in_two

# Two processes sum in another order than one, which differs between CPUs, too. In float64 that is
# far below this fraction, and what is wrong is far above it.
TOLERANCE = 1e-12


def norm(kind: type[nn.BatchNorm2d]) -> nn.BatchNorm2d:
    """Return a BatchNorm with weights of its own."""
    made = kind(3, momentum=0.2).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        made.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    return made


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Return input and targets `(4, 3, 5, 6)`; mean and spread differ by channel and by image."""
    numbers = torch.Generator().manual_seed(step)
    x, target = torch.randn(2, 4, 3, 5, 6, generator=numbers).double()
    image = torch.arange(4.0)[:, None, None, None]
    return x * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + image - 2, target


def learn(layer: nn.BatchNorm2d, part: slice) -> dict[str, Any]:
    """Train on a part of two batches, look at a third in eval mode; return all that came of it."""
    found: dict[str, Any] = {}
    for step in range(2):
        x, target = (each[part] for each in batch(step))
        x.requires_grad_()
        layer.zero_grad()
        y = layer(x)
        # Not linear in y, so that the gradient of the statistics is not 0.
        (y * target + y.pow(3) / 9).sum().backward()
        found[f"{step}.y"], found[f"{step}.x.grad"] = y.detach(), x.grad
        found[f"{step}.weight.grad"] = layer.weight.grad.clone()
        found[f"{step}.bias.grad"] = layer.bias.grad.clone()
    with torch.no_grad():
        found["eval.y"] = layer.eval()(batch(2)[0][part])
    return {**found, **layer.state_dict()}


def learn_together(group: Group) -> dict[str, Any]:
    """Train on this process's part."""
    return learn(norm(SynchronisedBatchNorm2d), slice(group.rank, None, group.size))


def shifted(group: Group | None) -> Tensor:
    """Normalise values far from 0: this process's part of them, or all in float64.

    They are multiples of 1/16, so that their sum is exact in float32, whatever its order.
    """
    numbers = torch.Generator().manual_seed(5)
    x = (torch.randn(4, 2, 8, 8, generator=numbers) * 16).round() / 16 + 3000
    if group is None:
        return nn.BatchNorm2d(2).double()(x.double()).detach().float()
    return SynchronisedBatchNorm2d(2)(x[group.rank :: group.size]).detach()


def generate(group: Group | None, kind: torch.dtype = torch.float64) -> dict[str, Any]:
    """Let a whole generator learn, from this process's part of a batch or from all of it; in
    float64, or in float32 under autocast to bfloat16.
    """
    torch.manual_seed(0)
    wide = torch.float32 if kind is torch.bfloat16 else kind
    model = SwiftSRGAN(channels=1, features=4, blocks=1, scale=2).to(wide)
    model = synchronise(model, "cpu") if group else model
    lr = torch.rand(4, 1, 6, 8, generator=torch.Generator().manual_seed(1)).to(wide)
    part = lr[group.rank :: group.size] if group else lr
    part = part.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind is torch.bfloat16):
        sr = model(part)
    sr.to(wide).square().sum().backward()
    gradients = {f"{n}.grad": w.grad for n, w in model.named_parameters() if w.grad is not None}
    return {"sr": sr.detach().to(wide), **gradients, **model.state_dict()}


def all_work(group: Group) -> dict[str, Any]:
    """Do all that the tests below look at."""
    return {
        "learnt": learn_together(group),
        "shifted": shifted(group),
        "generated": generate(group),
        "bf16": generate(group, torch.bfloat16),
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two processes found."""
    return in_two(all_work, tmp_path_factory.mktemp("two"))


def close(a: Tensor, b: Tensor, name: str, tolerance: float = TOLERANCE) -> None:
    """Assert that two tensors are equal to the tolerance, as a fraction of the largest value."""
    largest = max(1.0, float(b.abs().max()))
    assert (a - b).abs().max() <= tolerance * largest, name


def test_outputs_are_those_of_the_whole_batch(two: list[dict[str, Any]]) -> None:
    """Each image's, in training and in eval mode."""
    whole = learn(norm(nn.BatchNorm2d), slice(None))
    for name in ("0.y", "1.y", "eval.y"):
        for rank in range(2):
            close(two[rank]["learnt"][name], whole[name][rank::2], name)


def test_gradients_are_those_of_the_whole_batch(two: list[dict[str, Any]]) -> None:
    """The input's image by image; the weights' are parts of a sum, which DDP makes a mean."""
    whole = learn(norm(nn.BatchNorm2d), slice(None))
    for step in range(2):
        name = f"{step}.x.grad"
        for rank in range(2):
            close(two[rank]["learnt"][name], whole[name][rank::2], name)
        for name in (f"{step}.weight.grad", f"{step}.bias.grad"):
            close(two[0]["learnt"][name] + two[1]["learnt"][name], whole[name], name)


def test_statistics_are_those_of_the_whole_batch(two: list[dict[str, Any]]) -> None:
    """Mean, unbiased variance and count; the same bits in both processes, so none is sent."""
    whole = learn(norm(nn.BatchNorm2d), slice(None))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(two[0]["learnt"][name], two[1]["learnt"][name])
        close(two[0]["learnt"][name], whole[name], name)
    assert int(whole["num_batches_tracked"]) == 2


def test_half_the_batch_alone_is_something_else() -> None:
    """What the tests above would see if nothing were sent between the processes."""
    whole = learn(norm(nn.BatchNorm2d), slice(None))
    half = learn(norm(nn.BatchNorm2d), slice(0, None, 2))
    assert (half["0.y"] - whole["0.y"][::2]).abs().max() > 0.1
    assert (half["running_var"] - whole["running_var"]).abs().max() > 0.01


def test_a_large_mean_costs_no_digits(two: list[dict[str, Any]]) -> None:
    """3000 with a spread of 1: what is left to round is a sum of 256 squares, and the mean of all
    squares less the squared mean would have no digit right.
    """
    whole = shifted(None)
    for rank in range(2):
        largest = 256 * 2**-24 * whole.abs().max()
        assert (two[rank]["shifted"] - whole[rank::2]).abs().max() < largest


def test_a_generator_learns_as_from_the_whole_batch(two: list[dict[str, Any]]) -> None:
    """All its images, gradients and statistics, through three BatchNorms."""
    whole = generate(None)
    assert two[0]["generated"].keys() == whole.keys()
    for name, value in whole.items():
        ours, theirs = (two[rank]["generated"][name] for rank in range(2))
        if name == "sr":
            close(ours, value[::2], name)
            close(theirs, value[1::2], name)
        elif name.endswith(".grad"):
            close(ours + theirs, value, name)
        else:
            assert torch.equal(ours, theirs), name
            close(ours, value, name)


def test_bf16_is_as_close_as_bf16_is(two: list[dict[str, Any]]) -> None:
    """Under autocast statistics are still summed in float32."""
    whole = generate(None, torch.bfloat16)
    close(two[0]["bf16"]["sr"], whole["sr"][::2], "sr", 0.01)
    close(
        two[0]["bf16"]["convblock.bn.running_var"], whole["convblock.bn.running_var"], "var", 0.01
    )


# ------------------------------------------------------------------ conversion


def model() -> nn.Sequential:
    """Return a network with BatchNorms at two depths, and one of another kind."""
    inner = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))
    return nn.Sequential(inner, nn.BatchNorm2d(4), nn.BatchNorm1d(4))


def test_every_batchnorm_is_converted_in_place() -> None:
    """Weights, statistics, names and order stay: a checkpoint fits one process and many."""
    network = model()
    before = {name: value.data_ptr() for name, value in network.state_dict().items()}
    weights = [id(each) for each in network.parameters()]
    made = synchronise(network, "cpu")
    assert made is network
    assert {name: value.data_ptr() for name, value in made.state_dict().items()} == before
    assert [id(each) for each in made.parameters()] == weights
    assert type(made[0][1]) is type(made[1]) is SynchronisedBatchNorm2d
    assert type(made[2]) is nn.BatchNorm1d


def test_on_gpus_it_is_torchs_own() -> None:
    """With the same names in the checkpoint."""
    network = model()
    names = list(network.state_dict())
    for device in ("cuda", "cuda:1"):
        made = synchronise(copy.deepcopy(network), device)
        assert isinstance(made[0][1], nn.SyncBatchNorm)
        assert isinstance(made[1], nn.SyncBatchNorm)
        assert list(made.state_dict()) == names


def test_in_eval_mode_it_needs_no_other_process() -> None:
    """As the EMA that is validated and handed back, which is a copy of a converted network."""
    network = synchronise(nn.Sequential(norm(nn.BatchNorm2d)), "cpu")
    ema = Ema(network, 0.9).network
    assert isinstance(ema[0], SynchronisedBatchNorm2d)
    x = batch(0)[0]
    assert torch.equal(ema(x), norm(nn.BatchNorm2d).eval()(x))


@pytest.mark.parametrize("lacking", [{"track_running_stats": False}, {"momentum": None}])
def test_what_it_cannot_follow_is_refused(
    monkeypatch: pytest.MonkeyPatch, lacking: dict[str, Any]
) -> None:
    """Rather than that statistics are wrong in silence."""
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda value: None)
    with pytest.raises(ValueError, match="needs running statistics and a momentum"):
        SynchronisedBatchNorm2d(3, **lacking)(batch(0)[0])
