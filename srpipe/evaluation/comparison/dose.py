"""The released generators over acquisitions: noise, dose, blur, sampling, JPEG."""

from pathlib import Path

import pandas as pd
import torch

from srpipe.core.files import write_csv
from srpipe.data.pairs import make_pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.evaluation import acquisitions
from srpipe.evaluation.acquisitions import LABELS, SCORES, Upscale
from srpipe.evaluation.comparison.examine import MADE
from srpipe.evaluation.comparison.methods import FIDELITY, IDEAL_ONLY, PUBLISHED, SCALE, Weights
from srpipe.evaluation.comparison.pages import SAMPLES, SEED, replace_block
from srpipe.evaluation.scorer import Row
from srpipe.evaluation.shown import NOISE_SEED, SHOWN
from srpipe.evaluation.tables import aligned_table
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve

PAGE = Path("docs/dose.md")
CSV = Path("docs/dose.csv")
FIGURE = Path("docs/figures/dose.png")
GENERATORS = (PUBLISHED, IDEAL_ONLY, FIDELITY)
DENOISED_IDEAL = f"non-local means, then {IDEAL_ONLY}"


def acquired(weights: Weights, source: Source, entry: Entry) -> list[Row]:
    """Return the scores of one image under every acquisition, a row an acquisition and method."""
    torch.set_num_threads(1)
    shown = [name for name in GENERATORS if name in weights.files]
    generators = {name: _generator(weights.files[name]) for name in shown}
    return acquisitions.scored(
        make_pair(source, MADE, entry),
        SHOWN,
        generators,
        {DENOISED_IDEAL: generators[IDEAL_ONLY]},
        scale=SCALE,
        seed=NOISE_SEED,
    )


def _generator(path: Path) -> Upscale:
    model = load_generator(path).model
    return lambda lr: super_resolve(model, lr)


def write(table: pd.DataFrame) -> None:
    """Write the scores, the page's tables and the figure.

    Args:
        table: rows of `acquired`, of all images.

    Raises:
        DataError: the page lacks its markers.
        OutputError: a file cannot be written.
    """
    table = table.replace({"method": LABELS})
    write_csv(CSV, table.round(dict.fromkeys(SCORES, 4)))
    names = list(dict.fromkeys(table["method"]))
    acquisitions.draw(FIGURE, table, {name: name for name in names})
    counts = f"{table['image'].nunique()} images of {table['patient'].nunique()} patients"
    parts = [
        f"Mean PSNR over {counts}, whole / masked, in dB.",
        mean_table(table),
        f"What {FIDELITY} gains over the best of the other simple answers (bicubic, "
        "back-projection, denoising before bicubic or before the generator trained on ideal LR): "
        "paired by image, mean and 95% interval over patients, and on how many images it gains.",
        gain_table(table),
        f"![PSNR over acquisitions]({FIGURE.relative_to('docs')})",
    ]
    replace_block(PAGE, "\n\n".join(parts))


def mean_table(table: pd.DataFrame) -> str:
    """Return the mean scores, a row an acquisition and a column a method, as Markdown."""
    average = acquisitions.means(table).set_index(["acquisition", "method"])
    names = list(dict.fromkeys(table["method"]))
    rows = [
        [
            str(how),
            *(
                "{psnr:.2f} / {psnr_masked:.2f}".format(**average.loc[(how, name)])
                if (how, name) in average.index
                else ""
                for name in names
            ),
        ]
        for how in dict.fromkeys(table["acquisition"])
    ]
    return aligned_table(["LR", *names], rows)


def gain_table(table: pd.DataFrame) -> str:
    """Return the gains of the default generator over the best simple answer, as Markdown."""
    simple = table[~table["method"].isin({*GENERATORS} - {FIDELITY})]
    found = acquisitions.summary(simple, samples=SAMPLES, seed=SEED, model=FIDELITY)
    rows = []
    for how, scores in found.items():
        cells = []
        for score in SCORES:
            gain = scores[score]["over_best"]
            cells += [
                gain["method"],
                "{mean:+.2f} [{low:+.2f}, {high:+.2f}] ({better_images})".format(**gain),
            ]
        rows.append([how, *cells])
    return aligned_table(["LR", "best, whole", "whole", "best, masked", "masked"], rows)
