"""Stage baseline: what bicubic, and bicubic with back-projection, score on the test images."""

import functools

import pandas as pd

from srpipe import console, paths
from srpipe.files import write_csv, write_json
from srpipe.packed import open_packed
from srpipe.scoring.evaluation import BASELINES, baseline_row, means, text_table
from srpipe.settings import load_params
from srpipe.splits import read_split, subset


@console.entry_point
def main() -> None:
    """Score the baselines, in parallel, and write the per-image table and the means."""
    params = load_params()
    packed = open_packed(paths.PACKED)
    test = subset(read_split(paths.SPLIT), "test")
    rows = packed.rows(test["image"])
    work = functools.partial(baseline_row, paths.PACKED, params.baseline.back_projections)
    table = pd.DataFrame(console.parallel(work, rows, what="baseline"))
    metrics = {name: means(table, f"{name}_") for name in BASELINES}
    write_csv(paths.BASELINE_CSV, table)
    write_json(paths.BASELINE_JSON, {"images": len(table), **metrics})
    console.say(text_table(metrics))


if __name__ == "__main__":
    main()
