"""The generators are the published ones, and the bicubic skip starts where it says."""

from pathlib import Path

import numpy as np
import pytest
import spandrel
import torch
from torch import Tensor, nn

from srpipe.models.base import SKIP_GAIN, local_detail, upscale_bicubic
from srpipe.models.checkpoint import LoadedGenerator, load_generator, save_plain
from srpipe.models.srresnet import (
    SRGAN,
    SeparableConv2d,
    SRResNet,
    SwiftSRGAN,
    UpsampleBlock,
    before_shuffle,
)
from tests.models.made import assert_same_images

BOTH = pytest.mark.parametrize("kind", [SwiftSRGAN, SRGAN])


def tiny(
    kind: type[SwiftSRGAN] | type[SRGAN], *, channels: int = 1, scale: int = 4, skip: bool = False
) -> SRResNet:
    """Return a tiny generator."""
    torch.manual_seed(0)
    return kind(channels=channels, features=8, blocks=2, scale=scale, bicubic_skip=skip)


def randomise(model: nn.Module) -> None:
    """Give every weight and statistic a value of its own, as training would."""
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=numbers)
                value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) * 0.6)


def picture(channels: int, side: int = 32) -> Tensor:
    """Return an LR image `(1, channels, side, side)`: a ramp with texture and a bright corner."""
    numbers = np.random.default_rng(0)
    image = np.linspace(0.1, 0.8, side)[:, None] + numbers.normal(0, 0.03, (side, side))
    image[:5, -7:] = 1
    tensor = torch.tensor(image.clip(0, 1), dtype=torch.float32)
    return tensor.expand(1, channels, -1, -1)


@BOTH
@pytest.mark.parametrize(("scale", "upsamplers"), [(2, 1), (4, 2), (8, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_scale_is_what_it_says(
    kind: type[SwiftSRGAN], scale: int, upsamplers: int, channels: int, skip: bool
) -> None:
    """2x, 4x and 8x have log2(scale) upsamplers; both sides grow by the scale."""
    model = tiny(kind, channels=channels, scale=scale, skip=skip)
    assert sum(isinstance(module, UpsampleBlock) for module in model.modules()) == upsamplers
    assert model(torch.rand(2, channels, 6, 7)).shape == (2, channels, 6 * scale, 7 * scale)


@BOTH
@pytest.mark.parametrize("training", [True, False])
def test_the_published_form_stays_in_range(kind: type[SwiftSRGAN], training: bool) -> None:
    """Its output is in [0, 1] in both modes, whatever the weights."""
    model = tiny(kind)
    randomise(model)
    with torch.no_grad():
        model.final_conv.get_parameter("pointwise.weight" if kind is SwiftSRGAN else "weight").mul_(
            100
        )
        sr = model.train(training)(picture(1))
    assert sr.min() >= 0
    assert sr.max() <= 1
    assert sr.std() > 0.1


@BOTH
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_skip_starts_exactly_at_bicubic(kind: type[SwiftSRGAN], scale: int) -> None:
    """Before training the output is the interpolation, clipped to [0, 1] in eval mode."""
    lr = picture(1)
    model = tiny(kind, scale=scale, skip=True)
    plain = upscale_bicubic(lr, scale)
    assert plain.max() > 1, "the picture must overshoot for the clipping to be seen"
    with torch.no_grad():
        assert (model.train()(lr) - plain).abs().max() < 1e-6
        assert (model.eval()(lr) - plain.clamp(0, 1)).abs().max() < 1e-6


@BOTH
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_skip_it_starts_at_an_interpolation(
    kind: type[SwiftSRGAN], scale: int, channels: int
) -> None:
    """Each channel passes by the residual body: its pixels are repeated, the steps smoothed over
    five pixels, and tanh bends what is near 0 and 1; in either mode.
    """
    numbers = torch.Generator().manual_seed(0)
    lr = torch.rand(2, channels, 9, 11, generator=numbers, dtype=torch.float64)
    filters = torch.tensor([1.0, 2, 2, 2, 1], dtype=torch.float64) / 8
    kernel = torch.outer(filters, filters).expand(channels, 1, 5, 5)
    repeated = nn.functional.interpolate(lr, scale_factor=scale, mode="nearest")
    smooth = nn.functional.conv2d(repeated, kernel, padding=2, groups=channels)
    wanted = (torch.tanh(2 * smooth - 1) + 1) / 2
    model = tiny(kind, channels=channels, scale=scale).double()
    with torch.no_grad():
        for training in (True, False):
            assert (model.train(training)(lr) - wanted).abs().max() < 1e-10


@BOTH
def test_without_skip_all_layers_learn(kind: type[SwiftSRGAN]) -> None:
    """The residual body starts at 0, and after a step gradients reach its first layer too."""
    model = tiny(kind)
    lr, hr = picture(1).repeat(2, 1, 1, 1), torch.rand(2, 1, 128, 128)
    learnable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learnable, lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        (model(lr) - hr).square().mean().backward()
        optimizer.step()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


@BOTH
def test_the_skip_is_clipped_in_eval_alone(kind: type[SwiftSRGAN]) -> None:
    """With other weights too: eval output stays in [0, 1], training output may leave it."""
    model = tiny(kind, skip=True)
    randomise(model)
    with torch.no_grad():
        for name, value in model.final_conv.named_parameters():
            if name.endswith("weight"):
                value.mul_(100)
        sr = model.eval()(picture(1))
        assert (sr.min(), sr.max()) == (0, 1)
        assert model.train()(picture(1)).max() > 1


def test_the_skip_learns_in_all_its_layers() -> None:
    """It starts with zeros in the last layer; after one step gradients reach the first one too."""
    model = tiny(SwiftSRGAN, skip=True)
    lr, hr = picture(1).repeat(2, 1, 1, 1), torch.rand(2, 1, 128, 128)
    learnable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learnable, lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        (model(lr) - hr).square().mean().backward()
        optimizer.step()
    assert model.initial.cnn.depthwise.weight.grad.abs().max() > 0
    assert model.final_conv.pointwise.weight.grad.abs().max() > 0


# ------------------------------------------------------------------ the same function, quicker


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 2), (4, 3)])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (6, 4)])
def test_a_convolution_before_the_shuffle(inputs: int, outputs: int, size: tuple[int, int]) -> None:
    """It gives what the 9x9 convolution gives after it, up to and on the border, in float64; also
    of maps smaller than the filter.
    """
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4 * inputs, *size, generator=numbers, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, 9, 9, generator=numbers, dtype=torch.float64)
    after = nn.functional.conv2d(nn.functional.pixel_shuffle(x, 2), weight, padding=4)
    moved = before_shuffle(weight)
    assert moved.shape == (4 * outputs, 4 * inputs, 5, 5)
    before = nn.functional.pixel_shuffle(nn.functional.conv2d(x, moved, padding=2), 2)
    assert after.abs().max() > 1
    assert (before - after).abs().max() < 1e-10


def test_a_convolution_before_the_shuffle_learns_alike() -> None:
    """The gradient of its weights is that of the 9x9 ones: each of the 81 taps is used 4 times."""
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 5, 6, generator=numbers, dtype=torch.float64)
    weight = torch.randn(3, 2, 9, 9, generator=numbers, dtype=torch.float64).requires_grad_()
    after = nn.functional.conv2d(nn.functional.pixel_shuffle(x, 2), weight, padding=4)
    before = nn.functional.conv2d(x, before_shuffle(weight), padding=2)
    target = torch.randn(after.shape, generator=numbers, dtype=torch.float64)
    (wanted,) = torch.autograd.grad((after * target).sum(), weight)
    shuffled = nn.functional.pixel_shuffle(before, 2)
    (found,) = torch.autograd.grad((shuffled * target).sum(), weight)
    assert (found - wanted).abs().max() < 1e-10
    taps = before_shuffle(torch.ones(1, 1, 9, 9))
    assert int(taps.sum()) == 4 * 81


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs", "size"), [(1, 4, 9), (6, 3, 3), (5, 1, 9)])
def test_a_separable_convolution_is_a_dense_one(
    bias: bool, inputs: int, outputs: int, size: int
) -> None:
    """Depthwise, then pointwise is one convolution with their product, at the border too, where
    the depthwise bias comes after the zeros.
    """
    torch.manual_seed(0)
    separable = SeparableConv2d(inputs, outputs, size, padding=size // 2, bias=bias).double()
    randomise(separable)
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(2, inputs, 7, 8, generator=numbers, dtype=torch.float64)
    weight, offset = separable.dense()
    assert weight.shape == (outputs, inputs, size, size)
    assert (offset is None) is not bias
    dense = nn.functional.conv2d(x, weight, offset, padding=size // 2)
    wanted = separable(x)
    assert wanted.abs().max() > 0.1
    assert (dense - wanted).abs().max() < 1e-10


def as_written(model: SRResNet, lr: Tensor) -> Tensor:
    """Return the output of the plan in its written order: every upsampler, then the last layer."""
    first = model.initial(local_detail(lr) if model.bicubic_skip else lr)
    x = model.final_conv(model.upsampler(model.convblock(model.residual(first)) + first))
    if not model.bicubic_skip:
        return (torch.tanh(x) + 1) / 2
    sr = upscale_bicubic(lr, model.scale) + x / SKIP_GAIN
    return sr if model.training else sr.clamp(0, 1)


@BOTH
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("skip", [False, True])
def test_the_whole_is_the_plan_as_written(
    kind: type[SwiftSRGAN], scale: int, channels: int, skip: bool
) -> None:
    """With weights far from the start, for each architecture, scale and number of channels; while
    training, where nothing bounds the output, as a fraction of its largest value.
    """
    model = tiny(kind, channels=channels, scale=scale, skip=skip).double()
    randomise(model)
    lr = torch.cat([picture(channels, 11)[..., :9], torch.rand(1, channels, 11, 9)]).double()
    for training in (False, True):
        model.train(training)
        with torch.no_grad():
            sr, wanted = model(lr), as_written(model, lr)
        assert wanted.std() > 0.01
        assert (sr - wanted).abs().max() < 1e-10 * max(1.0, float(wanted.abs().max()))


@BOTH
def test_the_whole_learns_as_the_plan_as_written(kind: type[SwiftSRGAN]) -> None:
    """Every weight, the last layers' too, gets the gradient of the written order."""
    gradients = []
    for forward in (lambda model, lr: model(lr), as_written):
        model = tiny(kind).double()
        randomise(model)
        forward(model, picture(1, 11).double()).square().sum().backward()
        gradients.append({n: w.grad for n, w in model.named_parameters() if w.requires_grad})
    ours, wanted = gradients
    assert "upsampler.1.act.weight" in ours
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(ours[name], gradient, rtol=1e-9, atol=1e-9), name


@BOTH
def test_eval_output_does_not_depend_on_the_batch(kind: type[SwiftSRGAN]) -> None:
    """An image alone and in company give the same result."""
    model = tiny(kind).double().eval()
    randomise(model)
    batch = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(model(batch)[1:2], model(batch[1:2]), rtol=0, atol=1e-10)


@BOTH
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 8, 8), (8, 8), (1, 1, 1, 8, 8)])
def test_wrong_shapes_are_refused(kind: type[SwiftSRGAN], shape: tuple[int, ...]) -> None:
    """The message gives the shape allowed and the shape given."""
    with pytest.raises(ValueError, match=r"LR must be \(N, 1, H, W\), got"):
        tiny(kind)(torch.zeros(shape))


@BOTH
def test_wrong_hyperparameters_are_refused(kind: type[SwiftSRGAN]) -> None:
    """There is no 3x and no 2-channel generator."""
    with pytest.raises(ValueError, match="scale is 3"):
        kind(scale=3)
    with pytest.raises(ValueError, match="channels is 2"):
        kind(channels=2)


def test_swift_srgan_has_the_published_size() -> None:
    """201,209 parameters in RGB at 4x, as in the public checkpoint."""
    assert sum(weight.numel() for weight in SwiftSRGAN(channels=3).parameters()) == 201_209


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 4])
def test_spandrel_runs_our_weights(tmp_path: Path, channels: int, scale: int) -> None:
    """Weights saved in the plain form give the same images in another tool."""
    arguments = {
        "channels": channels,
        "features": 16,
        "blocks": 3,
        "scale": scale,
        "bicubic_skip": False,
    }
    model = SwiftSRGAN(**arguments).eval()
    randomise(model)
    loaded = LoadedGenerator(model, "swift_srgan", arguments, scale, {})
    save_plain(tmp_path / "plain.pth", loaded)
    theirs = spandrel.ModelLoader().load_from_file(tmp_path / "plain.pth")
    assert isinstance(theirs, spandrel.ImageModelDescriptor)
    assert theirs.architecture.id == "SwiftSRGAN"
    assert (theirs.scale, theirs.input_channels) == (scale, channels)
    assert_same_images(model, theirs, picture(channels))


def test_the_published_checkpoint_is_ours(published_checkpoint: Path) -> None:
    """It loads strictly, and gives the images that spandrel makes of it."""
    loaded = load_generator(published_checkpoint)
    assert loaded.hyperparameters == {
        "channels": 3,
        "features": 64,
        "blocks": 16,
        "scale": 4,
        "bicubic_skip": False,
    }
    state = torch.load(published_checkpoint, map_location="cpu", weights_only=True)["model"]
    assert state.keys() == loaded.model.state_dict().keys()
    theirs = spandrel.ModelLoader().load_from_state_dict(state)
    assert isinstance(theirs, spandrel.ImageModelDescriptor)
    lr = picture(3, side=48)
    ours = assert_same_images(loaded.model, theirs, lr)
    # It was trained to super-resolve, so away from noise it stays near the interpolation.
    assert (ours - upscale_bicubic(lr.double(), 4)).abs().mean() < 0.05
