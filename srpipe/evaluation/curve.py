"""The perception-distortion curve: what adversarial training gains and costs.

Y. Blau and T. Michaeli, "The Perception-Distortion Tradeoff", CVPR 2018: no method has both the
lowest error and the most natural look. Generators between the result of the pixel epochs and the
final one (`models.interpolate`) trade one for the other. Content distance stands for the look here.
The paper's measure compares distributions; this one compares with the HR image, so detail that
looks natural but is not in the HR image still costs.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srpipe.core import console
from srpipe.core.files import replacing
from srpipe.data.packed import Packed, packed_pair
from srpipe.data.split_file import sample_images
from srpipe.evaluation.generated import generated
from srpipe.evaluation.scorer import scored_pairs
from srpipe.models.checkpoint import LoadedGenerator
from srpipe.models.interpolate import interpolate, same_weights
from srpipe.settings.evaluate import Evaluate

SCORES = ("content_distance", "psnr", "psnr_masked", "lr_psnr")


@dataclass(frozen=True)
class Curve:
    """Mean scores over the same test images, of generators and of bicubic.

    `points` has a row per generator, columns alpha and `SCORES`, alpha rising from 0 to 1.
    """

    points: pd.DataFrame
    bicubic: dict[str, float]
    images: int


def perception_distortion(
    pixel: LoadedGenerator,
    final: LoadedGenerator,
    settings: Evaluate,
    packed: Packed,
    table: pd.DataFrame,
    device: str,
) -> Curve | None:
    """Score interpolated generators on some test images, of as many patients as possible.

    Args:
        pixel: the generator after the pixel epochs, on `device`.
        final: the generator after all epochs, on `device`.
        settings: how many generators, including both ends, and how many images.
        packed: the images.
        table: a row per test image: image, patient, the scores of `final` and those of bicubic.
        device: torch device name.

    Returns:
        The curve; None, with a message, if none is requested or the two generators are equal.

    Raises:
        CheckpointError: the two generators differ in architecture.
    """
    if settings.curve_points == 0:
        console.say("no perception-distortion curve: evaluate.curve_points is 0")
        return None
    if same_weights(pixel, final):
        console.say(
            "no perception-distortion curve: no adversarial epoch came after the pixel epochs"
        )
        return None
    sampled = table[table["content_distance"].notna()]
    images = sample_images(sampled, settings.curve_images, settings.seed)
    chosen = table[table["image"].isin(images)]
    alphas = [index / (settings.curve_points - 1) for index in range(settings.curve_points)]
    # The last one is the final generator, which is scored already.
    models = {
        f"{alpha}/": interpolate(pixel, final, alpha).model.to(device) for alpha in alphas[:-1]
    }
    methods = functools.partial(generated, models, device, settings.consistent)
    load = functools.partial(packed_pair, packed.folder)
    scored = chosen[list(SCORES)].assign(alpha=1.0).to_dict("records")
    for row in scored_pairs(methods, load, packed.rows(images), device, what="curve"):
        for alpha in alphas[:-1]:
            scored.append({"alpha": alpha, **{name: row[f"{alpha}/{name}"] for name in SCORES}})
    points = pd.DataFrame(scored).groupby("alpha", as_index=False)[list(SCORES)].mean()
    bicubic = {name: float(chosen[f"bicubic_{name}"].mean()) for name in SCORES}
    return Curve(points, bicubic, len(images))


def curve_table(curve: Curve | None) -> pd.DataFrame:
    """Return a curve's points; without a curve, the same columns and no rows."""
    return pd.DataFrame(columns=["alpha", *SCORES]) if curve is None else curve.points


def draw_curve(path: Path, curve: Curve) -> None:
    """Plot content distance against PSNR and against LR-PSNR, with bicubic, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(
        "From the pixel epochs (alpha 0) to the final generator (1): "
        f"mean over {curve.images} test images"
    )
    for axis, name, label in zip(
        figure.subplots(1, 2), ("psnr", "lr_psnr"), ("PSNR (dB)", "LR-PSNR (dB)"), strict=True
    ):
        _draw(axis, curve, name)
        axis.set(xlabel=label, ylabel="content distance (lower: nearer to HR)")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})


def _draw(axis: Axes, curve: Curve, name: str) -> None:
    points = curve.points
    axis.plot(points[name], points["content_distance"], marker="o", label="generators, by alpha")
    for alpha, x, y in zip(points["alpha"], points[name], points["content_distance"], strict=True):
        axis.annotate(f"{alpha:.2g}", (x, y), xytext=(6, 6), textcoords="offset points")
    axis.plot(
        curve.bicubic[name],
        curve.bicubic["content_distance"],
        marker="s",
        linestyle="none",
        color="tab:grey",
        label="bicubic",
    )
    axis.margins(0.15)
    axis.legend()
