"""Pictures of what a method did to an image: the detail where bicubic is worst, and error maps."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srpipe.files import replacing
from srpipe.resample import GreyImage
from srpipe.scoring.metrics import Reference, Scores, squared_error

DETAIL = 192
# Errors are shown up to this fraction of full range; larger ones are as bright.
ERROR_SHOWN = 0.1


def comparison_panel(
    path: Path,
    title: str,
    against: Reference,
    bicubic: GreyImage,
    sr: GreyImage,
    scores: dict[str, Scores],
) -> None:
    """Draw LR, bicubic, SR and HR in detail, the whole HR image, and both error maps, as PNG.

    The detail lies where bicubic's error on anatomy (outside the marker mask) is largest.

    Args:
        path: the PNG file.
        title: what is said above the pictures.
        against: the HR and LR image.
        bicubic: `uint8 (H, W)`.
        sr: `uint8 (H, W)`.
        scores: of "bicubic" and "SR", for the captions.

    Raises:
        OutputError: the file cannot be written.
    """
    hr, lr, scale = against.hr, against.lr, against.scale
    side = min(DETAIL, *hr.shape) // scale * scale
    top, left = _hardest(squared_error(bicubic, hr) * against.mask, side, scale)
    here = np.s_[top : top + side, left : left + side]
    there = np.s_[top // scale : (top + side) // scale, left // scale : (left + side) // scale]
    low, high = np.percentile(hr[here], (0.5, 99.5))
    grey = Normalize(float(low), float(max(high, low + 1)))

    figure = Figure(figsize=(16, 8.6), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(2, 4)
    details = {
        f"LR {lr.shape[1]}x{lr.shape[0]}": lr[there],
        _caption("bicubic", scores["bicubic"]): bicubic[here],
        _caption("SR", scores["SR"]): sr[here],
        f"HR {hr.shape[1]}x{hr.shape[0]}": hr[here],
    }
    for axis, (caption, image) in zip(axes[0], details.items(), strict=True):
        axis.imshow(image, cmap="gray", norm=grey, interpolation="nearest")
        _finish(axis, caption)
    axes[1][0].imshow(hr, cmap="gray", vmin=0, vmax=255)
    axes[1][0].add_patch(Rectangle((left, top), side, side, fill=False, color="tab:orange"))
    _finish(axes[1][0], "HR, whole, with the detail's place")
    for axis, (caption, image) in zip(
        axes[1][1:3], {"|bicubic - HR|": bicubic, "|SR - HR|": sr}.items(), strict=True
    ):
        shown = axis.imshow(
            np.sqrt(squared_error(image, hr)), cmap="inferno", vmin=0, vmax=ERROR_SHOWN
        )
        _finish(axis, f"{caption}, whole")
    gain = np.sqrt(squared_error(bicubic, hr)) - np.sqrt(squared_error(sr, hr))
    change = axes[1][3].imshow(gain, cmap="RdBu", vmin=-ERROR_SHOWN / 4, vmax=ERROR_SHOWN / 4)
    _finish(axes[1][3], "error less than bicubic's (blue), more (red)")
    figure.colorbar(shown, ax=axes[1][2], shrink=0.7)
    figure.colorbar(change, ax=axes[1][3], shrink=0.7)
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
        f"masked {scores.psnr_masked:.2f} dB / {scores.ssim_masked:.4f}"
    )


def _finish(axis: Axes, caption: str) -> None:
    axis.set_title(caption, fontsize=10)
    axis.set_axis_off()
