"""Stage train: a generator in `models/generator.pt`, and what happened on the way."""

from dataclasses import asdict

from srpipe import console, environment, paths, tracking
from srpipe.checkpoint import hyperparameters, save_generator
from srpipe.files import rounded, write_csv, write_json
from srpipe.models.content import load_content
from srpipe.packed import open_packed
from srpipe.settings import load_params
from srpipe.splits import read_split, sample_images, subset
from srpipe.training.history import as_table, plot_losses, plot_validation, verdict
from srpipe.training.loop import train


@console.entry_point
def main() -> None:
    """Train the generator that the settings name; every run is an MLflow run."""
    params = load_params()
    settings = params.train
    packed = open_packed(paths.PACKED)
    split = read_split(paths.SPLIT)
    train_rows = packed.rows(subset(split, "train")["image"])
    validation = sample_images(
        subset(split, "validation"), settings.validation_images, settings.seed
    )
    content = load_content(settings.content) if settings.uses_content else None
    device = environment.device_name()
    console.say(
        f"{settings.generator.name} {packed.scale}x on {device}: {len(train_rows)} training images"
    )

    with tracking.training_run(params.model_dump(), settings.generator.name) as run:
        result = train(
            packed,
            train_rows,
            packed.rows(validation),
            settings,
            content=content,
            device=device,
            on_epoch=lambda record: run.metrics(record.numbers(), step=record.epoch),
        )
        final = verdict(result.history)
        save_generator(
            paths.GENERATOR,
            result.generator,
            architecture=settings.generator.name,
            hyperparameters=hyperparameters(settings.generator, packed.scale),
            training={
                "settings": settings.model_dump(),
                "content": asdict(content.record) if content else None,
                "images": len(train_rows),
            },
            metrics=result.history[-1].numbers(),
        )
        write_csv(paths.HISTORY_CSV, as_table(result.history))
        plots = paths.TRAIN_PLOTS / "losses.png", paths.TRAIN_PLOTS / "validation.png"
        plot_losses(result.history, plots[0])
        plot_validation(result.history, plots[1])
        write_json(paths.TRAIN_JSON, final)
        run.files(plots, "plots")
        run.files([paths.GENERATOR], "weights")
        run.generator(result.generator, paths.GENERATOR)
    last = result.history[-1]
    console.say(f"validation PSNR {rounded(last.psnr, 2)} dB; weights in {paths.GENERATOR}")


if __name__ == "__main__":
    main()
