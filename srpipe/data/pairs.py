"""Making an HR and LR pair from a listed image file."""

import numpy as np

from srpipe.acquisition.detector import recorded
from srpipe.core.errors import ImageError
from srpipe.data.packed import Pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.formats.raster import read_grey
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import MIN_LR_SIDE, crop_to_multiple, downsample
from srpipe.settings.acquisition import IDEAL
from srpipe.settings.downsample import Downsample


def make_pair(source: Source, settings: Downsample, entry: Entry) -> Pair:
    """Read one image, crop it to a multiple of the scale, and make its LR image.

    The noise of an acquisition is that of the image's name and the seed.

    Raises:
        DataError: the file changed since it was listed.
        ImageError: it cannot be decoded or is too small.
    """
    image = read_grey(source.read(entry), entry.image, settings.sixteen_bit)
    hr, lr = to_pair(image, settings.scale, entry.image)
    if settings.acquisition != IDEAL:
        how = settings.acquisition
        lr = np.asarray(recorded(hr, entry.image, settings.scale, how, settings.seed), np.uint8)
    return Pair(entry.image, entry.patient, entry.list, hr, lr)


def to_pair(image: GreyImage, scale: int, name: str) -> tuple[GreyImage, GreyImage]:
    """Return HR `uint8 (H, W)`, cut to a multiple of `scale`, and LR `uint8 (H/scale, W/scale)`.

    Raises:
        ImageError: a side of the LR image would be shorter than 16 pixels.
    """
    if min(image.shape) < MIN_LR_SIDE * scale:
        height, width = image.shape
        raise ImageError(
            f"{name} is {width}x{height} pixels: at {scale}x both sides must be at least "
            f"{MIN_LR_SIDE * scale}. Move it away, or set a smaller downsample.scale."
        )
    hr = crop_to_multiple(image, scale)
    return hr, downsample(hr, scale)
