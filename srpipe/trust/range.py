"""Whether an image is like those that the released default network was trained for.

A network makes something of every image. What it was not trained for is told, by four statistics of
the image at the range that the network is given:

- its *size*: fewer pixels a side than `Range.smallest` show a chest with less detail than trained.
- its *contrast*: the standard deviation of a thumbnail.
- its *noise*: the standard deviation of white noise in the middle one of its blocks (`noise`).
- its *likeness* to frontal chest radiographs, of a thumbnail in two ways: the layout (which places
  are brighter than the mean) and the edges (which way brightness rises, by place). Each is compared
  with the training images' principal components: how far it is from their mean within them
  (Mahalanobis), and what they do not explain. The largest, relative to what 99% of training
  patients' images keep to, is 1 at the limit. The same is asked of the thumbnail turned by quarters
  and inverted: an image that is liker then is told as turned or inverted.

The figures in `range.json` are of half of the training patients and were checked on the others
(`evaluation.out_of_range`, docs/out_of_range.md, which has what is missed).
"""

import functools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from srpipe.imaging.arrays import FloatImage

Array = npt.NDArray[np.float64]

FILE = Path(__file__).with_name("range.json")
# Side of the thumbnail, and of its parts: brightness is compared in 12x12, edges in 4x4.
THUMBNAIL, PLACES, CELLS, DIRECTIONS = 48, 12, 4, 8
# Of a training image's layout 1 is a usual deviation; a thumbnail with less contrast stays flat.
FAINT = 1e-3
# Side of the blocks of which the noise is the median, and the most rows of them that are looked at.
BLOCK, MOST_ROWS = 16, 64
# Share of a block that may be black or white, where noise is cut off.
CLIPPED = 0.05
# Stored numbers are whole, in thousandths.
THOUSANDTHS = 1000

INVERTED = "looks inverted (MONOCHROME1 read as MONOCHROME2?)"
TURNED = ("", "turned by 90 degrees clockwise", "upside down", "turned by 90 degrees anticlockwise")
UNLIKE = "unlike a frontal chest radiograph"


@dataclass(frozen=True)
class Space:
    """Principal components of training images' features.

    Attributes:
        mean: `(d,)`.
        components: `(k, d)`, orthonormal but for rounding.
        variances: `(k,)`, of the training images along them.
        rest: mean square of what the components leave of a training image.
        limits: of the two distances (`distances`).
    """

    mean: Array
    components: Array
    variances: Array
    rest: float
    limits: tuple[float, float] = (1.0, 1.0)

    def distances(self, features: Array) -> Array:
        """Return two distances of features `(n, d)`, 1 for a usual training image, `(n, 2)`."""
        away = features - self.mean
        along = away @ self.components.T
        left = (away**2).sum(axis=1) - (along**2).sum(axis=1)
        return np.stack([(along**2 / self.variances).mean(axis=1), left / self.rest], axis=1)

    def excess(self, features: Array) -> Array:
        """Return the larger of the two over its limit, `(n,)`."""
        found: Array = (self.distances(features) / self.limits).max(axis=1)
        return found


@dataclass(frozen=True)
class Range:
    """What the default network was trained for.

    Attributes:
        model: the network's name.
        side: of the training images, in LR pixels.
        smallest: side of an image that is not called small.
        noise: the largest standard deviation of noise trained on, in grey levels of 255.
        most_noise: the limit of the estimate.
        contrast: the lowest standard deviation of a training image's thumbnail, in grey levels.
        least_contrast: the limit.
        layout, edges: of training images' thumbnails.
        fitted: what it was fitted on: patients, images, the share within the limits.
    """

    model: str
    side: int
    smallest: int
    noise: float
    most_noise: float
    contrast: float
    least_contrast: float
    layout: Space
    edges: Space
    fitted: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Return it as plain values, for a JSON file; a row of numbers is one string."""
        plain = asdict(self)
        for name in ("layout", "edges"):
            space: Space = getattr(self, name)
            plain[name] = {
                "mean": _row(space.mean),
                "components": [_row(each) for each in space.components],
                "variances": [float(f"{each:.5g}") for each in space.variances],
                "rest": space.rest,
                "limits": list(space.limits),
            }
        return plain


@dataclass(frozen=True)
class Measured:
    """The statistics of an image.

    Attributes:
        height: in pixels.
        width: in pixels.
        contrast: of its thumbnail, in grey levels of 255.
        noise: in grey levels.
        excess: how unlike a frontal chest radiograph it is; 1 is the limit.
        turned: by how many quarters clockwise it would have to have been turned to be likest.
        inverted: whether it would have to have been inverted.
        best: the excess if it is turned and inverted back.
    """

    height: int
    width: int
    contrast: float
    noise: float
    excess: float
    turned: int
    inverted: bool
    best: float


@functools.cache
def trained() -> Range:
    """Return the range of the released default network."""
    return of_record(json.loads(FILE.read_text(encoding="utf-8")))


def of_record(record: dict[str, Any]) -> Range:
    """Return what `Range.record` gave."""
    spaces = {
        name: Space(
            _numbers(record[name]["mean"]),
            np.stack([_numbers(row) for row in record[name]["components"]]),
            np.asarray(record[name]["variances"]),
            record[name]["rest"],
            tuple(record[name]["limits"]),
        )
        for name in ("layout", "edges")
    }
    return Range(**{**record, **spaces})


def _row(numbers: Array) -> str:
    return " ".join(str(round(each * THOUSANDTHS)) for each in numbers)


def _numbers(row: str) -> Array:
    return np.array(row.split(), np.float64) / THOUSANDTHS


def reasons(image: FloatImage, within: Range | None = None) -> list[str]:
    """Return why an image is out of the range; nothing if it is within.

    Args:
        image: float32 `(h, w)` in [0, 1], as the network is given it (`formats.given.given`),
            sides of at least 16.
        within: the range; None: that of the released default network.
    """
    within = within or trained()
    return told(measured(image, within), within)


def measured(image: FloatImage, within: Range) -> Measured:
    """Return the statistics of an image, as for `reasons`."""
    small = thumbnail(image)
    # The thumbnail as it would be if the image had been turned or inverted before.
    back = [
        [np.rot90(each, quarters) for quarters in range(4)]
        for each in (small, np.float32(1) - small)
    ]
    found = likeness([each for turns in back for each in turns], within)
    likest = int(found.argmin())
    height, width = image.shape
    return Measured(
        height,
        width,
        contrast=float(small.std() * 255),
        noise=noise(image),
        excess=float(found[0]),
        turned=likest % 4,
        inverted=likest >= 4,
        best=float(found[likest]),
    )


def told(found: Measured, within: Range) -> list[str]:
    """Return in words what of the statistics is out of the range."""
    said = []
    if min(found.height, found.width) < within.smallest:
        size = f"{found.width}x{found.height} pixels"
        said.append(f"small: {size}, {within.model} was trained on {within.side}x{within.side}")
    if found.noise > within.most_noise:
        said.append(
            f"noisier than trained: estimated noise {found.noise:.0f} of 255 grey levels, "
            f"{within.model} was trained up to {within.noise:g}"
        )
    if found.contrast < within.least_contrast:
        said.append(
            f"hardly any contrast: standard deviation {found.contrast:.1f} of 255 grey levels, "
            f"{within.contrast:.0f} or more in training"
        )
    elif found.best <= 1 and found.inverted:
        said.append(INVERTED + (f" and {TURNED[found.turned]}" if found.turned else ""))
    elif found.best <= 1 and found.turned:
        said.append(f"looks {TURNED[found.turned]}")
    elif found.excess > 1:
        said.append(UNLIKE)
    return said


def noise(image: FloatImage) -> float:
    """Estimate the standard deviation of an image's noise, in 255ths of its range.

    The mean absolute response to second differences down and across, which take out all that is
    linear (J. Immerkaer, "Fast noise variance estimation", CVIU 1996), in blocks of 16x16 pixels,
    of which it is the median: texture counts as noise only where it fills half of the image. Blocks
    that are partly black or white count if there are no others.

    Args:
        image: float32 `(h, w)` in [0, 1], sides of at least 16.
    """
    height, width = (side - 2 for side in image.shape)
    block = min(BLOCK, height, width)
    down, across = height // block, width // block
    found, clipped = [], []
    # All over a large image.
    for row in range(0, down, -(-down // MOST_ROWS)):
        band = image[row * block : (row + 1) * block + 2, : across * block + 2]
        response = np.abs(np.diff(np.diff(band, 2, axis=0), 2, axis=1))
        found.append(_by_block(response, block))
        extreme = ((band <= 0) | (band >= 1))[1:-1, 1:-1]
        clipped.append(_by_block(extreme.astype(np.float32), block))
    each, cut = np.concatenate(found), np.concatenate(clipped)
    whole = each[cut <= CLIPPED] if (cut <= CLIPPED).any() else each
    # The median: numpy's, and its quantiles, would load numpy.ma.
    middle = np.sort(whole)[[(len(whole) - 1) // 2, len(whole) // 2]].mean()
    return float(np.sqrt(np.pi / 2) / 6 * 255 * middle)


def _by_block(band: FloatImage, block: int) -> FloatImage:
    """Return the mean of each block of a row of them."""
    found: FloatImage = band.reshape(block, -1, block).mean(axis=(0, 2))
    return found


def thumbnail(image: FloatImage) -> FloatImage:
    """Return the means of an image's areas, float32 `(THUMBNAIL, THUMBNAIL)`, whatever its form."""
    return np.asarray(Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def likeness(thumbnails: list[FloatImage], within: Range) -> Array:
    """Return how unlike training images thumbnails are, `(n,)`; 1 is the limit."""
    layouts = within.layout.excess(np.stack([layout(each) for each in thumbnails]))
    return np.maximum(layouts, within.edges.excess(np.stack([edges(each) for each in thumbnails])))


def layout(small: FloatImage) -> Array:
    """Return the brightness of a thumbnail's places, of mean 0 and standard deviation 1."""
    places = _means(small.astype(np.float64), PLACES).ravel()
    places -= places.mean()
    return np.asarray(places / (places.std() + FAINT))


def edges(small: FloatImage) -> Array:
    """Return how much brightness rises in each direction in each cell of a thumbnail.

    As square roots, relative to the mean gradient.
    """
    down, across = np.gradient(small.astype(np.float64))
    mean = np.hypot(down, across).mean() + FAINT
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    rising = [
        _means(np.maximum(across * np.cos(angle) + down * np.sin(angle), 0), CELLS)
        for angle in angles
    ]
    return np.asarray(np.sqrt(np.stack(rising) / mean).ravel())


def _means(array: Array, side: int) -> Array:
    """Return the means of `side` by `side` equal parts of a square array."""
    part = len(array) // side
    return np.asarray(array.reshape(side, part, side, part).mean(axis=(1, 3)))
