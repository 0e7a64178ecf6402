"""Comparison panels of an image: the detail where bicubic is worst, and error maps."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srpipe.core.console import ascii_text
from srpipe.core.files import replacing
from srpipe.imaging.arrays import GreyImage
from srpipe.metrics.error import squared_error
from srpipe.metrics.scores import Reference, Scores

DETAIL = 192
# Error maps saturate at this fraction of full range.
ERROR_SHOWN = 0.1


def comparison_panel(
    path: Path,
    title: str,
    against: Reference,
    images: Mapping[str, GreyImage],
    scores: Mapping[str, Scores],
) -> None:
    """Draw LR, each method's image and HR in detail; the whole HR image and error maps; as PNG.

    The detail lies where bicubic's error on anatomy (outside the marker mask) is largest. The last
    map compares the last method's error with bicubic's.

    Args:
        path: the PNG file.
        title: text above the pictures.
        against: the HR and LR image.
        images: `uint8 (H, W)` by the method's name; "bicubic" and at least one more.
        scores: of the same methods, for the captions.

    Raises:
        OutputError: the file cannot be written.
    """
    hr, lr, scale = against.hr, against.lr, against.scale
    bicubic, (last, sr) = images["bicubic"], list(images.items())[-1]
    side = min(DETAIL, *hr.shape) // scale * scale
    top, left = _hardest(squared_error(bicubic, hr) * against.mask, side, scale)
    here = np.s_[top : top + side, left : left + side]
    there = np.s_[top // scale : (top + side) // scale, left // scale : (left + side) // scale]
    low, high = np.percentile(hr[here], (0.5, 99.5))
    grey = Normalize(float(low), float(max(high, low + 1)))

    columns = len(images) + 2
    figure = Figure(figsize=(4 * columns, 8.6), layout="constrained")
    # It has an image's name: text, whatever is in it, and no formula.
    figure.suptitle(ascii_text(title), parse_math=False)
    axes = figure.subplots(2, columns)
    details = {
        f"LR {lr.shape[1]}x{lr.shape[0]}": lr[there],
        **{_caption(name, scores[name]): image[here] for name, image in images.items()},
        f"HR {hr.shape[1]}x{hr.shape[0]}": hr[here],
    }
    for axis, (caption, image) in zip(axes[0], details.items(), strict=True):
        axis.imshow(image, cmap="gray", norm=grey, interpolation="nearest")
        _finish(axis, caption)
    axes[1][0].imshow(hr, cmap="gray", vmin=0, vmax=255)
    axes[1][0].add_patch(Rectangle((left, top), side, side, fill=False, color="tab:orange"))
    _finish(axes[1][0], "HR, whole, with the detail's place")
    for axis, (name, image) in zip(axes[1][1:-1], images.items(), strict=True):
        shown = axis.imshow(
            np.sqrt(squared_error(image, hr)), cmap="inferno", vmin=0, vmax=ERROR_SHOWN
        )
        _finish(axis, f"|{name} - HR|, whole")
    gain = np.sqrt(squared_error(bicubic, hr)) - np.sqrt(squared_error(sr, hr))
    change = axes[1][-1].imshow(gain, cmap="RdBu", vmin=-ERROR_SHOWN / 4, vmax=ERROR_SHOWN / 4)
    _finish(axes[1][-1], f"{last}: error less than bicubic's (blue), more (red)")
    figure.colorbar(shown, ax=axes[1][-2], shrink=0.7)
    figure.colorbar(change, ax=axes[1][-1], shrink=0.7)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})


def _hardest(error: np.ndarray, side: int, step: int) -> tuple[int, int]:
    """Return top and left of the `side` square with the largest error, at multiples of `step`."""
    sums = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    squares = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    squares = squares[::step, ::step]
    top, left = np.unravel_index(int(squares.argmax()), squares.shape)
    return int(top) * step, int(left) * step


def _caption(name: str, scores: Scores) -> str:
    return (
        f"{name}: {scores.psnr:.2f} dB / {scores.ssim:.4f}\n"
        f"masked {scores.psnr_masked:.2f} dB / {scores.ssim_masked:.4f}\n"
        f"content distance {scores.content_distance:.2f}"
    )


def _finish(axis: Axes, caption: str) -> None:
    axis.set_title(caption, fontsize=10)
    axis.set_axis_off()
