"""What the readers of image files hand to the decoder: the pixels without all else.

Pillow reads colour profiles, texts and EXIF blocks together with the pixels and refuses a file for
any of them. So each reader takes the file apart itself, and Pillow sees what the pixels need.
"""

import io
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "JPEG2000")

# Said where a file is damaged in the one place beside the pixels that decides what is shown.
UPRIGHT_UNKNOWN = "its EXIF block cannot be read, so that it is not known which side is up"


class UnsuitableError(Exception):
    """An intact file of a kind that is not read: what it is, after its name, and what to do."""

    def __init__(self, what: str, advice: str = "convert it") -> None:
        super().__init__(what)
        self.advice = advice


@dataclass(frozen=True)
class Packed:
    """Samples of 9 to 15 bits, packed into the bytes that Pillow decodes; rows begin at bytes."""

    width: int
    bits: int


@dataclass(frozen=True)
class Prepared:
    """A file's pixels, and what is needed to understand them.

    Attributes:
        pixels: a file of the same format and of one image, which holds no metadata.
        orientation: 1 to 8, as in EXIF.
        packed: how the decoded bytes hold samples, if they are no samples themselves.
        stated_bits: for 16-bit words, how many bits the file says are used.
        stated_by: where it says so.
        white_is_zero: the values are still to be inverted.
        signed: 16-bit words are numbers with a sign.
        density: pixels a metre, across and down as stored; None if the file does not say.
        ignored: what could not be read and was not needed.
        profile: the colour profile, as it is in the file; None if there is none.
    """

    pixels: bytes
    orientation: int = 1
    packed: Packed | None = None
    stated_bits: int = 16
    stated_by: str | None = None
    white_is_zero: bool = False
    signed: bool = False
    density: tuple[float, float] | None = None
    ignored: tuple[str, ...] = ()
    profile: bytes | None = None


def opens(file: bytes) -> bool:
    """Say whether Pillow reads a file's header, metadata included, without complaint."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Image.open(io.BytesIO(file), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, TypeError, LookupError, Warning):
        return False
    return True
