"""Scoring a generator, and the baselines, on a folder of HR radiographs."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.data.pairs import to_pair
from srpipe.evaluation.scorer import Row, baselines, scores
from srpipe.evaluation.tables import text_table
from srpipe.formats.raster import SixteenBit, read_file
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Scores
from srpipe.models.checkpoint import LoadedGenerator
from srpipe.models.inference import super_resolve


def evaluate_folder(
    files: Mapping[str, Path],
    generator: LoadedGenerator,
    device: str,
    *,
    back_projections: int,
    consistent: bool,
    sixteen_bit: SixteenBit,
) -> list[Row]:
    """Return a row per image: `image`, the generator's scores and both baselines'.

    Args:
        files: HR images by name.
        generator: what is evaluated.
        device: torch device name.
        back_projections: steps of the second baseline.
        consistent: make the generator's images downsample to LR before they are scored.
        sixteen_bit: how 16-bit images become 8-bit, see `formats.raster`.

    Raises:
        ImageError: an image cannot be read or is too small.
        CheckpointError: the generator's output is not finite.
    """
    model, scale = generator.model.to(device), generator.scale
    rows: list[Row] = []
    for name, path in console.progress(
        files.items(), what="evaluate", total=len(files), unit="image"
    ):
        hr, lr = to_pair(read_file(path, sixteen_bit), scale, name)
        images = {
            "": super_resolve(model, lr, device, consistent=consistent),
            **baselines(scale, back_projections, lr),
        }
        rows.append({"image": name, **scores(hr, lr, images)})
    return rows


def summary_text(rows: list[Row], name: str, back_projections: int) -> str:
    """Return a table of means, bicubic first, and on how many images the generator is better."""
    table = pd.DataFrame(rows)
    methods = {
        f"bicubic + {back_projections} back-projections": "bicubic_bp_",
        "bicubic": "bicubic_",
        name: "",
    }
    means = {
        label: {key: float(table[prefix + key].mean()) for key in Scores.names()}
        for label, prefix in methods.items()
    }
    lines = [text_table(means)]
    for baseline in BASELINES:
        whole = int((table["psnr"] > table[f"{baseline}_psnr"]).sum())
        masked = int((table["psnr_masked"] > table[f"{baseline}_psnr_masked"]).sum())
        lines.append(
            f"PSNR better than {baseline} on {whole} of {len(table)} images, masked on {masked}."
        )
    return "\n".join(lines)
