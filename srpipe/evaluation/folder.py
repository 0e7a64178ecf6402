"""Scoring a generator, and the baselines, on a folder of HR radiographs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from srpipe.core import console
from srpipe.core.errors import DataError, ImageError
from srpipe.core.parallel import parallel
from srpipe.data.packed import Pair
from srpipe.data.pairs import to_pair
from srpipe.evaluation.generated import generated
from srpipe.evaluation.scorer import Row, baselines, scored_pairs
from srpipe.evaluation.tables import text_table
from srpipe.formats.raster import SixteenBit, read_file
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Scores
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import LoadedGenerator


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
        DataError: images cannot be read or are too small. All are told at once, before any is
            scored: a mean over fewer images would be another one.
        CheckpointError: the generator's output is not finite.
    """
    model, scale = generator.model.to(device), generator.scale
    methods = functools.partial(_images, model, device, consistent, scale, back_projections)
    load = functools.partial(_pair, scale, sixteen_bit)
    _refuse_unusable(list(files.items()), load)
    rows = scored_pairs(methods, load, list(files.items()), device, what="evaluate")
    return [{name: value for name, value in row.items() if name != "patient"} for row in rows]


def _refuse_unusable(files: Sequence[tuple[str, Path]], load: Callable[..., Pair]) -> None:
    reasons = parallel(functools.partial(_reason, load), files, what="reading")
    bad = [reason for reason in reasons if reason]
    if len(bad) == 1:
        raise ImageError(bad[0])
    if bad:
        raise DataError(
            f"{len(bad)} of {len(files)} images cannot be scored, and none was. Mend them or take "
            f"them away, or name the others in a list (--list):{console.lines(bad)}"
        )


def _reason(load: Callable[..., Pair], file: tuple[str, Path]) -> str:
    """Return why an image cannot be used, or nothing."""
    try:
        load(file)
    except ImageError as error:
        return str(error)
    return ""


def _images(
    model: SRGenerator,
    device: str,
    consistent: bool,
    scale: int,
    back_projections: int,
    lr: GreyImage,
) -> dict[str, GreyImage]:
    return {
        **generated({"": model}, device, consistent, lr),
        **baselines(scale, back_projections, lr),
    }


def _pair(scale: int, sixteen_bit: SixteenBit, file: tuple[str, Path]) -> Pair:
    name, path = file
    return Pair(name, "", "", *to_pair(read_file(path, sixteen_bit), scale, name))


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
