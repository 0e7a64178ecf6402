"""Which weights Muon learns and how its steps compare with torch's own on the same matrices."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SwiftSRGAN
from srpipe.training.optimizers import ConvolutionMuon, optimizers_of

LAYOUTS = (torch.contiguous_format, torch.channels_last)
BETAS = (0.9, 0.999)


def kernel(layout: torch.memory_format, seed: int = 0) -> nn.Parameter:
    """Return a convolution's weight with a gradient, both in a memory layout."""
    numbers = torch.Generator().manual_seed(seed)
    made = nn.Parameter(torch.randn(32, 16, 3, 3, generator=numbers).to(memory_format=layout))
    made.grad = torch.randn(32, 16, 3, 3, generator=numbers).to(memory_format=layout)
    return made


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("of_gradient", LAYOUTS, ids=str)
def test_a_step_is_that_of_torch_on_the_matrix(
    layout: torch.memory_format, of_gradient: torch.memory_format
) -> None:
    """In either layout of weight and gradient, over several steps, with decay: the same bits, as
    the matrix has its columns in the order in which the kernel lies in memory.
    """

    def rows(of: Tensor) -> Tensor:
        axes = (0, 2, 3, 1) if layout == torch.channels_last else (0, 1, 2, 3)
        return of.detach().permute(axes).reshape(32, -1)

    weight = kernel(layout)
    gradients = [kernel(of_gradient, seed).grad for seed in range(1, 4)]
    matrix = nn.Parameter(rows(weight).clone())
    ours = ConvolutionMuon([weight], lr=0.01, weight_decay=0.1)
    theirs = Muon([matrix], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        assert gradient is not None
        weight.grad = gradient
        matrix.grad = rows(gradient)
        ours.step()
        theirs.step()
    assert torch.equal(rows(weight), matrix)
    assert not torch.equal(rows(weight), rows(kernel(layout)))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_all_directions_are_learned_alike(layout: torch.memory_format) -> None:
    """The step of a gradient that is nearly of rank one has singular values of one size."""
    weight = kernel(layout)
    before = weight.detach().clone()
    strong = torch.outer(torch.linspace(-1, 1, 32), torch.linspace(1, 2, 144))
    weight.grad = (strong.reshape(32, 16, 3, 3) + 0.01 * kernel(layout, 1).detach()).contiguous(
        memory_format=layout
    )
    of_gradient = torch.linalg.svdvals(weight.grad.reshape(32, -1))
    ConvolutionMuon([weight], lr=0.01, weight_decay=0.0).step()
    of_step = torch.linalg.svdvals((before - weight.detach()).reshape(32, -1))
    assert float(of_gradient[0] / of_gradient[16]) > 50
    assert float(of_step[0] / of_step[-4]) < 3
    # As large as a step of AdamW would be: 0.2 times the learning rate, root mean square.
    rms = float((before - weight.detach()).square().mean().sqrt())
    assert rms == pytest.approx(0.01 * 0.2, rel=0.3)


@pytest.mark.parametrize("none", [True, False])
def test_gradients_are_forgotten(none: bool) -> None:
    """Those of the kernels themselves, so that the next step does not see them again."""
    weight = kernel(torch.channels_last)
    optimizer = ConvolutionMuon([weight], lr=0.01, weight_decay=0.0)
    optimizer.zero_grad(set_to_none=none)
    before = weight.detach().clone()
    assert (weight.grad is None) == none
    optimizer.step()
    assert torch.equal(weight, before)


def weights(network: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    """Return the names of the weights that share their memory with what an optimizer changes."""
    changed = {each.data_ptr() for group in optimizer.param_groups for each in group["params"]}
    return {name for name, each in network.named_parameters() if each.data_ptr() in changed}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_each_weight_has_one_optimizer(layout: torch.memory_format) -> None:
    """Muon the dense kernels, AdamW the rest: thin layers, depthwise kernels, biases, slopes."""
    plain: nn.Module = PlainSR(features=16, blocks=2).to(memory_format=layout)  # type: ignore[call-overload]
    adamw, muon = optimizers_of(plain, "muon", lr=1e-3, betas=BETAS, weight_decay=0.5)
    assert isinstance(muon, ConvolutionMuon)
    assert weights(plain, muon) == {"body.0.weight", "body.1.weight", "tail.weight"}
    assert weights(plain, adamw) == {n for n, _ in plain.named_parameters()} - weights(plain, muon)
    assert adamw.param_groups[0]["betas"] == BETAS
    assert [each.param_groups[0]["weight_decay"] for each in (adamw, muon)] == [0.5, 0.5]

    swift: nn.Module = SwiftSRGAN(features=16, blocks=2).to(memory_format=layout)  # type: ignore[call-overload]
    adamw, muon = optimizers_of(swift, "muon", lr=1e-3, betas=BETAS, weight_decay=0.0)
    named = dict(swift.named_parameters())
    assert all(min(named[name].shape[:2]) >= 16 for name in weights(swift, muon))
    assert len(weights(swift, muon)) >= 4
    learned = {name for name, each in named.items() if each.requires_grad}
    assert weights(swift, adamw) == learned - weights(swift, muon)


def test_adamw_alone_has_all_weights() -> None:
    """That learn; where Muon would have none, it is not replaced in silence."""
    plain = PlainSR(features=16, blocks=2)
    (adamw,) = optimizers_of(plain, "adamw", lr=1e-3, betas=BETAS, weight_decay=0.0)
    assert isinstance(adamw, AdamW)
    assert weights(plain, adamw) == {name for name, _ in plain.named_parameters()}
    plain.body.requires_grad_(False)
    plain.tail.requires_grad_(False)
    (adamw,) = optimizers_of(plain, "adamw", lr=1e-3, betas=BETAS, weight_decay=0.0)
    assert weights(plain, adamw) == {"head.weight", "head.bias"}
    with pytest.raises(ValueError, match="muon: no kernel has 16 inputs and 16 outputs"):
        optimizers_of(plain, "muon", lr=1e-3, betas=BETAS, weight_decay=0.0)


def test_a_kernel_that_moves_is_not_left_behind() -> None:
    """Its matrix would be another's memory, and it would never learn."""
    plain: nn.Module = PlainSR(features=16, blocks=2)
    _, muon = optimizers_of(plain, "muon", lr=1e-3, betas=BETAS, weight_decay=0.0)
    plain.double()
    with pytest.raises(RuntimeError, match="moved"):
        muon.step()


def test_a_kernel_of_another_layout_is_refused() -> None:
    """A matrix that shares its memory cannot be made of it."""
    strided = torch.randn(16, 16, 3, 6)[..., ::2]
    with pytest.raises(RuntimeError):
        ConvolutionMuon([strided], lr=1e-3, weight_decay=0.0)


def test_a_saved_state_goes_on_bit_for_bit() -> None:
    """Momentum included: two steps, a copy of the state, two more are four steps."""

    def learn(network: PlainSR, steps: range) -> None:
        for step in steps:
            x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
            for each in optimizers[id(network)]:
                each.zero_grad()
            loss: Tensor = network(x).square().mean()
            loss.backward()
            for each in optimizers[id(network)]:
                each.step()

    torch.manual_seed(0)
    straight = PlainSR(features=16, blocks=2)
    nn.init.normal_(straight.tail.weight)
    resumed = copy.deepcopy(straight)
    optimizers = {
        id(each): optimizers_of(each, "muon", lr=1e-2, betas=BETAS, weight_decay=0.0)
        for each in (straight, resumed)
    }
    learn(straight, range(4))
    learn(resumed, range(2))
    other = copy.deepcopy(resumed)
    optimizers[id(other)] = optimizers_of(other, "muon", lr=1.0, betas=BETAS, weight_decay=0.0)
    for new, old in zip(optimizers[id(other)], optimizers[id(resumed)], strict=True):
        new.load_state_dict(copy.deepcopy(old.state_dict()))
    learn(other, range(2, 4))
    for ours, theirs in zip(other.parameters(), straight.parameters(), strict=True):
        assert torch.equal(ours, theirs)
