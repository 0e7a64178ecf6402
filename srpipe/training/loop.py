"""The training loop: pixel-loss epochs, then adversarial epochs, validation after each."""

import contextlib
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from srpipe import console
from srpipe.checkpoint import build_generator
from srpipe.crops import CropPlan, batches_per_epoch, check_sizes, epoch_batches
from srpipe.errors import TrainingError
from srpipe.inference import super_resolve, to_channels
from srpipe.models.content import ContentFeatures
from srpipe.models.discriminator import Discriminator
from srpipe.models.generators import SRResNet
from srpipe.packed import Packed
from srpipe.scoring.metrics import Reference, reference, score
from srpipe.seeds import seed_torch
from srpipe.settings import Train
from srpipe.training.history import EpochRecord, discriminator_state
from srpipe.training.steps import adversarial_step, pixel_step

# The progress line is refreshed every so many steps; each refresh waits for the device.
REPORT_EVERY = 10
LOSSES = {"total", "discriminator"}


@dataclass(frozen=True)
class TrainingResult:
    """The trained generator (eval mode, on its device) and what happened."""

    generator: SRResNet
    history: list[EpochRecord]


def train(
    packed: Packed,
    train_rows: list[int],
    validation_rows: list[int],
    settings: Train,
    *,
    content: ContentFeatures | None,
    device: str,
    on_epoch: Callable[[EpochRecord], None],
) -> TrainingResult:
    """Train a generator on packed pairs.

    Args:
        packed: the images, at the scale to train for.
        train_rows: manifest rows to draw crops from.
        validation_rows: manifest rows to score after each epoch, whole.
        settings: the train section.
        content: the feature network, when the content weight is not 0 and there are adversarial
            epochs; else None.
        device: torch device name.
        on_epoch: called with each epoch's record.

    Raises:
        DataError: the images do not suit the crops.
        TrainingError: the loss is no longer finite.
    """
    check_sizes(packed, train_rows, settings.crop)
    plan = CropPlan(settings.crop, settings.batch_size, settings.crops_per_image, settings.seed)
    steps = batches_per_epoch(len(train_rows), plan)
    pixel_epochs = settings.epochs - settings.adversarial_epochs

    seed_torch(settings.seed)
    channels_last = torch.channels_last
    generator = build_generator(settings.generator, packed.scale)
    generator = generator.to(device, memory_format=channels_last)  # type: ignore[call-overload]
    discriminator = Discriminator(
        channels=settings.generator.channels, features=settings.discriminator.features
    ).to(device, memory_format=channels_last)  # type: ignore[call-overload]
    content = content.to(device) if content is not None else None

    learnable = [weight for weight in generator.parameters() if weight.requires_grad]
    pixel_optimizer = Adam(learnable, lr=settings.learning_rate)
    schedule = CosineAnnealingLR(
        pixel_optimizer, T_max=pixel_epochs * steps, eta_min=settings.learning_rate / 20
    )
    rate = settings.adversarial_learning_rate
    generator_optimizer = Adam(learnable, lr=rate, betas=(0.9, 0.99))
    discriminator_optimizer = Adam(
        discriminator.parameters(), lr=settings.discriminator.learning_rate, betas=(0.9, 0.99)
    )

    references = [reference(packed.hr(row), packed.lr(row)) for row in validation_rows]
    history: list[EpochRecord] = []
    for epoch in range(1, settings.epochs + 1):
        adversarial = epoch > pixel_epochs
        used = rate if adversarial else float(schedule.get_last_lr()[0])
        generator.train()
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
        batches = epoch_batches(packed, train_rows, plan, epoch)
        with _bar(epoch, settings.epochs, adversarial, steps) as bar:
            for step, (lr, hr) in enumerate(batches, start=1):
                lr = to_channels(lr, generator.channels).to(device, memory_format=channels_last)
                hr = to_channels(hr, generator.channels).to(device, memory_format=channels_last)
                autocast = torch.autocast(
                    torch.device(device).type, torch.bfloat16, enabled=settings.precision == "bf16"
                )
                if adversarial:
                    losses, judged = adversarial_step(
                        generator,
                        discriminator,
                        generator_optimizer,
                        discriminator_optimizer,
                        lr,
                        hr,
                        settings.loss,
                        content,
                        autocast,
                    )
                    sums["discriminator"] += judged.total.detach()
                    sums["real"] += judged.real_score
                    sums["fake"] += judged.fake_score
                else:
                    losses = pixel_step(generator, pixel_optimizer, lr, hr, settings.loss, autocast)
                    schedule.step()
                for name, value in vars(losses).items():
                    if value is not None:
                        sums[name] += value.detach()
                bar.update()
                if step % REPORT_EVERY == 0 or step == steps:
                    _show(bar, {name: sums[name].item() / step for name in LOSSES & sums.keys()})
        means = {name: float(value.item()) / steps for name, value in sums.items()}
        record = _record(epoch, adversarial, used, means, _validate(generator, references, device))
        _report(record, settings.epochs)
        history.append(record)
        on_epoch(record)
    return TrainingResult(generator.eval(), history)


@dataclass(frozen=True)
class _Validation:
    psnr: float
    ssim: float
    psnr_masked: float


def _validate(generator: SRResNet, references: Sequence[Reference], device: str) -> _Validation:
    """Score the generator on whole validation images, exactly as evaluation does."""
    scores = [score(super_resolve(generator, each.lr, device), each) for each in references]
    return _Validation(
        statistics.fmean(each.psnr for each in scores),
        statistics.fmean(each.ssim for each in scores),
        statistics.fmean(each.psnr_masked for each in scores),
    )


def _record(
    epoch: int,
    adversarial: bool,
    learning_rate: float,
    means: dict[str, float],
    validation: _Validation,
) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        stage="adversarial" if adversarial else "pixel",
        learning_rate=learning_rate,
        loss=means["total"],
        loss_image=means["image"],
        loss_adversarial=means.get("adversarial"),
        loss_content=means.get("content"),
        loss_total_variation=means.get("total_variation"),
        loss_discriminator=means.get("discriminator"),
        d_real=means.get("real"),
        d_fake=means.get("fake"),
        d_state=discriminator_state(means["real"], means["fake"]) if adversarial else "off",
        psnr=validation.psnr,
        ssim=validation.ssim,
        psnr_masked=validation.psnr_masked,
    )


def _bar(
    epoch: int, epochs: int, adversarial: bool, steps: int
) -> contextlib.AbstractContextManager["tqdm[Any]"]:
    stage = "adversarial" if adversarial else "pixel"
    return console.bar(steps, what=f"epoch {epoch}/{epochs} ({stage})", unit="step")


def _show(bar: "tqdm[Any]", losses: dict[str, float]) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"the {name} loss is {value} in {bar.desc}: lower train.learning_rate, "
                "train.adversarial_learning_rate or train.discriminator.learning_rate, or set "
                "train.precision: fp32"
            )
    bar.set_postfix_str(f"loss {losses['total']:.3g}", refresh=False)


def _report(record: EpochRecord, epochs: int) -> None:
    scores = f"PSNR {record.psnr:.2f} dB (masked {record.psnr_masked:.2f}), SSIM {record.ssim:.4f}"
    judged = ""
    if record.d_real is not None and record.d_fake is not None:
        judged = f", D(HR) {record.d_real:.2f}, D(SR) {record.d_fake:.2f}"
    console.say(
        f"epoch {record.epoch}/{epochs} {record.stage}: loss {record.loss:.3g}, "
        f"validation {scores}{judged}"
    )
    if record.d_state in ("saturated", "blind"):
        console.warn(
            f"the discriminator is {record.d_state} in epoch {record.epoch}: the adversarial loss "
            "teaches the generator nothing now"
        )
