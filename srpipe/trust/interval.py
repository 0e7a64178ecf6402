"""An interval for each pixel: how far HR may be from SR.

The half width is a quantile of |HR - SR| over pixels that look alike in two ways, which any user's
image shows too, times one factor:

- the *residual*: how far SR, downsampled, is from LR nearby. A generator that takes noise, JPEG's
  blocks or blur out of LR says by that how much it had to guess.
- the *detail*: the standard deviation of SR nearby. Edges and letters are where errors are large.

The factor makes the coverage exact, by conformal risk control on patients that neither trained nor
chose anything (`evaluation.calibration`; A. Angelopoulos et al., "Conformal Risk Control", ICLR
2024). The promise: for a new patient, exchangeable with those, under the mixture of acquisitions
that was calibrated, the expected share of pixels outside is at most 1 - level. It is made for
neither a single image nor a single pixel.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import scipy  # whole: its subpackages take a third of a second, and so load at first use
from PIL import Image

from srpipe.core.errors import CheckpointError
from srpipe.imaging.arrays import FloatArray, FloatImage, RecordedImage
from srpipe.imaging.resample import BICUBIC, grey_levels

# uint8 or uint16 `(h, w)`, or floats in [0, 1].
LRImage = RecordedImage | npt.NDArray[np.floating[Any]]
# Key of the record in a weights file.
RECORD = "interval"
# Nodes of the table, log2 of grey levels of 255: of the residual and of the detail.
RESIDUALS = tuple(float(node) for node in range(-4, 5))
DETAILS = tuple(float(node) for node in range(-4, 7))
# LR pixels over which the residual is averaged (Gaussian), and HR pixels of the detail's square.
NEARBY, WINDOW = 4.0, 5
# LR pixels beside its own, each way, that a half width depends on: 16 of the Gaussian, and those of
# the resampling down and up.
REACH = 20
# Below this, in grey levels, residuals and details are all alike.
FLOOR = 2.0**-5


@dataclass(frozen=True)
class Interval:
    """A calibrated interval.

    Attributes:
        level: the share of pixels inside, such as 0.9.
        factor: of all half widths.
        table: log2 of the quantile of |HR - SR| in grey levels, by `RESIDUALS` and `DETAILS`.
        calibration: what it was calibrated on: patients, images, acquisitions.
    """

    level: float
    factor: float
    table: tuple[tuple[float, ...], ...]
    calibration: dict[str, Any]

    def half_width(self, sr: FloatImage, lr: LRImage) -> FloatImage:
        """Return half the interval's width around SR, float32 `(H, W)`, of 1.

        Args:
            sr: float32 `(H, W)` in [0, 1], of the generator that was calibrated.
            lr: what it was made from, `(h, w)`: uint8, uint16, or floats in [0, 1].
        """
        half: FloatImage = spread(np.asarray(self.table), features(sr, lr)) * np.float32(
            self.factor / 255
        )
        return half

    def bounds(self, sr: FloatImage, lr: LRImage) -> tuple[FloatImage, FloatImage]:
        """Return the lower and the upper bound of HR, float32 `(H, W)` in [0, 1].

        Arguments are those of `half_width`.
        """
        half = self.half_width(sr, lr)
        return np.clip(sr - half, 0, 1), np.clip(sr + half, 0, 1)

    def record(self) -> dict[str, Any]:
        """Return it as plain values, for a weights file."""
        return {**asdict(self), "table": [list(row) for row in self.table]}


def of_record(record: dict[str, Any], name: str) -> Interval:
    """Return the interval in a weights file's record.

    Raises:
        CheckpointError: it has none, or another form.
    """
    if RECORD not in record:
        raise CheckpointError(
            f"{name} has no calibrated interval: take released weights that have one "
            "(MODEL_CARD.md), or calibrate these: python -m srpipe.evaluation.calibration"
        )
    try:
        found = record[RECORD]
        table = tuple(tuple(float(value) for value in row) for row in found["table"])
        if [len(row) for row in table] != [len(DETAILS)] * len(RESIDUALS):
            raise ValueError("its table has another size")
        return Interval(
            float(found["level"]), float(found["factor"]), table, dict(found["calibration"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the interval of {name} cannot be read: {error}") from error


def features(sr: FloatImage, lr: LRImage) -> FloatArray:
    """Return residual and detail of each pixel, log2 of grey levels, float32 `(2, H, W)`.

    Arguments are those of `Interval.half_width`.
    """
    height, width = sr.shape
    levels = sr * np.float32(255)
    shown = Image.fromarray(levels).resize((lr.shape[1], lr.shape[0]), BICUBIC)
    floats = lr.dtype.kind == "f"
    given = lr * np.float32(255) if floats else grey_levels(cast(RecordedImage, lr))
    residual = scipy.ndimage.gaussian_filter(np.abs(given - np.asarray(shown)), NEARBY)
    residual = np.asarray(
        Image.fromarray(residual).resize((width, height), Image.Resampling.BILINEAR)
    )
    mean = scipy.ndimage.uniform_filter(levels, WINDOW)
    variance = scipy.ndimage.uniform_filter(levels * levels, WINDOW) - mean * mean
    detail = np.sqrt(np.maximum(variance, 0))
    return np.log2(np.stack([residual, detail]) + np.float32(FLOOR)).astype(np.float32)


def spread(table: npt.NDArray[np.float64], at: FloatArray) -> FloatImage:
    """Interpolate the table at features `(2, ...)`; return grey levels, float32 `(...)`."""
    first = np.array([RESIDUALS[0], DETAILS[0]], np.float32).reshape(2, *[1] * (at.ndim - 1))
    values = scipy.ndimage.map_coordinates(table, at - first, order=1, mode="nearest")
    found: FloatImage = np.exp2(values).astype(np.float32)
    return found
