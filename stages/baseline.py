"""Stage baseline: scores of bicubic, and of bicubic with back-projection, on the test images."""

import functools

import pandas as pd

from srpipe.core import console, paths
from srpipe.core.files import write_csv, write_json
from srpipe.data.packed import open_packed, packed_pair
from srpipe.data.split_file import read_split, sample_images, subset
from srpipe.evaluation.scorer import baselines, scored_pairs
from srpipe.evaluation.tables import means, text_table
from srpipe.metrics.baselines import BASELINES
from srpipe.settings.base import load_section
from srpipe.settings.baseline import Baseline

# Which images have a content distance; the evaluate stage takes the same.
SAMPLE_SEED = 0


@console.entry_point
def main() -> None:
    """Score the baselines, in parallel, and write the per-image table and the means."""
    settings = load_section("baseline", Baseline)
    packed = open_packed(paths.PACKED)
    packed.verify()
    test = subset(read_split(paths.SPLIT), "test")
    rows = packed.rows(test["image"])
    sample = frozenset(sample_images(test, settings.content_images, SAMPLE_SEED))
    methods = functools.partial(baselines, packed.scale, settings.back_projections)
    load = functools.partial(packed_pair, paths.PACKED)
    table = pd.DataFrame(scored_pairs(methods, load, rows, "cpu", what="baseline", sample=sample))
    metrics = {name: means(table, f"{name}_") for name in BASELINES}
    write_csv(paths.BASELINE_CSV, table)
    write_json(paths.BASELINE_JSON, {"images": len(table), **metrics})
    console.say(text_table(metrics))


if __name__ == "__main__":
    main()
