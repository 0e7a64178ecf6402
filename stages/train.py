"""Stage train: generators in `models/`, and what happened on the way.

Started once, it starts the other training processes that the environment asks for. Killed at any
moment, the same command goes on where it was.
"""

from dataclasses import asdict
from typing import Any

import torch

from srpipe import console, environment, paths, tracking
from srpipe.checkpoint import hyperparameters, load_start, save_generator
from srpipe.files import rounded, write_csv, write_json
from srpipe.models.content import load_content
from srpipe.packed import open_packed
from srpipe.settings import Train, load_params
from srpipe.splits import read_split, sample_images, subset
from srpipe.training import processes, resume
from srpipe.training.history import as_table, plot_losses, plot_validation, verdict
from srpipe.training.loop import Task, TrainingResult, check_task, train
from srpipe.training.precision import choose
from srpipe.training.state import Hardware


@console.entry_point
def main() -> None:
    """Train the generator that the settings name; every run is an MLflow run."""
    params = load_params()
    settings = params.train
    task = _task(settings)
    seconds = environment.checkpoint_seconds()
    if processes.needed():
        check_task(task, processes.wanted())
        processes.launch("stages.train")
        return
    with processes.joined(environment.device_name()) as (group, device):
        group.require_same(resume.fingerprint(_identity(task)))
        threads = environment.crop_threads()
        hardware = Hardware(device, group, environment.compile_mode(), threads)
        if not group.first:
            train(task, hardware, None, save_seconds=seconds, on_epoch=lambda record: None)
            return
        used = _announce(task, hardware)
        # The first process speaks, saves and writes for all.
        with (
            resume.opened(paths.interrupted(), _identity(task)) as store,
            tracking.training_run(
                params.model_dump(),
                settings.generator.name,
                store.name,
                resumed=store.exists(),
            ) as run,
        ):
            run.tags({"hardware": used})
            result = train(
                task,
                hardware,
                store,
                save_seconds=seconds,
                on_epoch=lambda record: run.epoch(record.numbers(), record.epoch),
            )
            _write(task, result, used, run)
            store.finish()
    last = result.history[-1]
    console.say(f"validation PSNR {rounded(last.psnr, 2)} dB; weights in {paths.GENERATOR}")


def _task(settings: Train) -> Task:
    packed = open_packed(paths.PACKED)
    split = read_split(paths.SPLIT)
    validation = sample_images(
        subset(split, "validation"), settings.validation_images, settings.seed
    )
    content = load_content(settings.content) if settings.uses_content else None
    train_rows = packed.rows(subset(split, "train")["image"])
    start = None
    if settings.start is not None:
        start = load_start(settings.generator, packed.scale, paths.from_user(settings.start))
    return Task(packed, train_rows, packed.rows(validation), settings, content, start)


def _identity(task: Task) -> dict[str, Any]:
    """Return all that decides the result: where it differs, a training starts anew."""
    return {
        "settings": task.settings.model_dump(),
        "data": task.packed.digests,
        "train": task.train_rows,
        "validation": task.validation_rows,
        "content": asdict(task.content.record) if task.content else None,
        "start": task.start.record if task.start else None,
        "code": resume.code_digest(),
    }


def _announce(task: Task, hardware: Hardware) -> dict[str, str]:
    """Say what is trained where; return what of it is recorded with the weights."""
    settings = task.settings
    precision = choose(settings.precision, hardware.device, settings.discriminator.name).record()
    processes = hardware.group.size
    console.say(
        f"{settings.generator.name} {task.packed.scale}x on {hardware.device} "
        f"({processes} process{'es' if processes > 1 else ''}; generator in "
        f"{precision['generator']}, discriminator in {precision['discriminator']}): "
        f"{len(task.train_rows)} training images"
    )
    return precision | {"device": torch.device(hardware.device).type, "processes": str(processes)}


def _write(task: Task, result: TrainingResult, hardware: dict[str, str], run: tracking.Run) -> None:
    settings = task.settings
    last_pixel = next(each for each in reversed(result.history) if each.stage == "pixel")
    for path, model, record in (
        (paths.PIXEL, result.pixel, last_pixel),
        (paths.GENERATOR, result.generator, result.history[-1]),
    ):
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
                "epochs": record.epoch,
                "hardware": hardware,
            },
            metrics=record.numbers(),
        )
    write_csv(paths.HISTORY_CSV, as_table(result.history))
    plots = paths.TRAIN_PLOTS / "losses.png", paths.TRAIN_PLOTS / "validation.png"
    plot_losses(result.history, plots[0])
    plot_validation(result.history, plots[1])
    write_json(paths.TRAIN_JSON, verdict(result.history))
    run.files(plots, "plots")
    run.files([paths.GENERATOR, paths.PIXEL], "weights")
    run.generator(result.generator, paths.GENERATOR)


if __name__ == "__main__":
    main()
