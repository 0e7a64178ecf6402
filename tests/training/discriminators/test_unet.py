"""The U-Net discriminator gives one logit a pixel, from layers that cannot raise their signal."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.optim import Adam

from srpipe.models.srresnet import upscale_bicubic
from srpipe.training.discriminators.unet import UNetDiscriminator


def discriminator(*, channels: int = 1, features: int = 4) -> UNetDiscriminator:
    """Return a tiny discriminator in train mode."""
    torch.manual_seed(0)
    return UNetDiscriminator(channels=channels, features=features)


def crops(count: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return HR `(count, 1, 64, 64)` and the same less its detail: a hundredth of brightness."""
    slow = torch.rand(count, 1, 4, 4, generator=numbers) * 0.6 + 0.2
    slow = F.interpolate(slow, size=64, mode="bicubic", align_corners=False)
    hr = slow + 0.01 * torch.randn(count, 1, 64, 64, generator=numbers)
    return hr, upscale_bicubic(F.avg_pool2d(hr, 4), 4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (96, 96), (48, 80)])
def test_one_logit_a_pixel(channels: int, size: tuple[int, int]) -> None:
    """From 32 px on, whatever the shape."""
    logits = discriminator(channels=channels)(torch.rand(2, channels, *size))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    "shape", [(1, 1, 36, 32), (1, 1, 32, 44), (1, 1, 24, 32), (1, 3, 32, 32), (1, 32, 32), (32, 32)]
)
def test_a_shape_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    """Sides that are no multiples of 8 or below 32, other channels, no batch."""
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\), H and W multiples of 8 and at least 32"):
        discriminator()(torch.rand(shape))


def test_it_has_the_published_plan() -> None:
    """Ten convolutions; three halve the sides, three work on doubled ones; eight are normalised."""
    network = discriminator()
    layers = [network.get_submodule(f"conv{index}") for index in range(10)]
    seen: list[tuple[int, int]] = []
    for layer in layers:
        layer.register_forward_hook(lambda *call: seen.append((call[2].shape[1], call[2].shape[2])))
    network(torch.rand(1, 1, 64, 64))
    downward, upward = [(4, 64), (8, 32), (16, 16), (32, 8)], [(16, 16), (8, 32), (4, 64)]
    assert seen == [*downward, *upward, (4, 64), (4, 64), (1, 64)]
    assert [layer.kernel_size[0] for layer in layers] == [3, 4, 4, 4, 3, 3, 3, 3, 3, 3]
    normalised = [parametrize.is_parametrized(layer, "weight") for layer in layers]
    assert normalised == [False, *[True] * 8, False]
    assert [layer.bias is None for layer in layers] == normalised


def test_no_normalised_layer_raises_its_signal() -> None:
    """However large the weights that are learned, the largest singular value is 1."""
    network = discriminator(features=8)
    layers = [layer for layer in network.children() if parametrize.is_parametrized(layer)]
    with torch.no_grad():
        for layer in layers:
            original = layer.parametrizations.weight.original
            original.mul_(20).add_(torch.randn_like(original))
        for _ in range(40):
            network(torch.rand(1, 1, 32, 32))
    network.eval()
    for layer in layers:
        assert (
            torch.linalg.matrix_norm(
                layer.parametrizations.weight.original.flatten(1), ord=2
            ).item()
            > 5
        )
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert largest == pytest.approx(1, abs=0.02)


def test_it_ends_in_a_logit() -> None:
    """There is no sigmoid: a larger last bias moves the output without limit."""
    network = discriminator().eval()
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        before = network(image)
        network.conv9.bias += 100
        assert torch.allclose(network(image), before + 100, atol=1e-3)


def test_every_weight_learns() -> None:
    """No layer is left out of the gradient."""
    network = discriminator()
    network(torch.rand(2, 1, 32, 32)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().max() > 0, name


def test_brightness_is_not_hidden() -> None:
    """Images without any detail, of other brightness, get other logits."""
    network = discriminator().eval()
    dark, bright = torch.full((1, 1, 64, 64), 0.2), torch.full((1, 1, 64, 64), 0.8)
    with torch.no_grad():
        difference = (network(dark) - network(bright))[0, 0, 32, 32].item()
    assert abs(difference) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_it_starts_undecided(seed: int) -> None:
    """Whatever the weights drawn, HR and SR start near a probability of one half."""
    torch.manual_seed(seed)
    network = UNetDiscriminator(features=64)
    hr, sr = crops(1, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        logits = network(torch.cat([hr, sr]))
    assert logits.abs().mean() < 0.3


def test_it_learns_to_tell_hr_from_blurred_and_where() -> None:
    """In 60 steps it is right at most pixels of unseen crops that differ by a hundredth.

    An image that is HR on the left and blurred on the right gets such logits, pixel by pixel.
    """
    network = discriminator(features=8)
    optimizer = Adam(network.parameters(), lr=3e-4, betas=(0.9, 0.99))
    numbers = torch.Generator().manual_seed(1)
    for _ in range(60):
        hr, sr = crops(4, numbers)
        optimizer.zero_grad()
        (F.softplus(-network(hr)).mean() + F.softplus(network(sr)).mean()).backward()
        optimizer.step()
    hr, sr = crops(16, numbers)
    half = torch.cat([hr[..., :32], sr[..., 32:]], dim=3)
    with torch.no_grad():
        right = ((network(hr) > 0).float().mean() + (network(sr) < 0).float().mean()) / 2
        logits = network(half)
    assert right > 0.75
    assert (logits[..., :24].mean((1, 2, 3)) > logits[..., 40:].mean((1, 2, 3)) + 0.5).all()


def test_bfloat16_gives_the_logits_of_float32() -> None:
    """Under autocast the logits are the same to rounding, and every weight still learns."""
    network = discriminator(features=8).eval()
    hr, _ = crops(2, torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(hr)
    assert logits.dtype == torch.bfloat16
    expected = network(hr)
    assert (logits.float() - expected).abs().mean() < 0.05 * expected.std()
    logits.float().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


def test_frozen_it_still_teaches_the_image() -> None:
    """As in the generator's step: no weight gets a gradient, the image does."""
    network = discriminator().requires_grad_(False)
    image = torch.rand(1, 1, 32, 32, requires_grad=True)
    network(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() > 1e-6
    assert all(weight.grad is None for weight in network.parameters())
