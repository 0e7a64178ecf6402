"""A training run: its task, its announcement, its output files."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from srpipe.core import console, environment, paths
from srpipe.core.files import write_csv, write_json
from srpipe.data.packed import open_packed
from srpipe.data.split_file import read_split, sample_images, subset
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import save_generator
from srpipe.models.released import weights_file
from srpipe.settings.train import Train
from srpipe.training import history, resume
from srpipe.training.content import load_content
from srpipe.training.history import EpochRecord
from srpipe.training.loop import TrainingResult
from srpipe.training.networks import hyperparameters
from srpipe.training.precision import choose
from srpipe.training.processes import Group
from srpipe.training.start import Start, load_start
from srpipe.training.state import Hardware
from srpipe.training.task import Task

PLOTS = (paths.TRAIN_PLOTS / "losses.png", paths.TRAIN_PLOTS / "validation.png")
WEIGHTS = (paths.GENERATOR, paths.PIXEL)


def task_of(settings: Train) -> Task:
    """Return the configured task, on the packed images and their split.

    Raises:
        DataError: the packed images or the split are missing or damaged.
        CheckpointError: the weights to start from cannot be used.
        DownloadError: the weights of the feature network could not be fetched.
    """
    packed = open_packed(paths.PACKED)
    split = read_split(paths.SPLIT)
    validation = sample_images(
        subset(split, "validation"), settings.validation_images, settings.seed
    )
    content = load_content(settings.adversarial.content) if settings.uses_content else None
    train_rows = packed.rows(subset(split, "train")["image"])
    start = _start(settings, packed.scale)
    return Task(packed, train_rows, packed.rows(validation), settings, content, start)


def _start(settings: Train, scale: int) -> Start | None:
    if settings.start is None:
        return None
    file = weights_file(settings.start)
    # A path in the settings is relative to the repository; a released model's is absolute.
    return load_start(settings.generator, scale, paths.from_user(str(file)))


def identity(task: Task) -> dict[str, Any]:
    """Return everything that determines the result; if it differs, training starts afresh."""
    return {
        "settings": task.settings.model_dump(),
        "data": task.packed.digests,
        "train": task.train_rows,
        "validation": task.validation_rows,
        "content": asdict(task.content.record) if task.content else None,
        "start": task.start.record if task.start else None,
        "code": resume.code_digest(),
    }


def hardware_of(settings: Train, group: Group, device: str) -> Hardware:
    """Return this process's hardware settings, from the environment.

    Raises:
        SettingsError: an environment variable has a value that is not allowed.
    """
    return Hardware(
        device,
        group,
        choose(settings.precision, device, settings.adversarial.discriminator.name),
        environment.compile_mode(),
        environment.crop_threads(),
        environment.checkpoint_seconds(),
    )


def announce(task: Task, hardware: Hardware) -> dict[str, str]:
    """Report what is trained and where; return what is recorded with the weights."""
    precision = hardware.precision.record()
    processes = hardware.group.size
    console.say(
        f"{task.settings.generator.name} {task.packed.scale}x on {hardware.device} "
        f"({processes} process{'es' if processes > 1 else ''}; generator in "
        f"{precision['generator']}, discriminator in {precision['discriminator']}): "
        f"{len(task.train_rows)} training images"
    )
    if hardware.precision.generator and environment.emulates_bf16(hardware.device):
        console.warn(
            f"this {hardware.device} emulates bf16, which takes many times as long as fp32: set "
            "train.precision to auto or fp32"
        )
    return precision | {"device": torch.device(hardware.device).type, "processes": str(processes)}


def write_outputs(task: Task, result: TrainingResult, hardware: dict[str, str]) -> None:
    """Write weights, history, metrics and plots.

    Raises:
        OutputError: a file cannot be written.
    """
    # None where all epochs are adversarial: then it is what training started from.
    last_pixel = next((each for each in reversed(result.history) if each.stage == "pixel"), None)
    _save(paths.PIXEL, result.pixel, last_pixel, task, hardware)
    _save(paths.GENERATOR, result.generator, result.history[-1], task, hardware)
    write_csv(paths.HISTORY_CSV, history.as_table(result.history))
    history.plot_losses(result.history, PLOTS[0])
    history.plot_validation(result.history, PLOTS[1])
    write_json(paths.TRAIN_JSON, history.summary(result.history))
    write_json(paths.VALIDATION_JSON, history.headline(result.history))


def _save(
    path: Path,
    model: SRGenerator,
    record: EpochRecord | None,
    task: Task,
    hardware: dict[str, str],
) -> None:
    settings = task.settings
    save_generator(
        path,
        model,
        architecture=settings.generator.name,
        hyperparameters=hyperparameters(settings.generator, task.packed.scale),
        training={
            "settings": settings.model_dump(),
            "content": asdict(task.content.record) if task.content else None,
            "start": task.start.record if task.start else None,
            "images": len(task.train_rows),
            "epochs": record.epoch if record else 0,
            "hardware": hardware,
        },
        metrics=record.numbers() if record else {},
    )
