"""Generators with weights of their own, and how they are saved."""

from pathlib import Path
from typing import Any

import spandrel
import torch
from torch import Tensor

from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import LoadedGenerator, save_generator

TRAINING = {"seed": 0, "epochs": 3, "data": "phantom", "content": None}
METRICS = {"psnr": 38.25, "ssim": 0.95}
SWIFT = {"channels": 1, "features": 8, "blocks": 2, "scale": 2, "bicubic_skip": False}


def randomised(model: SRGenerator, seed: int = 0) -> SRGenerator:
    """Give every weight and every BatchNorm statistic its own value."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=numbers)
                value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) / 2)
    return model.eval()


def save(path: Path, model: torch.nn.Module, name: str, arguments: dict[str, Any]) -> None:
    """Save a generator with a fixed record."""
    save_generator(
        path,
        model,
        architecture=name,
        hyperparameters=arguments,
        training=TRAINING,
        metrics=METRICS,
    )


def loaded(seed: int, architecture: str = "swift_srgan", **changed: Any) -> LoadedGenerator:
    """Return a generator whose weights, statistics and counts are its own."""
    arguments = {**SWIFT, **changed}
    model = randomised(ARCHITECTURES[architecture](**arguments), seed)
    for name, value in model.state_dict().items():
        if "num_batches" in name:
            value.fill_(100 * (seed + 1))
    return LoadedGenerator(model, architecture, arguments, arguments["scale"], {"training": {}})


def assert_same_images(
    ours: SRGenerator, theirs: spandrel.ImageModelDescriptor[Any], lr: Tensor
) -> Tensor:
    """Assert that another tool makes the same SR image, which is returned.

    In float64: the two sum in another order, and what float32 makes of that is the CPU's affair.
    """
    lr = lr.double()
    with torch.no_grad():
        sr, other = ours.eval().double()(lr), theirs.model.eval().double()(lr)
    assert sr.std() > 0.01
    assert (sr - other).abs().max() < 1e-10
    return sr
