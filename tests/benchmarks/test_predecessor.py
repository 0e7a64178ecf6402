"""The predecessor's step does what its description says, no more and no less."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import predecessor
from srpipe.models.srresnet import SwiftSRGAN


@pytest.fixture(scope="module")
def networks() -> predecessor.Networks:
    """Return its networks."""
    torch.manual_seed(0)
    return predecessor.build("cpu")


def images() -> tuple[Tensor, Tensor]:
    """Return two RGB images, LR and HR."""
    numbers = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, 16, 16, generator=numbers), torch.rand(2, 3, 64, 64, generator=numbers)


def test_its_generator_is_the_published_one() -> None:
    """With the same weights it gives what our Swift-SRGAN gives in its published form; but its 9x9
    convolution sees 64 maps as large as the SR image, which ours avoids.
    """
    torch.manual_seed(0)
    theirs, ours = predecessor.Generator(), SwiftSRGAN(channels=3, bicubic_skip=False)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    seen: list[Any] = []
    theirs.final_conv.depthwise.register_forward_hook(
        lambda module, given, out: seen.append((given[0].shape, module.kernel_size))
    )
    lr, _ = images()
    for training in (True, False):
        sr = theirs.train(training)(lr)
        assert sr.shape == (2, 3, 64, 64)
        assert sr.std() > 1e-4
        torch.testing.assert_close(ours.train(training)(lr), sr, rtol=0, atol=1e-5)
    assert seen == [((2, 64, 64, 64), (9, 9))] * 2


def test_the_released_weights_are_its_generators(published_checkpoint: Path) -> None:
    """Key by key."""
    state = torch.load(published_checkpoint, map_location="cpu", weights_only=True)
    predecessor.Generator().load_state_dict(state["model"], strict=True)


def test_a_step_takes_the_passes_that_it_is_said_to(networks: predecessor.Networks) -> None:
    """In order: network, whether its output has a gradient to take, train mode."""
    passes: list[tuple[str, bool, bool]] = []

    def watch(name: str) -> Any:
        return lambda module, given, out: passes.append((name, out.requires_grad, module.training))

    watched = ("generator", "discriminator", "content")
    handles = [getattr(networks, name).register_forward_hook(watch(name)) for name in watched]
    predecessor.step(networks, *images())
    for handle in handles:
        handle.remove()
    assert passes == [
        ("generator", False, True),
        ("discriminator", True, True),
        ("discriminator", True, True),
        ("generator", True, True),
        ("discriminator", False, True),
        ("content", False, False),
        ("content", False, False),
    ]


def test_a_step_learns_what_it_is_said_to(networks: predecessor.Networks) -> None:
    """Its generator from MSE and TV alone, although the adversarial and the content term are
    computed; its discriminator from 1 - D(HR) + D(SR). Both change; four numbers are fetched.
    """
    lr, hr = images()
    sr = networks.generator(lr)
    learnable = [each for each in networks.generator.parameters() if each.requires_grad]
    total = F.mse_loss(sr, hr) + 2e-8 * predecessor.variation(sr)
    wanted = torch.autograd.grad(total, learnable, allow_unused=True)
    with torch.no_grad():
        real, fake = networks.discriminator(hr), networks.discriminator(sr)
    trained = (networks.generator, networks.discriminator, networks.content)
    before = [_sum(each) for each in trained]
    found = predecessor.step(networks, lr, hr)
    changed = [one != other for one, other in zip(before, map(_sum, trained), strict=True)]
    assert changed == [True, True, False]
    for weight, gradient in zip(learnable, wanted, strict=True):
        if gradient is None:
            assert weight.grad is None
        else:
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-8)
    assert set(found) == {"generator", "discriminator", "real", "fake"}
    assert found["real"] == pytest.approx(float(real.mean()), abs=1e-4)
    assert found["discriminator"] == pytest.approx(float((1 - real + fake).mean()), abs=1e-4)


def test_its_loader_decodes_and_shrinks(tmp_path: Path) -> None:
    """Grey becomes RGB; LR is Pillow's bicubic, rounded to bytes."""
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "image.png")
    lr, hr = predecessor.read_item(tmp_path / "image.png")
    small = np.asarray(Image.fromarray(grey).resize((16, 16), Image.Resampling.BICUBIC))
    for tensor, image in ((lr, small), (hr, grey)):
        assert tensor.shape == (3, *image.shape)
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.mul(255).round().byte().numpy(), np.stack([image] * 3))


def _sum(network: nn.Module) -> float:
    return float(sum(weight.detach().double().sum() for weight in network.parameters()))
