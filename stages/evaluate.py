"""Stage evaluate: the trained generator's scores on the test images, beside the baselines'.

Also its scores by sex, age, view and finding, over acquisitions, and the perception-distortion
curve: what its adversarial epochs changed.
"""

import functools

import pandas as pd

from srpipe.core import console, environment, paths
from srpipe.core.files import write_csv, write_json
from srpipe.data.facts import read_facts
from srpipe.data.packed import open_packed, packed_pair
from srpipe.data.split_file import read_split, sample_images, subset
from srpipe.evaluation import acquisitions, fairness
from srpipe.evaluation.curve import curve_table, perception_distortion
from srpipe.evaluation.gains import summary, with_gains
from srpipe.evaluation.generated import generated
from srpipe.evaluation.report import (
    content_sample,
    draw_pictures,
    flat_means,
    headline,
    read_baseline,
)
from srpipe.evaluation.scorer import scored_pairs
from srpipe.models.checkpoint import load_generator, require_scale
from srpipe.models.inference import super_resolve
from srpipe.models.interpolate import same_weights
from srpipe.settings.base import load_section
from srpipe.settings.evaluate import Evaluate
from srpipe.tracking import lock, runs


@console.entry_point
def main() -> None:
    """Score the generator, compare it image by image, and draw the pictures."""
    settings = load_section("evaluate", Evaluate)
    packed = open_packed(paths.PACKED)
    final, pixel = load_generator(paths.GENERATOR), load_generator(paths.PIXEL)
    require_scale(final, packed.scale, paths.GENERATOR)
    require_scale(pixel, packed.scale, paths.PIXEL)
    packed.verify()
    device = environment.device_name()
    model, before = final.model.to(device), pixel.model.to(device)
    shown = {"SR": model} if same_weights(pixel, final) else {"pixel": before, "adversarial": model}
    test = subset(read_split(paths.SPLIT), "test")
    facts = read_facts(paths.IMAGES)
    rows = packed.rows(test["image"])
    consistent = settings.consistent
    load = functools.partial(packed_pair, paths.PACKED)
    methods = functools.partial(generated, {"": model}, device, consistent)
    sample = content_sample(paths.BASELINE_CSV)
    scores = scored_pairs(methods, load, rows, device, what="evaluate", sample=sample)
    table = with_gains(read_baseline(paths.BASELINE_CSV, pd.DataFrame(scores)))
    metrics = {
        "consistent": consistent,
        **summary(table, samples=settings.bootstrap_samples, seed=settings.seed),
    }
    acquired = acquisitions.scored_images(
        packed,
        sample_images(test, settings.acquisition_images, settings.seed),
        settings.acquisitions,
        functools.partial(super_resolve, model, device=device, consistent=consistent),
        settings.seed,
        device,
    )
    metrics["acquisitions"] = acquisitions.summary(
        acquired, samples=settings.bootstrap_samples, seed=settings.seed
    )
    curve = perception_distortion(pixel, final, settings, packed, table, device)
    pictures = draw_pictures(
        paths.EVALUATE_PLOTS, table, packed, shown, device, curve, consistent=consistent
    )
    table = fairness.with_facts(table, facts)
    write_csv(paths.EVALUATE_CSV, table)
    groups = fairness.by_group(table, samples=settings.bootstrap_samples, seed=settings.seed)
    write_csv(paths.FAIRNESS_CSV, groups)
    fairness.draw(paths.FAIRNESS_PLOT, groups)
    write_csv(paths.ACQUISITIONS_CSV, acquired)
    acquisitions.draw(paths.ACQUISITIONS_PLOT, acquired)
    write_csv(paths.CURVE_CSV, curve_table(curve))
    write_json(paths.EVALUATE_JSON, metrics)
    write_json(paths.TEST_JSON, headline(metrics))
    made_before = (paths.PACKED, paths.SPLIT, paths.GENERATOR, paths.PIXEL, paths.BASELINE_CSV)
    with runs.evaluation_run(paths.GENERATOR) as run:
        run.tags(lock.hashes(made_before))
        run.metrics(flat_means(metrics))
        run.files([*pictures, paths.ACQUISITIONS_PLOT, paths.FAIRNESS_PLOT], "evaluate")
    console.say(fairness.summary(groups))
    console.say(f"pictures in {paths.EVALUATE_PLOTS}, metrics in {paths.EVALUATE_JSON}")


if __name__ == "__main__":
    main()
