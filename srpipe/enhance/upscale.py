"""Super-resolution of an image, a file or a folder, with a released generator or your own.

Shared by the command line, web pages and scripts.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from srpipe.core import environment
from srpipe.core.errors import DataError, ImageError, NotEnoughMemoryError, SettingsError
from srpipe.formats.raster import SixteenBit, read_file, write_png
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import MIN_LR_SIDE
from srpipe.models.checkpoint import LoadedGenerator, load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.released import DEFAULT, weights_file

Precision = Literal["fp32", "bf16"]


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
    if min(image.shape) < MIN_LR_SIDE:
        raise ImageError(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels: both sides must be at least "
            f"{MIN_LR_SIDE}"
        )
    if precision not in get_args(Precision):
        raise SettingsError(
            f"precision is {precision!r}: give one of {', '.join(get_args(Precision))}"
        )
    device = device or environment.device_name()
    loaded = weights if isinstance(weights, LoadedGenerator) else load(weights)
    model = loaded.model.to(device)
    # torch takes no view that runs backwards, which is what turning an image over makes.
    image = np.ascontiguousarray(image)
    return super_resolve(model, image, device, consistent=consistent, bf16=precision == "bf16")


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


def upscale_file(
    source: Path,
    target: Path,
    enhance: Callable[[GreyImage], GreyImage] = upscale,
    sixteen_bit: SixteenBit = "minmax",
) -> None:
    """Super-resolve an image file into an 8-bit grey PNG; on an error the old file stays.

    Args:
        source: PNG, JPEG or TIFF.
        target: the PNG.
        enhance: `upscale`, or a `functools.partial` of it with other weights and options.
        sixteen_bit: how 16-bit images become 8-bit, see `formats.raster`.

    Raises:
        ImageError: the file cannot be read, or is too small.
        OutputError: the result cannot be written.
        CheckpointError: as for `upscale`.
        SettingsError: as for `upscale`.
        NotEnoughMemoryError: as for `upscale`.
    """
    lr = read_file(source, sixteen_bit)
    try:
        sr = enhance(lr)
    except (ImageError, NotEnoughMemoryError) as error:
        raise type(error)(f"{source}: {error}") from error
    write_png(target, sr)


def targets(files: Mapping[str, Path], images: Path, out: Path) -> dict[str, Path]:
    """Return the PNG that each image is written to; none is an input or used twice.

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
    made = {name: (out / name).with_suffix(".png") for name in files}
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
