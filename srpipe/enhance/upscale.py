"""Super-resolution of an image, a file or a folder, with a released generator or your own.

Shared by the command line, web pages and scripts. An image is given to the network as [0, 1], black
to white, and what comes out is mapped back, in floating point from end to end:

    8 bits           the values that 8 bits can have
    9 to 16 bits     the image's own lowest to highest value: networks are trained on images that
                     fill their range, and a file of 16 bits may use a hundredth of it. So results
                     are in the grey scale of their input, between its extremes. A constant image
                     stays constant.
"""

import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import srpipe
from srpipe.core import console, environment
from srpipe.core.errors import DataError, ImageError, NotEnoughMemoryError, SettingsError
from srpipe.core.files import replacing, sha256
from srpipe.enhance import engine
from srpipe.enhance.engine import Precision
from srpipe.enhance.maps import remove_former, write_map
from srpipe.enhance.provenance import Provenance
from srpipe.enhance.tiles import DEFAULT_TILE, Network, consistent_network, pieces
from srpipe.enhance.written import (
    HALF_WIDTH,
    as_written,
    encode_grey,
    require_room,
    result_suffix,
)
from srpipe.formats.listing import start_of
from srpipe.formats.raster import (
    SixteenBit,
    Values,
    file_bytes,
    ignored_text,
    is_dicom,
    read_values,
    to_eight_bits,
)
from srpipe.imaging.arrays import FloatImage, GreyImage
from srpipe.imaging.resample import MIN_LR_SIDE
from srpipe.models.released import DEFAULT, weights_file
from srpipe.runtime.given import given, given_range
from srpipe.trust.interval import REACH, Interval, of_record

if TYPE_CHECKING:
    from srpipe.models.checkpoint import LoadedGenerator

# The ends of `alpha`: PERCEPTION is FIDELITY after adversarial epochs, so that what lies between
# their weights is a network too.
FIDELITY, PERCEPTION = DEFAULT, "plain_sr_x4_adversarial"

# Called before each tile of an image with how many are made, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Method:
    """A generator with the settings that it is used with; made by `method`.

    Attributes:
        network: what it makes of a piece of an image, with the settings.
        interval: of the weights; None if it was not asked for.
        provenance: what files are to say of it all.
        device: torch device name.
        tile: side of the pieces in LR pixels, without their overlap.
    """

    network: Network
    interval: Interval | None
    provenance: Provenance
    device: str
    tile: int


def method(
    weights: str | Path | None = None,
    *,
    alpha: float | None = None,
    consistent: bool = False,
    precision: Precision = "fp32",
    device: str | None = None,
    tile: int = DEFAULT_TILE,
    interval: bool = False,
) -> Method:
    """Load weights for files; the other arguments and errors as for `upscale`.

    Args:
        weights: a released model's name or a file; None: the default.
        alpha: instead of weights, from 0 (`FIDELITY`) to 1 (`PERCEPTION`): the share of the latter
            in a mixture of the two.
        consistent: as for `upscale`.
        precision: as for `upscale`.
        device: as for `upscale`.
        tile: as for `upscale`.
        interval: take the weights' interval, too.

    Raises:
        SettingsError: also of settings that exclude each other.
        CheckpointError: also of weights that have no interval, if it is asked for.
    """
    if alpha is not None and weights is not None:
        raise SettingsError(
            f"alpha mixes {FIDELITY} and {PERCEPTION}, and {weights} is given as weights too: "
            "leave out one (srpipe interpolate mixes weights of your own)"
        )
    if alpha is not None and not 0 <= alpha <= 1:
        raise SettingsError(f"alpha is {alpha}: give a number from 0 (fidelity) to 1 (perception)")
    if interval and consistent:
        raise SettingsError(
            "the interval was calibrated for results that are not made consistent: leave out one"
        )
    if alpha is None:
        weights = DEFAULT if weights is None else weights
        loaded, files = engine.load(weights), [weights_file(weights)]
        model = files[0].stem if files[0] != Path(weights) else files[0].name
    else:
        loaded = engine.mixture(FIDELITY, PERCEPTION, alpha)
        files = [weights_file(FIDELITY), weights_file(PERCEPTION)]
        model = f"{FIDELITY} to {PERCEPTION}, alpha {alpha:g}"
    provenance = Provenance(
        version=srpipe.__version__,
        model=model,
        sha256=" and ".join(map(sha256, files)),
        scale=loaded.scale,
        settings=precision + ", consistent" * consistent,
    )
    device = environment.device_name(device)
    network = _network(loaded, consistent, precision, device, tile)
    widths = of_record(loaded.record, model) if interval else None
    return Method(network, widths, provenance, device, tile)


def upscale(
    image: GreyImage,
    weights: "str | Path | LoadedGenerator" = DEFAULT,
    *,
    consistent: bool = False,
    precision: Precision = "fp32",
    device: str | None = None,
    tile: int = DEFAULT_TILE,
) -> GreyImage:
    """Super-resolve a grey image. Not for diagnosis: a network can blur or invent detail.

    Args:
        image: `uint8 (h, w)`, 0 black to 255 white, sides of at least 16.
        weights: a released model's name, a file (cached for the next call), or a generator.
        consistent: make the result downsample to `image` within 8-bit rounding.
        precision: "bf16" is faster on hardware with bf16 arithmetic, and off by a grey level here
            and there.
        device: torch device name; None: SRPIPE_DEVICE, by default a GPU if there is one.
        tile: larger images are made in overlapping pieces of so many LR pixels a side, at least 16,
            with the same result. Memory grows with it.

    Returns:
        `uint8 (h*scale, w*scale)`; the scale is that of the weights, 4 by default.

    Raises:
        ImageError: the image has the wrong type or shape, or is too small.
        CheckpointError: the weights cannot be loaded, or the output is not finite.
        SettingsError: there is no such device or precision, or the tile is too small.
        NotEnoughMemoryError: memory does not suffice for a tile of this size.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ImageError(
            f"an image is {image.dtype} of shape {image.shape}: give uint8 (h, w), 0 black to 255 "
            "white (srpipe.formats.raster.read_file reads files so)"
        )
    loaded = engine.load(weights) if isinstance(weights, str | Path) else engine.Generator(weights)
    device = environment.device_name(device)
    network = _network(loaded, consistent, precision, device, tile)
    return _upscaled(Values(image, 0, 255, 8, ()), network, tile)[0]


def _network(
    loaded: engine.Generator, consistent: bool, precision: Precision, device: str, tile: int
) -> Network:
    if tile < MIN_LR_SIDE:
        raise SettingsError(f"the tile is {tile} LR pixels: give at least {MIN_LR_SIDE}")
    network = engine.network(loaded, precision, device)
    return consistent_network(network) if consistent else network


def require_size(image: npt.NDArray[Any]) -> None:
    """Refuse an image `(h, w)` with a side of less than 16 pixels.

    Raises:
        ImageError: it has one.
    """
    if min(image.shape) < MIN_LR_SIDE:
        raise ImageError(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels: both sides must be at least "
            f"{MIN_LR_SIDE}"
        )


def upscale_values(values: Values, method: Method) -> npt.NDArray[Any]:
    """Super-resolve grey values in their own grey scale; see the module docstring.

    Pixels of padding are no part of the image: the network sees the nearest pixels of the image in
    their place, and the result has them where they were, and their values nowhere else.

    Returns:
        Whole numbers `(h*scale, w*scale)`, between the lowest and the highest value that was given
        to the network; uint8, uint16, or int16 where values can be negative.

    Raises:
        ImageError: the image is too small.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    return _upscaled(values, method.network, method.tile)[0]


def _upscaled(
    values: Values,
    network: Network,
    tile: int,
    interval: Interval | None = None,
    progress: Progress | None = None,
    early: Callable[[npt.NDArray[Any]], None] | None = None,
) -> tuple[npt.NDArray[Any], FloatImage | None]:
    """Return `upscale_values`' result, and half the interval's width in grey values if asked.

    `early` is called with the result before the interval is complete.
    """
    scale = network.scale
    array = values.array.astype(np.int32)
    require_size(array)
    padded = None
    if values.padding is not None:
        padded = (array >= values.padding[0]) & (array <= values.padding[1])
    deep = np.int16 if values.low < 0 else np.uint16
    shape = [side * scale for side in array.shape]
    result = np.empty(shape, np.uint8 if values.bits == 8 and values.low >= 0 else deep)
    half = None if interval is None else np.zeros(shape, np.float32)
    low, high = given_range(values)
    if low == high:  # the network is given nothing
        result[:] = low
        if padded is not None:
            result[:] = np.where(_enlarged(padded, scale), _enlarged(array, scale), result)
        return result, half
    lr = given(values)
    overlap = network.reach + (0 if interval is None else REACH)
    parts = list(pieces((lr.shape[0], lr.shape[1]), tile, overlap))
    for done, piece in enumerate(parts):
        if progress is not None:
            progress(done, len(parts))
        place, sr = piece.place(scale), network.run(lr[piece.seen])
        grey = piece.cut(sr, scale) * np.float32(high - low)
        made = np.clip(np.rint(grey, out=grey), 0, high - low).astype(np.int32) + low
        outside = None
        if padded is not None and values.padding is not None:
            made = _beside(made, values.padding, low)
            outside = _enlarged(padded[piece.inside], scale)
            made = np.where(outside, _enlarged(array[piece.inside], scale), made)
        result[place] = made
        if early is not None and done == len(parts) - 1:
            early(result)
        if interval is not None and half is not None:
            recorded = np.rint(lr[piece.seen] * 65535).astype(np.uint16)
            width = piece.cut(interval.half_width(sr, recorded), scale)
            half[place] = width * np.float32(high - low)
            if outside is not None:
                half[place][outside] = 0
    return result, half


def _beside(
    result: npt.NDArray[np.int32], padding: tuple[int, int], low: int
) -> npt.NDArray[np.int32]:
    """Move values that by chance are those of padding to the nearest that is none."""
    near = padding[0] - 1 if padding[0] > low else padding[1] + 1
    return np.where((result >= padding[0]) & (result <= padding[1]), near, result)


def _enlarged(array: npt.NDArray[Any], scale: int) -> npt.NDArray[Any]:
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


@dataclass(frozen=True)
class Enhanced:
    """What was made of a file, in memory.

    Attributes:
        values: what was in it.
        sr: the result as its file holds it, whole numbers `(h*scale, w*scale)` in the range of
            `values`.
        half_width: of the interval in grey values of the result, float32 `(h*scale, w*scale)`, if
            the method has one; that of the result before it became JPEG.
        origin: what the result says of how it was made.
        encode: returns the bytes of the result's file, made when first asked for.
        density: pixels a metre of the result, across and down, where a file that is not DICOM says.
    """

    values: Values
    sr: npt.NDArray[Any]
    half_width: FloatImage | None
    origin: Provenance
    encode: Callable[[], bytes]
    density: tuple[float, float] | None = None

    def write_map(self, target: Path, what: str, values: FloatImage) -> None:
        """Write a map of the result beside its file: `maps.write_map`."""
        write_map(target, what, values, self.origin, density=self.density, encode=self.encode)


def upscale_bytes(
    data: bytes,
    name: str,
    method: Method,
    *,
    sixteen_bit: SixteenBit | None = None,
    suffix: str = ".png",
    most_pixels: int | None = None,
    progress: Progress | None = None,
    early: Callable[[Enhanced], None] | None = None,
) -> Enhanced:
    """Super-resolve an image file in its own depth, from memory to memory.

    The result has the pixel spacing of the input, divided by the scale, its colour profile if that
    is one of grey (`Values.profile`), and says how it was made.

    Args:
        data: PNG, JPEG, TIFF, BMP, JPEG 2000 or DICOM.
        name: of the file: for messages, and .dcm says that it is DICOM.
        method: what with.
        sixteen_bit: how 16-bit PNG and TIFF become 8-bit, see `formats.raster`; None: not at all.
        suffix: of the result, which decides its type (`written.type_of`); DICOM becomes DICOM.
        most_pixels: allowed; more are refused before they are decoded. None: the readers' limits.
        progress: told how far it is; what it raises ends the work.
        early: if the method has an interval, called with the rest of what is returned before the
            interval is complete; what it raises ends the work.

    Raises:
        ImageError: the file cannot be read, is too small or too large, or its result does not fit
            into a file of the type.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    origin = origin_of(data, method, sixteen_bit)
    if is_dicom(data, name):
        # pydicom is an extra.
        from srpipe.enhance import dicom_derived
        from srpipe.formats import dicom

        radiograph = dicom.read(data, name, most_pixels or dicom.MOST_PIXELS)
        values = radiograph.values

        def enhanced(sr: npt.NDArray[Any]) -> Enhanced:
            encode = functools.cache(lambda: dicom_derived.encode(radiograph, sr, origin))
            return Enhanced(values, sr, None, origin, encode)

    else:
        values = read_values(data, name, most_pixels)
        if values.ignored:
            console.warn(ignored_text(name, ", ".join(values.ignored)))
        if sixteen_bit is not None:
            grey = to_eight_bits(values, sixteen_bit)
            values = Values(grey, 0, 255, 8, values.ignored, values.density)
        scale = method.network.scale
        density = values.density and (values.density[0] * scale, values.density[1] * scale)
        with _naming(name):
            require_room(suffix, values.bits, tuple(side * scale for side in values.array.shape))

        def enhanced(sr: npt.NDArray[Any]) -> Enhanced:
            encode = functools.cache(
                lambda: encode_grey(suffix, sr, values.bits, density, origin, values.profile)
            )
            return Enhanced(values, as_written(suffix, sr, encode), None, origin, encode, density)

    first: Enhanced | None = None

    def soon(sr: npt.NDArray[Any]) -> None:
        nonlocal first
        first = enhanced(sr)
        if early is not None and method.interval is not None:
            early(first)

    with _naming(name):
        sr, half = _upscaled(values, method.network, method.tile, method.interval, progress, soon)
    made = replace(first or enhanced(sr), half_width=half)
    if is_dicom(data, name):
        made.encode()  # at once: it may be refused
    return made


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the name of a file before what is said of its image."""
    try:
        yield
    except (ImageError, NotEnoughMemoryError) as error:
        raise type(error)(f"{name}: {error}") from error


def upscale_file(
    source: Path,
    target: Path,
    method: Method,
    sixteen_bit: SixteenBit | None = None,
    progress: Progress | None = None,
) -> Enhanced:
    """Super-resolve an image file, see `upscale_bytes`; on an error the old file stays.

    If `method` has an interval, its half width is beside it (`maps`); maps of a result that was
    there before are not.

    Args:
        source: PNG, JPEG, TIFF, BMP, JPEG 2000 or DICOM, by its content.
        target: of `targets`, or another name: its ending decides the type, as for `upscale_bytes`.
        method: what with.
        sixteen_bit: as for `upscale_bytes`.
        progress: as for `upscale_bytes`.

    Raises:
        ImageError: as for `upscale_bytes`.
        OutputError: the result cannot be written.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    made = upscale_bytes(
        file_bytes(source),
        str(source),
        method,
        sixteen_bit=sixteen_bit,
        suffix=target.suffix,
        progress=progress,
    )
    data = made.encode()
    remove_former(target)
    # The interval first: who has the one file has both.
    if made.half_width is not None:
        made.write_map(target, HALF_WIDTH, made.half_width)
    with replacing(target) as temporary:
        temporary.write_bytes(data)
    return made


def origin_of(data: bytes, method: Method, sixteen_bit: SixteenBit | None = None) -> Provenance:
    """Return what the result of a file with these bytes says of how it was made."""
    settings = method.provenance.settings
    if sixteen_bit is not None:
        settings += f", 8 bits by {sixteen_bit}"
    source = hashlib.sha256(data).hexdigest()
    return replace(method.provenance, settings=settings, source=source)


def targets(
    files: Mapping[str, Path], images: Path, out: Path, *, lossless: bool = False
) -> dict[str, Path]:
    """Return the file that each image is written to; none is an input or used twice.

    A result is of the type of its input, by the input's content, or PNG (`written`), under its name
    with the ending of that type. Where two images would become one file, as a.png and a.bmp, the
    one that has another suffix keeps it: a.bmp.png.

    Args:
        files: the images by their names below `images`.
        images: the folder, or the one image.
        out: the folder of the results, with the subfolders of `images`.
        lossless: PNG for JPEG.

    Raises:
        DataError: a result would replace an image or be an input of the next run.
    """
    if images.is_dir() and out.resolve().is_relative_to(images.resolve()):
        raise DataError(
            f"--out: {out} is, or lies in, the folder of the images, {images}: the next run would "
            "take results for images. Give a folder outside of it"
        )
    plain = {name: _target(name, path, lossless) for name, path in files.items()}
    times = Counter(plain.values())
    made = {
        name: out / (target if times[target] == 1 or name == str(target) else _longer(name, target))
        for name, target in plain.items()
    }
    inputs = {path.resolve() for path in files.values()}
    for target in made.values():
        if target.resolve() in inputs:
            raise DataError(f"--out: {target} is one of the images: give another folder")
    return made


def _longer(name: str, target: Path) -> Path:
    return Path(name + target.suffix)


def _target(name: str, path: Path, lossless: bool) -> Path:
    suffix = result_suffix(start_of(path), path.name, lossless=lossless)
    if path.suffix.lower() == suffix:
        return Path(name)
    # Of DICOM, an ending such as that of 1.2.840.113 is no suffix.
    return Path(name + suffix) if suffix == ".dcm" else Path(name).with_suffix(suffix)
