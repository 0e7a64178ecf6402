"""Calibrate a generator's interval, or measure its coverage.

    python -m srpipe.evaluation.calibration --weights NAME|FILE --fit A --calibrate B --out FILE
    python -m srpipe.evaluation.calibration --weights NAME|FILE --measure FOLDER [--json OUT]

Folders hold HR radiographs, and are read as `make results` reads them, patient IDs as params.yaml
says. The table of half widths (`trust.interval`) is fitted on the first folder's patients, which
must not have trained the generator; its factor is calibrated on the second's, which must be others.
The written file is the generator's with the interval in its record.
"""

import argparse
import functools
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage

from srpipe.acquisition.detector import recorded
from srpipe.core import console
from srpipe.core.errors import DataError
from srpipe.core.files import rounded, write_json
from srpipe.core.parallel import parallel
from srpipe.data.pairs import make_pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.evaluation.comparison.examine import MADE, chosen
from srpipe.evaluation.comparison.methods import SCALE
from srpipe.evaluation.intervals import bootstrap
from srpipe.evaluation.shown import NOISE_SEED, SHOWN
from srpipe.evaluation.tables import aligned_table
from srpipe.imaging.arrays import FloatArray
from srpipe.metrics.scores import Mask
from srpipe.models.checkpoint import load_generator, require_scale, save_released
from srpipe.models.inference import unrounded
from srpipe.models.released import weights_file
from srpipe.trust.interval import DETAILS, RESIDUALS, Interval, features, of_record, spread

LEVEL = 0.9
# Every so many-th pixel is looked at, each way; a number that no structure repeats at.
STEP = 9
# A node of the table with fewer pixels takes its neighbours' value.
ENOUGH = 200
# Brightness bands of HR, grey levels; the part of HR with most detail.
BANDS = ((0, 64), (64, 128), (128, 192), (192, 256))
MOST_DETAIL = 0.05
ALL = "all"


class Seen(NamedTuple):
    """Some pixels of one image under one acquisition.

    `at` is float32 `(2, N)`, `features`; `error` |HR - SR| in grey levels and `hr` HR's, `(N,)`;
    `detailed` marks the part of HR with most detail.
    """

    image: str
    patient: str
    acquisition: str
    at: FloatArray
    error: FloatArray
    hr: npt.NDArray[np.uint8]
    detailed: Mask


def examined(weights: Path, source: Source, entry: Entry) -> list[Seen]:
    """Super-resolve an image under every acquisition of the results page, and look at pixels."""
    torch.set_num_threads(1)
    model = _model(weights)
    pair = make_pair(source, MADE, entry)
    detail = features(pair.hr.astype(np.float32) / np.float32(255), pair.lr)[1]
    detailed = detail >= np.quantile(detail, 1 - MOST_DETAIL)
    some = np.s_[STEP // 2 :: STEP, STEP // 2 :: STEP]
    seen = []
    for name, how in SHOWN.items():
        lr = recorded(pair.hr, pair.image, SCALE, how, NOISE_SEED)
        sr = unrounded(model, lr)
        error = np.abs(sr * 255 - pair.hr)[some].ravel().astype(np.float32)
        at = features(sr, lr)[:, *some].reshape(2, -1)
        shown = pair.hr[some].ravel(), detailed[some].ravel()
        seen.append(Seen(pair.image, pair.patient, name, at, error, *shown))
    return seen


@functools.lru_cache(maxsize=2)
def _model(weights: Path) -> Any:
    return load_generator(weights).model


def fitted(seen: Iterable[Seen], level: float = LEVEL) -> npt.NDArray[np.float64]:
    """Return the table: at each node, log2 of the quantile of the errors of pixels around it."""
    parts = list(seen)
    at = np.concatenate([each.at for each in parts], axis=1)
    error = np.concatenate([each.error for each in parts])
    first = np.array([RESIDUALS[0], DETAILS[0]])[:, None]
    size = len(RESIDUALS), len(DETAILS)
    node = np.clip(np.rint(at - first).astype(int), 0, np.array(size)[:, None] - 1)
    index = node[0] * size[1] + node[1]
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(size[0] * size[1] + 1))
    table = np.full(size[0] * size[1], np.nan)
    for number, (begin, end) in enumerate(itertools.pairwise(starts)):
        if end - begin >= ENOUGH:
            table[number] = np.log2(np.quantile(error[order[begin:end]], level) + 1e-3)
    if np.isnan(table).all():
        raise DataError("too few pixels to fit an interval: give more or larger images")
    return _filled(table.reshape(size))


def _filled(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give empty nodes the value of the nearest that is not."""
    nearest = ndimage.distance_transform_edt(
        np.isnan(table), return_distances=False, return_indices=True
    )
    filled: npt.NDArray[np.float64] = table[tuple(nearest)]
    return filled


def calibrated(seen: Sequence[Seen], table: npt.NDArray[np.float64], level: float = LEVEL) -> float:
    """Return the smallest factor that conformal risk control allows.

    With n patients and L the mean over them of the share of their pixels outside, it is the
    smallest one for which n/(n+1) L + 1/(n+1) <= 1 - level.

    Raises:
        DataError: there are too few patients for this level.
    """
    ratios = [each.error / spread(table, each.at) for each in seen]
    patients = sorted({each.patient for each in seen})
    allowed = (1 - level) * (len(patients) + 1) / len(patients) - 1 / len(patients)
    if allowed <= 0:
        raise DataError(
            f"{len(patients)} patients cannot calibrate an interval of {level:.0%}: give at least "
            f"{int(1 / (1 - level)) + 1}, better a hundred"
        )
    weights = _weights([each.patient for each in seen], [len(ratio) for ratio in ratios])
    values = np.concatenate(ratios)
    order = np.argsort(-values)
    outside = np.cumsum(weights[order])
    # The largest ratios may lie outside until their weight is used up.
    count = int(np.searchsorted(outside, allowed, side="right"))
    return float(values[order][min(count, len(values) - 1)])


def _weights(owners: Sequence[str], sizes: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return pixels' weights, of sum 1: owners count alike, and parts within them.

    `owners` says whose each part is, `sizes` how many pixels it has.
    """
    parts = Counter(owners)
    each = [
        1 / (len(parts) * parts[owner] * size) for owner, size in zip(owners, sizes, strict=True)
    ]
    return np.repeat(each, sizes)


def coverage(seen: Iterable[Seen], interval: Interval) -> pd.DataFrame:
    """Return the share of pixels inside and the mean width, a row an image, acquisition and group.

    Groups: all pixels, brightness bands of HR, and the part of HR with most detail. Widths are of
    the whole interval, in grey levels.
    """
    rows = []
    for each in seen:
        half = interval.factor * spread(np.asarray(interval.table), each.at)
        inside = each.error <= half
        rows += [
            {
                "image": each.image,
                "patient": each.patient,
                "acquisition": each.acquisition,
                "group": name,
                "coverage": float(inside[where].mean()),
                "width": float(2 * half[where].mean()),
            }
            for name, where in _groups(each).items()
        ]
    return pd.DataFrame(rows)


def _groups(seen: Seen) -> dict[str, Mask]:
    """Return the groups of an image's pixels that are not empty."""
    groups = {ALL: np.ones(len(seen.hr), bool)}
    groups |= {f"grey {a} to {b - 1}": (seen.hr >= a) & (seen.hr < b) for a, b in BANDS}
    groups["most detail"] = seen.detailed
    return {name: where for name, where in groups.items() if where.any()}


def rows_of_page(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of `coverage` by what the page shows: all, acquisitions, groups."""
    every = table[table["group"] == ALL]
    shown = {ALL: every}
    shown |= {str(name): part for name, part in every.groupby("acquisition", sort=False)}
    rest = table[table["group"] != ALL].groupby("group", sort=False)
    return shown | {str(name): part for name, part in rest}


def constant_widths(seen: Sequence[Seen], table: pd.DataFrame) -> dict[str, float]:
    """Return the width of the interval of constant width that covers as much, by row of the page.

    Each has the coverage that `table` (`coverage`) says, on the same pixels: it is fitted to what
    it is compared on, so that a constant width calibrated on other patients does no better.
    """
    found = {}
    for what, rows in rows_of_page(table).items():
        wanted = {(row.image, row.acquisition) for row in rows.itertuples()}
        group = str(rows["group"].iloc[0])
        parts = [each for each in seen if (each.image, each.acquisition) in wanted]
        errors = [each.error[_groups(each)[group]] for each in parts]
        weights = _weights([each.image for each in parts], [len(error) for error in errors])
        values = np.concatenate(errors)
        order = np.argsort(values)
        inside = np.cumsum(weights[order])
        at = np.searchsorted(inside, _mean_over_images(rows, "coverage") - 1e-9)
        found[what] = 2 * float(values[order][min(int(at), len(values) - 1)])
    return found


def _by_image(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby(["image", "patient"], as_index=False)[["coverage", "width"]].mean()


def _mean_over_images(rows: pd.DataFrame, column: str) -> float:
    return float(_by_image(rows)[column].mean())


def text(table: pd.DataFrame, constant: Mapping[str, float]) -> str:
    """Return coverage and width by acquisition and by group, as Markdown.

    Args:
        table: of `coverage`.
        constant: `constant_widths` of it.
    """
    lines = []
    for what, rows in rows_of_page(table).items():
        covered = _by_image(rows)
        bounds = bootstrap(
            covered["coverage"].to_numpy(), covered["patient"].tolist(), samples=2000, seed=0
        )
        shown = f"{bounds.mean:.1%} [{bounds.low:.1%}, {bounds.high:.1%}]"
        width = _mean_over_images(rows, "width")
        ratio = f"{width / constant[what]:.2f}" if constant[what] else ""
        lines.append([what, shown, f"{width:.1f}", f"{constant[what]:.1f}", ratio])
    return aligned_table(["pixels", "inside", "mean width", "constant width", "ratio"], lines)


@console.entry_point
def main() -> None:
    """Calibrate and write, or measure and print."""
    given = _options()
    weights = weights_file(given.weights)
    loaded = load_generator(weights)
    require_scale(loaded, SCALE, weights)
    if given.measure is not None:
        interval = of_record(loaded.record, weights.name)
        seen = _seen(weights, given.measure)
        found = coverage(seen, interval)
        constant = constant_widths(seen, found)
        print(text(found, constant))
        if given.json is not None:
            measured = {"interval": interval.record(), "constant_widths": constant}
            write_json(given.json, {**measured, "rows": _plain(found)})
        return
    table = fitted(_seen(weights, given.fit))
    seen = _seen(weights, given.calibrate)
    factor = calibrated(seen, table)
    patients = sorted({each.patient for each in seen})
    kept = tuple(tuple(rounded(value, 4) for value in row) for row in table)
    facts = {
        "patients": len(patients),
        "images": len({each.image for each in seen}),
        "acquisitions": list(SHOWN),
    }
    interval = Interval(LEVEL, rounded(factor, 5), kept, facts)
    save_released(
        given.out, replace(loaded, record={**loaded.record, "interval": interval.record()}), {}
    )
    console.say(
        f"wrote {given.out}: of a new patient like these {len(patients)}, under these "
        f"acquisitions, at least {LEVEL:.0%} of the pixels are inside, in expectation"
    )


def _seen(weights: Path, folder: Path) -> list[Seen]:
    with tempfile.TemporaryDirectory() as listed:
        source, entries = chosen(folder, Path(listed))
        work = functools.partial(examined, weights, source)
        return [each for part in parallel(work, entries, what="look") for each in part]


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(key): rounded(value, 5) if isinstance(value, float) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m srpipe.evaluation.calibration",
        description=str(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", required=True, metavar="NAME|FILE", help="generator")
    parser.add_argument("--fit", type=Path, metavar="FOLDER", help="HR images for the table")
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="HR images for the factor")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the .safetensors file to write")
    parser.add_argument(
        "--measure", type=Path, metavar="FOLDER", help="HR images to be measured on"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was measured")
    given = parser.parse_args()
    making = [given.fit, given.calibrate, given.out]
    if (given.measure is None) == any(each is None for each in making):
        parser.error("give --fit, --calibrate and --out, or --measure")
    return given


if __name__ == "__main__":
    main()
