"""plain_sr starts at bicubic, learns, and does all its work at the LR image's size."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srpipe.imaging.resample import bicubic, to_grey
from srpipe.models.base import SRGenerator, local_detail, upscale_bicubic
from srpipe.models.plain_sr import NOISE, PlainSR, deepened

SCALES = pytest.mark.parametrize("scale", [2, 4, 8])


def tiny(**changes: Any) -> PlainSR:
    """Return a tiny generator."""
    torch.manual_seed(0)
    return PlainSR(**{"features": 8, "blocks": 2, **changes})


def randomise(model: nn.Module) -> None:
    """Give every weight a value of its own, as training would."""
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_((torch.rand(value.shape, generator=numbers) - 0.5) * 0.6)


def picture(height: int = 12, width: int = 14) -> Tensor:
    """Return an LR batch `(2, 1, H, W)` of noise with a bright corner, which overshoots."""
    image = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0)) * 0.5
    image[..., :5, -7:] = 1
    return image


@SCALES
@pytest.mark.parametrize("size", [(3, 3), (6, 7), (33, 20)])
def test_scale_is_what_it_says(scale: int, size: tuple[int, int]) -> None:
    """Both sides grow by the scale, of images down to 3x3."""
    model = tiny(scale=scale)
    assert isinstance(model, SRGenerator)
    assert model(picture(*size)).shape == (2, 1, scale * size[0], scale * size[1])


@SCALES
def test_it_starts_exactly_at_bicubic(scale: int) -> None:
    """Before training the output is the interpolation to the bit, clipped in eval mode."""
    lr, model = picture(), tiny(scale=scale)
    plain = upscale_bicubic(lr, scale)
    assert plain.max() > 1, "the picture must overshoot for the clipping to be seen"
    with torch.no_grad():
        assert torch.equal(model.train()(lr), plain)
        assert torch.equal(model.eval()(lr), plain.clamp(0, 1))


@SCALES
def test_bicubic_is_pillows(scale: int) -> None:
    """Rounded to 8 bits, the start is the first baseline."""
    # Without overshoots, which Pillow clips between its two passes.
    lr = ((picture()[0, 0] * 0.5 + 0.2) * 255).round()
    with torch.no_grad():
        sr = tiny(scale=scale).eval()(lr[None, None] / 255)
    wanted = bicubic(lr.to(torch.uint8).numpy(), scale).astype(int)
    difference = abs(to_grey(sr[0, 0].numpy()).astype(int) - wanted)
    assert difference.max() <= 1


def test_eval_output_stays_in_range() -> None:
    """Whatever the weights: clipped to [0, 1] in eval, left alone while training."""
    model = tiny()
    randomise(model)
    with torch.no_grad():
        model.tail.weight.mul_(1000)
        sr = model.eval()(picture())
        assert (sr.min(), sr.max()) == (0, 1)
        free = model.train()(picture())
        assert free.max() > 1
        assert free.min() < 0
        assert torch.equal(free.clamp(0, 1), sr)


@SCALES
def test_all_work_is_done_at_the_lr_images_size(scale: int) -> None:
    """No convolution sees or makes a larger map, and none is of a smaller kind than dense 3x3."""
    model, sizes = tiny(scale=scale), set()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.groups) == ((3, 3), 1)
            module.register_forward_hook(
                lambda _, given, made: sizes.update((given[0].shape[2:], made.shape[2:]))
            )
    model(picture(10, 13))
    assert sizes == {(10, 13)}


@pytest.mark.parametrize(("features", "blocks", "scale"), [(8, 2, 4), (16, 0, 2), (64, 8, 4)])
def test_its_size_follows_from_its_arguments(features: int, blocks: int, scale: int) -> None:
    """A convolution from 2 channels, the hidden ones, and one to scale * scale channels."""
    model = PlainSR(features=features, blocks=blocks, scale=scale)
    outputs = scale**2
    wanted = 9 * features * (2 + features * blocks + outputs) + features * (1 + blocks) + outputs
    assert sum(weight.numel() for weight in model.parameters()) == wanted
    assert [tuple(value.shape) for value in model.state_dict().values()][-1] == (outputs,)


def test_hidden_layers_start_by_handing_on_what_they_get() -> None:
    """An identity in the kernel's centre, and noise that is little beside it; the last layer is 0
    and no layer has a bias.
    """
    model = PlainSR(features=64, blocks=4)
    for convolution in model.body:
        centre = convolution.weight[:, :, 1, 1]
        assert torch.allclose(centre.diagonal().mean(), torch.tensor(1.0), atol=0.05)
        noise = convolution.weight.detach().clone()
        noise[:, :, 1, 1] -= torch.eye(64)
        usual = (2 / (9 * 64)) ** 0.5
        assert float(noise.std()) == pytest.approx(NOISE * usual, rel=0.05)
    assert NOISE < 0.5
    assert not model.tail.weight.any()
    assert not any(m.bias.any() for m in model.modules() if isinstance(m, nn.Conv2d))


def test_the_network_sees_detail_and_grey_level() -> None:
    """A brighter image has the same first channel, and a second one that says so."""
    seen: list[Tensor] = []
    model = tiny()
    model.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    lr = picture() * 0.5
    for image in (lr, lr + 0.25):
        model(image)
    assert torch.allclose(seen[0][:, :1], local_detail(lr))
    assert torch.allclose(seen[0][:, :1], seen[1][:, :1], atol=1e-5)
    assert torch.allclose(seen[1][:, 1:] - seen[0][:, 1:], torch.full((2, 1, 12, 14), 0.25))


def test_eval_output_does_not_depend_on_the_batch() -> None:
    """An image alone and in company give the same result."""
    model = tiny().double().eval()
    randomise(model)
    lr = picture().double()
    with torch.no_grad():
        assert torch.allclose(model(lr)[1:], model(lr[1:]), rtol=0, atol=1e-10)


def test_it_learns_in_a_few_steps() -> None:
    """What bicubic lacks on one small image: the error falls to less than half, in all layers."""
    numbers = torch.Generator().manual_seed(0)
    lr = torch.rand(4, 1, 12, 12, generator=numbers) * 0.6 + 0.2
    hr = nn.functional.interpolate(lr, scale_factor=2, mode="nearest")
    model = tiny(scale=2, features=16).train()
    before = [weight.detach().clone() for weight in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (model(lr) - hr).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
    start = (upscale_bicubic(lr, 2) - hr).square().mean()
    assert losses[0] == pytest.approx(float(start))
    for weight, was in zip(model.parameters(), before, strict=True):
        assert not torch.equal(weight, was)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 8, 8), (8, 8), (1, 1, 1, 8, 8)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """The message gives the shape allowed and the shape given."""
    with pytest.raises(ValueError, match=r"LR must be \(N, 1, H, W\), got"):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scale": 3}, "scale is 3: must be one of"),
        ({"channels": 2}, "channels is 2"),
        ({"channels": 3}, "channels is 3: plain_sr is grey, it must be 1"),
        ({"bicubic_skip": False}, "bicubic_skip is false.*must be true"),
    ],
)
def test_wrong_hyperparameters_are_refused(given: dict[str, Any], told: str) -> None:
    """There is one form: grey, with the skip, at 2x, 4x or 8x."""
    with pytest.raises(ValueError, match=told):
        tiny(**given)


@pytest.mark.parametrize(("former", "blocks"), [(2, 2), (2, 3), (2, 7), (8, 12), (1, 2)])
def test_a_deepened_network_makes_the_same_image(former: int, blocks: int) -> None:
    """To the bit: former layers keep their order and their weights, new ones are identities. In
    float64, and so by no algorithm (such as Winograd's) that rounds what an identity hands on.
    """
    small, large = tiny(blocks=former).double().eval(), tiny(blocks=blocks).double().eval()
    randomise(small)
    large.load_state_dict(deepened(small.state_dict(), blocks))
    lr = picture().double()
    with torch.no_grad():
        assert torch.equal(large(lr), small(lr))
        assert (small(lr) - upscale_bicubic(lr, 4)).abs().max() > 0.01

    identity = torch.zeros(8, 8, 3, 3, dtype=torch.float64)
    identity[:, :, 1, 1] = torch.eye(8)
    kernels = [module.weight for module in large.body]
    kept = [kernel for kernel in kernels if not torch.equal(kernel, identity)]
    assert len(kept) == former
    for ours, theirs in zip(kept, small.body, strict=True):
        assert torch.equal(ours, theirs.weight)


def test_new_layers_are_spread_evenly() -> None:
    """No two of four among eight are neighbours."""
    small = tiny(blocks=8)
    randomise(small)
    weights = deepened(small.state_dict(), 12)
    new = [index for index in range(12) if not weights[f"body.{index}.bias"].any()]
    assert new == [2, 5, 8, 11]


def test_layers_are_not_taken_away() -> None:
    with pytest.raises(ValueError, match="it has 3 hidden layers, more than 2"):
        deepened(tiny(blocks=3).state_dict(), 2)
