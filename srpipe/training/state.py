"""The training state: networks, EMA, optimizers; what a checkpoint holds."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from srpipe.models.base import SRGenerator
from srpipe.settings.train import Optimization, Train
from srpipe.training.ema import Ema
from srpipe.training.networks import build_discriminator, build_generator
from srpipe.training.optimizers import optimizers_of
from srpipe.training.precision import FP32, Precision, compiled
from srpipe.training.processes import Group
from srpipe.training.synchronised import synchronise

N = TypeVar("N", bound=nn.Module)

PIXEL_BETAS = (0.9, 0.999)
ADVERSARIAL_BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Hardware:
    """Where and how training runs; none of it is a hyperparameter.

    `precision` is `train.precision` resolved for this device; `threads` cut crops; `save_seconds`
    is the time between two saves of the training state.
    """

    device: str = "cpu"
    group: Group = field(default_factory=Group)
    precision: Precision = FP32
    compile_mode: str | None = None
    threads: int = 1
    save_seconds: float = 60.0


@dataclass(frozen=True)
class Learner:
    """A network, its form for the forward pass (distributed, compiled) and its optimizers."""

    network: nn.Module
    forward: nn.Module
    optimizers: tuple[Optimizer, ...]

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "optimizers": [each.state_dict() for each in self.optimizers],
        }

    def load(self, state: Mapping[str, Any] | None) -> None:
        """Restore a checkpoint's state; None for a finished training, which needs none."""
        if state is not None:
            self.network.load_state_dict(state["network"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)


@dataclass(frozen=True)
class StageState:
    """The state of one stage. `discriminator` and `pixel` belong to the adversarial stage.

    `pixel` is the generator (EMA) at the end of the pixel stage.
    """

    generator: Learner
    ema: Ema[SRGenerator]
    discriminator: Learner | None = None
    pixel: SRGenerator | None = None

    @property
    def adversarial(self) -> bool:
        """Say whether this is the adversarial stage."""
        return self.discriminator is not None

    def set_rates(self, generator: float, discriminator: float) -> None:
        """Set the learning rates of the next step."""
        self.generator.set_rate(generator)
        if self.discriminator is not None:
            self.discriminator.set_rate(discriminator)

    def state(self, *, finished: bool) -> dict[str, Any]:
        """Return what a checkpoint holds, loadable without running code."""
        discriminator = (
            None if finished or self.discriminator is None else self.discriminator.state()
        )
        return {
            "generator": None if finished else self.generator.state(),
            "average": self.ema.network.state_dict(),
            "average_steps": self.ema.steps,
            "discriminator": discriminator,
            "pixel": self.pixel.state_dict() if self.pixel is not None else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore a checkpoint's state of the same stage."""
        self.generator.load(state["generator"])
        self.ema.network.load_state_dict(state["average"])
        self.ema.steps = state["average_steps"]
        if self.discriminator is not None:
            self.discriminator.load(state["discriminator"])
        if self.pixel is not None:
            self.pixel.load_state_dict(state["pixel"])


def pixel_stage(
    settings: Train, scale: int, hardware: Hardware, start: Mapping[str, Tensor] | None = None
) -> StageState:
    """Return a new pixel stage, with the given weights or new ones from the seed."""
    torch.manual_seed(settings.seed)
    generator = _placed(build_generator(settings.generator, scale), hardware)
    if start is not None:
        generator.load_state_dict(start)
    return StageState(
        _learner(
            generator,
            settings,
            settings.optimizer,
            settings.learning_rate,
            PIXEL_BETAS,
            hardware,
            compile=True,
        ),
        Ema(generator, settings.ema),
    )


def adversarial_stage(
    settings: Train, scale: int, pixel: SRGenerator, hardware: Hardware
) -> StageState:
    """Return a new adversarial stage, with the weights of `pixel` and a new discriminator."""
    # Seeded again: the same discriminator, whether or not the pixel stage ran in this process.
    torch.manual_seed(settings.seed)
    generator = _placed(build_generator(settings.generator, scale), hardware)
    generator.load_state_dict(pixel.state_dict())
    kept = _placed(build_generator(settings.generator, scale), hardware)
    kept.load_state_dict(pixel.state_dict())
    torch.manual_seed(settings.seed + 1)
    discriminator = _placed(
        build_discriminator(settings.adversarial.discriminator, settings.generator.channels),
        hardware,
    )
    rate, betas = settings.adversarial.learning_rate, ADVERSARIAL_BETAS
    discriminator_rate = settings.adversarial.discriminator.learning_rate
    return StageState(
        _learner(generator, settings, "adamw", rate, betas, hardware, compile=True),
        Ema(generator, settings.ema),
        _learner(
            discriminator, settings, "adamw", discriminator_rate, betas, hardware, compile=False
        ),
        kept.eval().requires_grad_(False),
    )


def _placed(network: N, hardware: Hardware) -> N:
    network = network.to(hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return synchronise(network, hardware.device) if hardware.group.size > 1 else network


def _distributed(network: nn.Module) -> nn.Module:
    # The layouts of a 1x1 convolution's weights are the same in memory, whatever torch calls them.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    with warnings.catch_warnings():
        # torch before 2.14 does not know the option's new name.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        # Buffers are equal in all processes by construction: broadcasting them would only cost
        # time.
        return DistributedDataParallel(network, broadcast_buffers=False)


def _learner(
    network: nn.Module,
    settings: Train,
    name: Optimization,
    rate: float,
    betas: tuple[float, float],
    hardware: Hardware,
    *,
    compile: bool,
) -> Learner:
    optimizers = optimizers_of(
        network, name, lr=rate, betas=betas, weight_decay=settings.weight_decay
    )
    forward = network
    if hardware.group.size > 1:
        forward = _distributed(network)
    return Learner(
        network, compiled(forward, hardware.compile_mode if compile else None), optimizers
    )
