"""Pictures of what methods made of test images: where they are right, and where they are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from srpipe.core import console
from srpipe.core.files import replacing, replacing_folder
from srpipe.data.packed import Pair
from srpipe.evaluation.comparison.methods import (
    ADVERSARIAL,
    BICUBIC,
    FIDELITY,
    PUBLISHED,
    SCALE,
    SWIFT_SRGAN,
    Weights,
    all_images,
)
from srpipe.evaluation.scorer import scores
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.mask import anatomy_mask
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.interpolate import interpolate

SHOWN = (BICUBIC, PUBLISHED, SWIFT_SRGAN, FIDELITY, ADVERSARIAL)
# Side of a detail, of the window over which errors are compared, and of the border left out: HR px.
DETAIL, WINDOW, BORDER = 128, 48, 16
ERROR_SHOWN = 0.1
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
CURVE_IMAGES = 8


# What each picture shows, by the name of its file.
CAPTIONS = {
    "invented": f"Where {ADVERSARIAL} is further from HR than {FIDELITY}: invented detail.",
    "lost": f"Where {FIDELITY} is furthest from HR on anatomy: lost detail.",
    "gained": f"Where {FIDELITY} gains most over bicubic on anatomy.",
    "markers": f"Where {FIDELITY} is furthest from HR on a burned-in marker or at the border.",
    "published": f"Where {PUBLISHED} is nearer to HR than {FIDELITY} on anatomy.",
    "curve": f"Between {FIDELITY} (alpha 0) and {ADVERSARIAL} (1), which was trained on from it.",
}


@dataclass(frozen=True)
class Detail:
    """A place of an image: top and left in HR pixels, and how much it is what was looked for."""

    top: int
    left: int
    strength: float


def draw(
    folder: Path,
    found: Sequence[Mapping[str, Detail]],
    pairs: Sequence[Pair],
    weights: Weights,
) -> None:
    """Draw the details and the perception-distortion curve, a file a caption of `CAPTIONS`.

    Args:
        folder: nothing else will be in it.
        found: `details` of each image.
        pairs: the images.
        weights: what is compared.

    Raises:
        OutputError: the folder cannot be written.
    """
    captions = {name: text for name, text in CAPTIONS.items() if name in found[0]}
    some = pairs[:: -(-len(pairs) // CURVE_IMAGES)]
    with replacing_folder(folder) as temporary:
        for name, caption in captions.items():
            best = max(range(len(found)), key=lambda at: found[at][name].strength)
            path = temporary / f"{name}.png"
            _draw_detail(path, caption, pairs[best], found[best][name], weights)
        title = f"{CAPTIONS['curve']} Mean over {len(some)} images."
        _draw_curve(temporary / "curve.png", title, some, weights)


def details(hr: GreyImage, images: Mapping[str, GreyImage]) -> dict[str, Detail]:
    """Return the place in an image that shows each thing most; `images` are SR by method."""
    mask = anatomy_mask(hr)
    energy = {
        name: ndimage.uniform_filter((images[name].astype(np.float64) - hr) ** 2 * mask, WINDOW)
        for name in SHOWN
        if name in images
    }
    ours = images[FIDELITY].astype(np.float64) - hr
    wanted = {
        "invented": energy[ADVERSARIAL] - energy[FIDELITY],
        "lost": energy[FIDELITY],
        "gained": energy[BICUBIC] - energy[FIDELITY],
        "markers": ndimage.uniform_filter(ours**2 * ~mask, WINDOW),
    }
    if PUBLISHED in energy:
        wanted["published"] = energy[FIDELITY] - energy[PUBLISHED]
    return {name: _strongest(values) for name, values in wanted.items()}


def _strongest(values: npt.NDArray[np.float64]) -> Detail:
    inside = values[BORDER:-BORDER, BORDER:-BORDER]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    top, left = (
        int(np.clip(place + BORDER - DETAIL // 2, 0, max(length - DETAIL, 0))) // SCALE * SCALE
        for place, length in zip((y, x), values.shape, strict=True)
    )
    return Detail(top, left, float(inside.max()))


def _draw_detail(path: Path, caption: str, pair: Pair, detail: Detail, weights: Weights) -> None:
    hr = pair.hr
    images = {name: sr for name, sr in all_images(pair.lr, weights).items() if name in SHOWN}
    here = np.s_[detail.top : detail.top + DETAIL, detail.left : detail.left + DETAIL]
    low, high = np.percentile(hr[here], (0.5, 99.5))
    columns = len(images) + 1
    figure = Figure(figsize=(3 * columns, 6.6), layout="constrained")
    title = f"{caption}\n{console.ascii_text(pair.image)}, {DETAIL}x{DETAIL} pixels of HR"
    figure.suptitle(title, parse_math=False)
    axes = figure.subplots(2, columns)
    for column, (name, image) in enumerate({**images, "HR": hr}.items()):
        axes[0][column].imshow(image[here], cmap="gray", vmin=low, vmax=max(high, low + 1))
        axes[0][column].set_title(name, fontsize=10)
    for column, image in enumerate(images.values()):
        difference = (image[here].astype(float) - hr[here]) / 255
        shown = axes[1][column].imshow(
            difference, cmap="RdBu_r", vmin=-ERROR_SHOWN, vmax=ERROR_SHOWN
        )
        axes[1][column].set_title(f"less HR, rms {np.sqrt((difference**2).mean()):.4f}", fontsize=9)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes[1][-1], shrink=0.8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=70, metadata={"Software": None})


def _draw_curve(path: Path, title: str, pairs: Sequence[Pair], weights: Weights) -> None:
    start, end = (load_generator(weights.files[name]) for name in (FIDELITY, ADVERSARIAL))
    models = {alpha: interpolate(start, end, alpha).model for alpha in ALPHAS}
    rows = []
    for pair in console.progress(pairs, what="curve", total=len(pairs), unit="image"):
        images = {f"{alpha}/": super_resolve(model, pair.lr) for alpha, model in models.items()}
        found = scores(pair.hr, pair.lr, images)
        rows += [
            (alpha, found[f"{alpha}/psnr_masked"], found[f"{alpha}/content_distance"])
            for alpha in ALPHAS
        ]
    points = pd.DataFrame(rows, columns=["alpha", "psnr", "distance"]).groupby("alpha").mean()
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot(points["psnr"], points["distance"], marker="o")
    for alpha, (x, y) in zip(points.index, points.to_numpy(), strict=True):
        axis.annotate(f"{alpha:g}", (x, y), xytext=(6, 6), textcoords="offset points")
    axis.set(xlabel="masked PSNR (dB)", ylabel="content distance (lower: nearer to HR)")
    axis.set_title(title, fontsize=10)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90, metadata={"Software": None})
