"""Small generators in files, for tests of what uses weights."""

from pathlib import Path
from typing import Any

import torch

from srpipe.models.checkpoint import save_generator
from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SwiftSRGAN

ARGUMENTS: dict[str, Any] = {
    "channels": 1,
    "features": 4,
    "blocks": 1,
    "scale": 4,
    "bicubic_skip": False,
}


def save_swift(path: Path, seed: int = 0, **changed: Any) -> Path:
    """Write an untrained Swift-SRGAN checkpoint, the same each time."""
    arguments = {**ARGUMENTS, **changed}
    torch.manual_seed(seed)
    save_generator(
        path,
        SwiftSRGAN(**arguments),
        architecture="swift_srgan",
        hyperparameters=arguments,
        training={},
        metrics={},
    )
    return path


def save_plain_sr(path: Path, seed: int = 0, scale: int = 4) -> Path:
    """Write a plain_sr checkpoint that is a little off bicubic."""
    arguments = {**ARGUMENTS, "bicubic_skip": True, "scale": scale}
    torch.manual_seed(seed)
    model = PlainSR(**arguments)
    torch.nn.init.normal_(model.tail.weight, std=0.02)
    save_generator(
        path,
        model,
        architecture="plain_sr",
        hyperparameters=arguments,
        training={"seed": 3},
        metrics={"psnr": 40.5},
    )
    return path


def save_bicubic(path: Path) -> Path:
    """Write a plain_sr checkpoint that is bicubic interpolation."""
    arguments = {**ARGUMENTS, "bicubic_skip": True}
    model = PlainSR(**arguments)
    torch.nn.init.zeros_(model.tail.weight)
    torch.nn.init.zeros_(model.tail.bias)
    save_generator(
        path,
        model,
        architecture="plain_sr",
        hyperparameters=arguments,
        training={},
        metrics={},
    )
    return path
