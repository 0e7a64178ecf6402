"""Quality over acquisitions: what is left of it at a low dose, and after blur, binning or JPEG.

The generator, and simple methods that must be beaten, get the same recorded LR image and are scored
against the same HR image. The noise of an image depends on its name and the seed, and is the same
at every level but for its strength.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from srpipe.acquisition.detector import noise_level, recorded
from srpipe.core import console
from srpipe.core.files import replacing, rounded
from srpipe.core.parallel import parallel
from srpipe.data.packed import Packed, Pair, packed_pair
from srpipe.evaluation.intervals import bootstrap
from srpipe.imaging.arrays import GreyImage, RecordedImage
from srpipe.imaging.resample import bicubic
from srpipe.imaging.tensors import one_thread
from srpipe.metrics.baselines import baseline_images, denoised
from srpipe.metrics.error import psnr, squared_error
from srpipe.metrics.mask import anatomy_mask, mean_inside
from srpipe.settings.acquisition import Acquisition

SCORES = ("psnr", "psnr_masked")
COLUMNS = ("image", "patient", "acquisition", "method", *SCORES)
IDEAL = "ideal"
MODEL = "model"
# After denoising: as simple as can be, and the generator.
DENOISED, DENOISED_MODEL = "denoised", "denoised_model"
LABELS = {
    "bicubic": "bicubic",
    "bicubic_bp": "bicubic + back-projection",
    DENOISED: "non-local means, then bicubic",
    DENOISED_MODEL: "non-local means, then the generator",
    MODEL: "generator",
}

Upscale = Callable[[RecordedImage], GreyImage]
Row = dict[str, str | float]


def methods(
    lr: RecordedImage,
    scale: int,
    noise: float,
    upscale: Mapping[str, Upscale],
    after_denoising: Mapping[str, Upscale],
) -> dict[str, GreyImage]:
    """Return the SR images of simple methods and of generators, by name.

    Args:
        lr: what was recorded.
        scale: HR side over LR side.
        noise: the standard deviation of its noise in [0, 1], which the denoiser is told. Where it
            is 0, nothing is denoised.
        upscale: generators by name.
        after_denoising: those which get the denoised image, by the name of that method.
    """
    images = baseline_images(lr, scale, back_projections=3)
    if noise:
        clean = denoised(lr, noise)
        images[DENOISED] = bicubic(clean, scale)
        images |= {name: generator(clean) for name, generator in after_denoising.items()}
    return images | {name: generator(lr) for name, generator in upscale.items()}


def scored(
    pair: Pair,
    acquisitions: Mapping[str, Acquisition],
    upscale: Mapping[str, Upscale],
    after_denoising: Mapping[str, Upscale],
    *,
    scale: int,
    seed: int,
) -> list[Row]:
    """Return the PSNR of every method under every acquisition of one image, whole and masked.

    Args:
        pair: the image; its LR is not used.
        acquisitions: by name.
        upscale: generators by name.
        after_denoising: those which get the denoised image, by the name of that method.
        scale: HR side over LR side.
        seed: of the noise.

    Returns:
        A row for each acquisition and method, with the columns `COLUMNS`.
    """
    hr, mask = pair.hr, anatomy_mask(pair.hr)
    rows: list[Row] = []
    for name, how in acquisitions.items():
        lr = recorded(hr, pair.image, scale, how, seed)
        noise = noise_level(how, lr, scale)
        for method, sr in methods(lr, scale, noise, upscale, after_denoising).items():
            error = squared_error(sr, hr)
            values = psnr(float(error.mean())), psnr(mean_inside(error, mask))
            row = (pair.image, pair.patient, name, method, *values)
            rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def scored_images(
    packed: Packed,
    images: Sequence[str],
    acquisitions: Mapping[str, Acquisition],
    upscale: Upscale,
    seed: int,
    device: str = "cpu",
) -> pd.DataFrame:
    """Return `scored` of packed images, under the ideal acquisition and then the others.

    Args:
        packed: the images.
        images: names of those to score.
        acquisitions: by name.
        upscale: the generator, scored as `MODEL` and, after denoising, as `DENOISED_MODEL`; it can
            be pickled.
        seed: of the noise.
        device: torch device name of the generator. On a CPU, worker processes score, on one thread
            each; with another device, whose images are made between two simple methods, this
            process does.
    """
    rows = packed.rows(images)
    every = {IDEAL: Acquisition(), **acquisitions}
    work = functools.partial(_scored_row, packed.folder, packed.scale, every, upscale, seed)
    what = "acquisitions"
    parts = (
        parallel(work, rows, what=what)
        if device == "cpu"
        else console.progress(map(work, rows), what=what, total=len(rows), unit="image")
    )
    return pd.DataFrame([row for part in parts for row in part])


def _scored_row(
    folder: Path,
    scale: int,
    acquisitions: Mapping[str, Acquisition],
    upscale: Upscale,
    seed: int,
    row: int,
) -> list[Row]:
    generators, after_denoising = {MODEL: upscale}, {DENOISED_MODEL: upscale}
    pair = packed_pair(folder, row)
    with one_thread():
        return scored(pair, acquisitions, generators, after_denoising, scale=scale, seed=seed)


def summary(table: pd.DataFrame, *, samples: int, seed: int, model: str = MODEL) -> dict[str, Any]:
    """Return for each acquisition the model's scores and what it gains over the best simple method.

    Args:
        table: a row an image, acquisition and method, as `scored` makes them.
        samples: bootstrap resamples of the patients.
        seed: of the bootstrap.
        model: the method that is judged.

    Returns:
        By acquisition: for each score, mean and 95% interval; `over_best`, paired by image: the
        name of the best other method by that score, mean and interval of the gain over it, and
        on how many images the model is better.
    """
    return {
        str(name): {
            score: {**_interval(part, score, samples, seed), "over_best": best}
            for score in SCORES
            for part in [rows[rows["method"] == model]]
            for best in [_over_best(rows, score, model, samples, seed)]
        }
        for name, rows in table.groupby("acquisition", sort=False)
    }


def _over_best(
    rows: pd.DataFrame, score: str, model: str, samples: int, seed: int
) -> dict[str, Any]:
    by_method = rows.pivot(index="image", columns="method", values=score)
    # The model after denoising is no simple method, and is shown beside it.
    others = by_method.drop(columns=[model, DENOISED_MODEL], errors="ignore")
    best = str(others.mean().idxmax())
    gain = by_method[model] - by_method[best]
    patients = rows.drop_duplicates("image").set_index("image")["patient"]
    table = pd.DataFrame({score: gain, "patient": patients})
    better = int((gain > 0).sum())
    return {"method": best, **_interval(table, score, samples, seed), "better_images": better}


def _interval(rows: pd.DataFrame, score: str, samples: int, seed: int) -> dict[str, float]:
    found = bootstrap(rows[score].to_numpy(), rows["patient"].tolist(), samples=samples, seed=seed)
    return {key: rounded(value) for key, value in asdict(found).items()}


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean scores, a row an acquisition and method, in the order of the table."""
    grouped = table.groupby(["acquisition", "method"], sort=False)
    return grouped[list(SCORES)].mean().round(4).reset_index()


def draw(path: Path, table: pd.DataFrame, labels: Mapping[str, str] = LABELS) -> None:
    """Plot mean PSNR by acquisition, a line a method, masked and whole, as PNG.

    Args:
        path: the PNG file.
        table: as `scored` makes it.
        labels: methods to show, and what to call them.

    Raises:
        OutputError: the file cannot be written.
    """
    average = means(table)
    order = list(dict.fromkeys(average["acquisition"]))
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(f"Quality over acquisitions: mean over {table['image'].nunique()} images")
    titles = {"psnr_masked": "PSNR masked (dB)", "psnr": "PSNR whole (dB)"}
    for axis, (score, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for method, label in labels.items():
            values = average[average["method"] == method].set_index("acquisition")[score]
            shown = [name for name in order if name in values.index]
            axis.plot(
                [order.index(name) for name in shown],
                values[shown],
                marker="o",
                label=label,
                linewidth=2.5 if method == MODEL else 1.2,
            )
        axis.set(ylabel=title, xlabel="acquisition")
        axis.set_xticks(range(len(order)), order, rotation=45, ha="right")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
