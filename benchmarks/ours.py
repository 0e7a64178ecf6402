"""Our training step, made ready to be measured: the functions and the order of `training.loop`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from srpipe.metrics.features import ContentFeatures
from srpipe.settings.train import Train
from srpipe.training.crops.batches import Batch
from srpipe.training.precision import Precision, choose
from srpipe.training.state import Hardware, adversarial_stage, pixel_stage
from srpipe.training.steps import adversarial_step, on_device, pixel_step

Step = Callable[[Batch], None]
FP32 = Precision(generator=False, discriminator=False)
BF16 = Precision(generator=True, discriminator=True)


@dataclass(frozen=True)
class Job:
    """What a step trains and in what arithmetic."""

    settings: Train
    scale: int
    precision: Precision
    adversarial: bool = False
    layout: torch.memory_format = torch.channels_last


def job(settings: Train, scale: int, device: str, *, adversarial: bool = False) -> Job:
    """Return the job that the settings describe, in the precision that suits the device best."""
    precision = choose("auto", device, settings.discriminator.name)
    return Job(settings, scale, precision, adversarial)


def published(settings: Train) -> Train:
    """Return the settings for the generator in its published form: without the bicubic skip."""
    return settings.model_copy(
        update={"generator": settings.generator.model_copy(update={"bicubic_skip": False})}
    )


def ready(job: Job, hardware: Hardware, content: ContentFeatures | None) -> Step:
    """Return one step of new networks, from a batch in memory to the changed weights.

    All that the loop does with a batch is in it: bytes to the device and to float, the step, the
    average of the weights, the sums of the losses.
    """
    settings = job.settings
    state = pixel_stage(settings, job.scale, hardware)
    if job.adversarial:
        state = adversarial_stage(settings, job.scale, state.average.network, hardware)
    learners = [each for each in (state.generator, state.discriminator) if each is not None]
    for learner in learners:
        learner.network.to(memory_format=job.layout)
    if content is not None:
        content.to(hardware.device)
    state.generator.network.train()
    sums: dict[str, Tensor] = {}

    def step(batch: Batch) -> None:
        channels = settings.generator.channels
        crops = on_device(batch, channels, hardware.device, job.layout)
        clip = settings.gradient_clip
        if state.discriminator is not None:
            found = adversarial_step(
                state.generator,
                state.discriminator,
                crops,
                settings.loss,
                content,
                job.precision,
                clip,
            )
        else:
            found = pixel_step(state.generator, crops, settings.loss, job.precision, clip)
        state.average.update(state.generator.network)
        for name, value in found.items():
            sums[name] = sums[name] + value if name in sums else value

    return step
