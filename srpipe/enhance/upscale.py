"""Super-resolution of an image, a file or a folder, with a released generator or your own.

Shared by the command line, web pages and scripts. An image is given to the network as [0, 1], black
to white, and what comes out is mapped back, in floating point from end to end:

    8 bits           the values that 8 bits can have
    9 to 16 bits     the image's own lowest to highest value: networks are trained on images that
                     fill their range, and a file of 16 bits may use a hundredth of it. So results
                     are in the grey scale of their input, between its extremes. A constant image
                     stays constant.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import srpipe
from srpipe.core import console, environment
from srpipe.core.errors import DataError, ImageError, NotEnoughMemoryError, SettingsError
from srpipe.core.files import replacing, sha256
from srpipe.enhance.provenance import Provenance
from srpipe.enhance.written import TIFF_SUFFIXES, encode_grey
from srpipe.formats.listing import is_dicom_file
from srpipe.formats.raster import (
    DICOM_SUFFIXES,
    SixteenBit,
    Values,
    file_bytes,
    is_dicom,
    read_values,
    to_eight_bits,
)
from srpipe.imaging.arrays import FloatImage, GreyImage
from srpipe.imaging.resample import MIN_LR_SIDE, to_grey
from srpipe.models.checkpoint import LoadedGenerator, load_generator
from srpipe.models.inference import unrounded
from srpipe.models.released import DEFAULT, weights_file

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Method:
    """A generator with the settings that it is used with; made by `method`.

    Attributes:
        generator: the weights.
        provenance: what files are to say of it all.
        consistent: make results downsample to their inputs within 8-bit rounding.
        precision: of the arithmetic.
        device: torch device name.
    """

    generator: LoadedGenerator
    provenance: Provenance
    consistent: bool
    precision: Precision
    device: str


def method(
    weights: str | Path = DEFAULT,
    *,
    consistent: bool = False,
    precision: Precision = "fp32",
    device: str | None = None,
) -> Method:
    """Load weights for files; arguments and errors as for `upscale`."""
    loaded = load(weights)
    path = weights_file(weights)
    provenance = Provenance(
        version=srpipe.__version__,
        model=path.stem if path != Path(weights) else path.name,
        sha256=sha256(path),
        scale=loaded.scale,
        settings=precision + ", consistent" * consistent,
    )
    return Method(loaded, provenance, consistent, precision, device or environment.device_name())


def upscale(
    image: GreyImage,
    weights: str | Path | LoadedGenerator = DEFAULT,
    *,
    consistent: bool = False,
    precision: Precision = "fp32",
    device: str | None = None,
) -> GreyImage:
    """Super-resolve a grey image. Not for diagnosis: a network can blur or invent detail.

    Args:
        image: `uint8 (h, w)`, 0 black to 255 white, sides of at least 16.
        weights: a released model's name, a file (cached for the next call), or a generator.
        consistent: make the result downsample to `image` within 8-bit rounding.
        precision: "bf16" is faster on hardware with bf16 arithmetic, and off by a grey level here
            and there.
        device: torch device name; None: SRPIPE_DEVICE, by default a GPU if there is one.

    Returns:
        `uint8 (h*scale, w*scale)`; the scale is that of the weights, 4 by default.

    Raises:
        ImageError: the image has the wrong type or shape, or is too small.
        CheckpointError: the weights cannot be loaded, or the output is not finite.
        SettingsError: there is no such device or precision.
        NotEnoughMemoryError: memory does not suffice for an image of this size.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ImageError(
            f"an image is {image.dtype} of shape {image.shape}: give uint8 (h, w), 0 black to 255 "
            "white (srpipe.formats.raster.read_file reads files so)"
        )
    loaded = weights if isinstance(weights, LoadedGenerator) else load(weights)
    return to_grey(_super_resolved(image, loaded, consistent, precision, device))


def _super_resolved(
    image: npt.NDArray[Any],
    loaded: LoadedGenerator,
    consistent: bool,
    precision: Precision,
    device: str | None,
) -> FloatImage:
    _require_size(image)
    if precision not in get_args(Precision):
        raise SettingsError(
            f"precision is {precision!r}: give one of {', '.join(get_args(Precision))}"
        )
    device = device or environment.device_name()
    model = loaded.model.to(device)
    # torch takes no view that runs backwards, which is what turning an image over makes.
    lr: Any = np.ascontiguousarray(image)
    return unrounded(model, lr, device, consistent=consistent, bf16=precision == "bf16")


def _require_size(image: npt.NDArray[Any]) -> None:
    if min(image.shape) < MIN_LR_SIDE:
        raise ImageError(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels: both sides must be at least "
            f"{MIN_LR_SIDE}"
        )


def load(weights: str | Path = DEFAULT) -> LoadedGenerator:
    """Load a generator by a released model's name or from a file; the last few are cached.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    path = weights_file(weights)
    # Of a file: a replaced one, even of the same size and time, is another.
    state = path.stat() if path.exists() else None
    return _loaded(path, state and (state.st_ino, state.st_size, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, state: tuple[int, int, int] | None) -> LoadedGenerator:
    return load_generator(path)


def upscale_values(values: Values, method: Method) -> npt.NDArray[np.int32]:
    """Super-resolve grey values in their own grey scale; see the module docstring.

    Pixels of padding are no part of the image: the network sees the nearest pixels of the image in
    their place, and the result has them where they were, and their values nowhere else.

    Returns:
        int32 `(h*scale, w*scale)`, between the lowest and the highest value that was given to the
        network.

    Raises:
        ImageError: the image is too small.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    scale = method.generator.scale
    array = values.array.astype(np.int32)
    _require_size(array)
    padded = None
    if values.padding is not None:
        padded = (array >= values.padding[0]) & (array <= values.padding[1])
    used = array if padded is None else array[~padded]
    if not used.size:
        return _enlarged(array, scale)
    low, high = int(used.min()), int(used.max())
    if values.bits == 8:
        low, high = values.low, values.high
    if low == high:
        result = np.full([side * scale for side in array.shape], low, np.int32)
    else:
        filled = array if padded is None else _filled(array, padded)
        lr = (filled - low).astype(np.float32) / np.float32(high - low)
        sr = _super_resolved(
            lr, method.generator, method.consistent, method.precision, method.device
        )
        # In place: results are large.
        sr *= np.float32(high - low)
        np.clip(np.rint(sr, out=sr), 0, high - low, out=sr)
        result = sr.astype(np.int32)
        result += low
    if padded is not None and values.padding is not None:
        result = _beside(result, values.padding, low)
        result = np.where(_enlarged(padded, scale), _enlarged(array, scale), result)
    return result


def _filled(array: npt.NDArray[np.int32], padded: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return the array with the nearest pixels of the image in place of padding."""
    rows, columns = ndimage.distance_transform_edt(
        padded, return_distances=False, return_indices=True
    )
    filled: npt.NDArray[np.int32] = array[rows, columns]
    return filled


def _beside(
    result: npt.NDArray[np.int32], padding: tuple[int, int], low: int
) -> npt.NDArray[np.int32]:
    """Move values that by chance are those of padding to the nearest that is none."""
    near = padding[0] - 1 if padding[0] > low else padding[1] + 1
    return np.where((result >= padding[0]) & (result <= padding[1]), near, result)


def _enlarged(array: npt.NDArray[Any], scale: int) -> npt.NDArray[Any]:
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


@dataclass(frozen=True)
class Upscaled:
    """A super-resolved file in memory; made by `upscale_bytes`.

    Attributes:
        values: of the input.
        sr: `int32 (h*scale, w*scale)`, in the grey scale of `values`.
        data: the bytes of the file.
    """

    values: Values
    sr: npt.NDArray[np.int32]
    data: bytes


def upscale_bytes(
    data: bytes,
    name: str,
    method: Method,
    *,
    sixteen_bit: SixteenBit | None = None,
    suffix: str = ".png",
    most_pixels: int | None = None,
) -> Upscaled:
    """Super-resolve an image file in its own depth, from memory to memory.

    The result has the pixel spacing of the input, divided by the scale, and says how it was made.

    Args:
        data: PNG, JPEG, TIFF or DICOM.
        name: of the file: for messages, and .dcm says that it is DICOM.
        method: what with.
        sixteen_bit: how 16-bit PNG and TIFF become 8-bit, see `formats.raster`; None: not at all.
        suffix: of the result: DICOM becomes DICOM, all else TIFF if this is .tif or .tiff, or PNG.
        most_pixels: allowed; more are refused before they are decoded. None: the readers' limits.

    Raises:
        ImageError: the file cannot be read, or is too small or too large.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    if is_dicom(data, name):
        return _upscaled_dicom(data, name, method, most_pixels)
    values = read_values(data, name, most_pixels)
    if values.ignored:
        told = ", ".join(values.ignored)
        console.warn(f"{name}: cannot be read and is ignored: {told}")
    if sixteen_bit is not None:
        grey = to_eight_bits(values, sixteen_bit)
        values = Values(grey, 0, 255, 8, values.ignored, values.density)
    sr = _named(name, values, method)
    scale = method.generator.scale
    density = values.density and (values.density[0] * scale, values.density[1] * scale)
    made = encode_grey(suffix, sr, values.bits, density, method.provenance)
    return Upscaled(values, sr, made)


def _upscaled_dicom(data: bytes, name: str, method: Method, most_pixels: int | None) -> Upscaled:
    # pydicom is an extra.
    from srpipe.enhance import dicom_derived
    from srpipe.formats import dicom

    radiograph = dicom.read(data, name, most_pixels or dicom.MOST_PIXELS)
    sr = _named(name, radiograph.values, method)
    return Upscaled(radiograph.values, sr, dicom_derived.encode(radiograph, sr, method.provenance))


def _named(name: str, values: Values, method: Method) -> npt.NDArray[np.int32]:
    try:
        return upscale_values(values, method)
    except (ImageError, NotEnoughMemoryError) as error:
        raise type(error)(f"{name}: {error}") from error


def upscale_file(
    source: Path, target: Path, method: Method, sixteen_bit: SixteenBit | None = None
) -> None:
    """Super-resolve an image file, see `upscale_bytes`; on an error the old file stays.

    Args:
        source: PNG, JPEG, TIFF or DICOM, by its content.
        target: of `targets`: DICOM for DICOM, TIFF if it ends in .tif or .tiff, else PNG.
        method: what with.
        sixteen_bit: as for `upscale_bytes`.

    Raises:
        ImageError: the file cannot be read, or is too small.
        OutputError: the result cannot be written.
        CheckpointError, SettingsError, NotEnoughMemoryError: as for `upscale`.
    """
    made = upscale_bytes(
        file_bytes(source), str(source), method, sixteen_bit=sixteen_bit, suffix=target.suffix
    )
    with replacing(target) as temporary:
        temporary.write_bytes(made.data)


def targets(files: Mapping[str, Path], images: Path, out: Path) -> dict[str, Path]:
    """Return the file that each image is written to; none is an input or used twice.

    DICOM is written as DICOM, a TIFF (by its suffix) as TIFF, all else as PNG.

    Args:
        files: the images by their names below `images`.
        images: the folder, or the one image.
        out: the folder of the results, with the subfolders of `images`.

    Raises:
        DataError: a result would replace an image or another result, or be an input of the next
            run.
    """
    if images.is_dir() and out.resolve().is_relative_to(images.resolve()):
        raise DataError(
            f"--out: {out} lies in {images}, so that results would be images of the next run: give "
            "a folder outside of it"
        )
    made = {name: out / _target(name, path) for name, path in files.items()}
    inputs = {path.resolve() for path in files.values()}
    taken: dict[Path, str] = {}
    for name, target in made.items():
        if target.resolve() in inputs:
            raise DataError(f"--out: {target} is one of the images: give another folder")
        if target in taken:
            raise DataError(
                f"--out: {taken[target]} and {name} would both become {target}: rename one"
            )
        taken[target] = name
    return made


def _target(name: str, path: Path) -> Path:
    suffix = path.suffix.lower()
    if is_dicom_file(path):
        # An ending such as that of 1.2.840.113 is no suffix.
        return Path(name if suffix in DICOM_SUFFIXES else f"{name}.dcm")
    return Path(name) if suffix in TIFF_SUFFIXES else Path(name).with_suffix(".png")
