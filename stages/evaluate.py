"""Stage evaluate: what the trained generator scores on the test images, beside the baselines."""

import pandas as pd

from srpipe import console, environment, paths, tracking
from srpipe.checkpoint import load_generator, require_scale
from srpipe.files import write_csv, write_json
from srpipe.packed import open_packed
from srpipe.report import draw_panels, headline, read_baseline
from srpipe.scoring.evaluation import model_row, summary, with_gains
from srpipe.settings import load_params
from srpipe.splits import read_split, subset


@console.entry_point
def main() -> None:
    """Score the generator, compare it image by image, and draw the worst, median and best image."""
    params = load_params()
    settings = params.evaluate
    packed = open_packed(paths.PACKED)
    loaded = load_generator(paths.GENERATOR)
    require_scale(loaded, packed.scale, paths.GENERATOR)
    device = environment.device_name()
    model = loaded.model.to(device)
    test = subset(read_split(paths.SPLIT), "test")
    rows = packed.rows(test["image"])
    scores = [
        model_row(model, packed, row, device)
        for row in console.progress(rows, what="evaluate", total=len(rows), unit="image")
    ]
    table = with_gains(read_baseline(paths.BASELINE_CSV, pd.DataFrame(scores)))
    metrics = summary(table, samples=settings.bootstrap_samples, seed=settings.seed)
    panels = draw_panels(paths.EVALUATE_PLOTS, table, packed, model, device)
    write_csv(paths.EVALUATE_CSV, table)
    write_json(paths.EVALUATE_JSON, metrics)
    with tracking.evaluation_run(paths.GENERATOR) as run:
        run.metrics(headline(metrics))
        run.files(panels, "panels")
    console.say(f"panels in {paths.EVALUATE_PLOTS}, metrics in {paths.EVALUATE_JSON}")


if __name__ == "__main__":
    main()
