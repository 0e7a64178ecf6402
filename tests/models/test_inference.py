"""From bytes to bytes: what a generator says is what comes out, rounded once."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srpipe.core.errors import CheckpointError
from srpipe.imaging.resample import back_project, downsample, to_grey
from srpipe.imaging.tensors import to_channels, to_image_tensor
from srpipe.metrics.scores import reference, score
from srpipe.models.base import SRGenerator, upscale_bicubic
from srpipe.models.inference import super_resolve
from srpipe.models.srresnet import SwiftSRGAN
from tests.conftest import MakeImage

LR = np.random.default_rng(0).integers(0, 256, (9, 12), dtype=np.uint8)


def tiny(channels: int, *, skip: bool = False) -> SwiftSRGAN:
    """Return a tiny generator with statistics that differ from a batch's."""
    torch.manual_seed(0)
    model = SwiftSRGAN(channels=channels, features=8, blocks=1, scale=4, bicubic_skip=skip)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_is_the_networks_in_eval_mode(channels: int) -> None:
    """A colour generator sees grey and gives its mean; the result is rounded to 8 bits."""
    model = tiny(channels)
    sr = super_resolve(model, LR)
    assert sr.shape == (36, 48)
    assert sr.dtype == np.uint8
    model.eval()
    with torch.no_grad():
        wanted = model(to_channels(to_image_tensor(LR), channels)).mean(dim=1)[0].numpy()
    assert np.abs(sr - wanted * 255).max() <= 0.5 + 1e-3
    assert sr.std() > 1


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_and_the_statistics_are_kept(training: bool) -> None:
    """Scoring in the middle of training changes nothing in the generator."""
    model = tiny(1).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    super_resolve(model, LR)
    assert model.training is training
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_new_generator_with_skip_gives_bicubic() -> None:
    """Through the bytes too: before training, the result is the float bicubic, rounded."""
    sr = super_resolve(tiny(1, skip=True), LR)
    difference = np.abs(sr.astype(int) - back_project(LR, 4, 0))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_rounding_is_that_of_the_baseline() -> None:
    """Both round to the nearest level and clip."""

    class Constant(SwiftSRGAN):
        def forward(self, lr: Tensor) -> Tensor:
            return torch.full_like(lr, 100.6 / 255)

    sr = super_resolve(Constant(features=4, blocks=1), LR)
    assert np.array_equal(sr, to_grey(np.full(LR.shape, 100.6 / 255, np.float32)))
    assert np.all(sr == 101)


class Bicubic(SRGenerator):
    """Interpolates."""

    def __init__(self) -> None:
        super().__init__(channels=1, scale=4, bicubic_skip=True)

    def forward(self, lr: Tensor) -> Tensor:
        return upscale_bicubic(lr, 4).clamp(0, 1)


def test_a_generator_can_be_made_consistent(make_image: MakeImage) -> None:
    """The image is projected before it is rounded; without being asked for it is not."""
    hr = make_image(0, 64, 80) // 2 + 60
    against = reference(hr, downsample(hr, 4))
    plain = score(super_resolve(Bicubic(), against.lr), against)
    consistent = score(super_resolve(Bicubic(), against.lr, consistent=True), against)
    assert plain.lr_psnr < 55
    assert consistent.lr_psnr >= 65
    assert consistent.psnr > plain.psnr


def test_values_that_are_no_numbers_are_refused() -> None:
    """A diverged generator must not be scored as a black image."""
    model = SwiftSRGAN(features=4, blocks=1)
    with torch.no_grad():
        model.final_conv.pointwise.bias.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="no numbers"):
        super_resolve(model, np.zeros((8, 8), np.uint8))
