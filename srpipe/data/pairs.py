"""Making an HR and LR pair from a listed image file."""

from dataclasses import dataclass

import numpy as np

from srpipe.acquisition.detector import recorded
from srpipe.core import console
from srpipe.core.errors import ImageError
from srpipe.data.packed import Pair
from srpipe.data.sources.manifest import Entry, Source
from srpipe.formats.raster import ignored_text, read_values, to_eight_bits
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import MIN_LR_SIDE, crop_to_multiple, downsample
from srpipe.settings.acquisition import IDEAL
from srpipe.settings.downsample import Downsample


@dataclass(frozen=True)
class Notes:
    """What an image file was, and what was done to it; columns of the data report.

    Attributes:
        form: format and mode, in Pillow's words: "PNG L".
        bits: of a grey value, 8 to 16.
        file_width: pixels, upright.
        file_height: pixels, upright.
        mean_grey: of HR, 0 to 255.
        changes: how HR differs from what is stored, "; " between them; "" if it does not.
        ignored: what could not be read and was not needed; "" if nothing.
    """

    form: str
    bits: int
    file_width: int
    file_height: int
    mean_grey: float
    changes: str
    ignored: str


def make_pair(source: Source, settings: Downsample, entry: Entry) -> Pair:
    """Read one image, crop it to a multiple of the scale, and make its LR image.

    The noise of an acquisition is that of the image's name and the seed.

    Raises:
        DataError: the file changed since it was listed.
        ImageError: it cannot be decoded or is too small.
    """
    pair, notes = noted_pair(source, settings, entry)
    if notes.ignored:
        console.warn(ignored_text(pair.image, notes.ignored))
    return pair


def noted_pair(source: Source, settings: Downsample, entry: Entry) -> tuple[Pair, Notes]:
    """Do as `make_pair` does, and note what there is to report instead of telling it.

    Raises:
        DataError: as for `make_pair`.
    """
    values = read_values(source.read(entry), entry.image)
    image = to_eight_bits(values, settings.sixteen_bit)
    hr, lr = to_pair(image, settings.scale, entry.image)
    if settings.acquisition != IDEAL:
        how = settings.acquisition
        lr = np.asarray(recorded(hr, entry.image, settings.scale, how, settings.seed), np.uint8)
    changes = list(values.changes)
    if values.bits > 8:
        changes.append(f"{values.bits} bits to 8 ({settings.sixteen_bit})")
    if hr.shape != image.shape:
        changes.append(f"cut to a multiple of {settings.scale} pixels")
    notes = Notes(
        form=values.form,
        bits=values.bits,
        file_width=image.shape[1],
        file_height=image.shape[0],
        mean_grey=round(float(hr.mean()), 2),
        changes="; ".join(changes),
        ignored="; ".join(values.ignored),
    )
    return Pair(entry.image, entry.patient, entry.list, hr, lr), notes


def tried_pair(source: Source, settings: Downsample, entry: Entry) -> tuple[Pair, Notes] | str:
    """Do as `noted_pair` does, but return what is wrong with an image that cannot be used.

    Raises:
        DataError: the file changed since it was listed, or the source is not there.
    """
    try:
        return noted_pair(source, settings, entry)
    except ImageError as error:
        return str(error)


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
