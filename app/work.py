"""From a file, or a sample, to what the page shows: in memory, one image at a time."""

import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.uploads import MOST_PIXELS
from srpipe.enhance.figures import lr_psnr
from srpipe.enhance.provenance import AGAIN, was_made
from srpipe.enhance.upscale import Enhanced, Method, Progress, upscale_bytes
from srpipe.enhance.written import result_suffix, said_in
from srpipe.formats.raster import Values, encode_png, is_dicom, read_values, to_eight_bits
from srpipe.imaging.arrays import FloatImage, GreyImage, RecordedImage
from srpipe.imaging.resample import BICUBIC, bicubic, crop_to_multiple, downsample, to_grey
from srpipe.metrics.error import psnr, squared_error
from srpipe.metrics.mask import anatomy_mask
from srpipe.runtime.given import given, given_range
from srpipe.trust.range import reasons

# Memory is that of one image, however many sessions there are; the CPUs are shared anyway.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Result:
    """An image enhanced, for looking at.

    Attributes:
        lr: `uint8 (h, w)`, what the network was given, as 8 bits.
        bicubic: `uint8 (H, W)`.
        sr: the same of the network.
        hr: the same of the truth, if it is known.
        half_width: float32 `(H, W)` of 1, of the interval around SR, if these weights have one that
            holds for their settings.
        lr_psnr: of bicubic and of SR, as in the command's report.
        unusual: why LR is out of the range that the default network was trained for.
        encode: returns the enhanced file, which is made when first asked for.
        suffix: of its name.
    """

    lr: GreyImage
    bicubic: GreyImage
    sr: GreyImage
    hr: GreyImage | None
    half_width: FloatImage | None
    lr_psnr: dict[str, float]
    unusual: list[str]
    encode: Callable[[], bytes]
    suffix: str


# Called with a result before its interval is complete, if it is to have one.
Early = Callable[[Result], None]


def busy() -> bool:
    """Say whether the next image has to wait for another."""
    return _one_at_a_time.locked()


def enhance(
    data: bytes,
    name: str,
    method: Method,
    progress: Progress | None = None,
    early: Early | None = None,
) -> Result:
    """Enhance a file as `srpipe upscale` does; `progress` is told as by `upscale_bytes`.

    `early` is called once, with the lock held, if the method has an interval; what it raises ends
    the work.

    Raises:
        SrpipeError: as for `upscale_bytes`; more than `MOST_PIXELS` are refused.
    """
    suffix = result_suffix(data, name)
    with _one_at_a_time:
        return _enhanced(data, name, method, progress, early, suffix=suffix, upload=data)


def compare(
    data: bytes,
    name: str,
    method: Method,
    progress: Progress | None = None,
    early: Early | None = None,
) -> Result:
    """Downsample an HR file as 8 bits, enhance that, and keep HR to compare with.

    Raises:
        SrpipeError: as for `enhance`, but for 16 times as many pixels.
    """
    with _one_at_a_time:
        values = _read(data, name, MOST_PIXELS * method.network.scale**2)
        hr = crop_to_multiple(to_eight_bits(values, "minmax"), method.network.scale)
        return _compared(hr, name, method, progress, early, upload=data)


def compare_sample(
    hr: GreyImage,
    method: Method,
    progress: Progress | None = None,
    early: Early | None = None,
) -> Result:
    """Do the same with an image `uint8 (H, W)` at hand."""
    with _one_at_a_time:
        return _compared(hr, "the sample", method, progress, early)


def _read(data: bytes, name: str, most_pixels: int) -> Values:
    if not is_dicom(data, name):
        return read_values(data, name, most_pixels)
    from srpipe.formats import dicom

    return dicom.read(data, name, most_pixels).values


def _compared(
    hr: GreyImage,
    name: str,
    method: Method,
    progress: Progress | None,
    early: Early | None,
    *,
    upload: bytes = b"",
) -> Result:
    scale = method.network.scale
    if 0 in hr.shape:
        lr = np.zeros((1, 1), np.uint8)  # too small, which is told below
    else:
        lr = downsample(np.ascontiguousarray(hr), scale)
    # By the way of a file, so that there is one way.
    name = os.path.splitext(name)[0]
    return _enhanced(encode_png(lr), name, method, progress, early, hr=hr, upload=upload)


def _enhanced(
    data: bytes,
    name: str,
    method: Method,
    progress: Progress | None,
    early: Early | None,
    *,
    suffix: str = ".png",
    hr: GreyImage | None = None,
    upload: bytes,
) -> Result:
    first: Result | None = None

    def soon(made: Enhanced) -> None:
        nonlocal first
        first = _result(made, method, suffix, hr, upload)
        if early is not None:
            early(first)

    made = upscale_bytes(
        data, name, method, suffix=suffix, most_pixels=MOST_PIXELS, progress=progress, early=soon
    )
    if first is None:
        return _result(made, method, suffix, hr, upload)
    return replace(first, half_width=_unit_width(made))


def _result(
    made: Enhanced,
    method: Method,
    suffix: str,
    hr: GreyImage | None,
    upload: bytes,
) -> Result:
    # Of 9 to 16 bits, the image's own extremes are shown black and white.
    low, high = _ends(made.values)
    lr, sr = _unit(made.values.array, low, high), _unit(made.sr, low, high)
    eight = made.values.bits == 8 and not made.values.low
    recorded: RecordedImage = to_grey(lr) if eight else np.rint(lr * 65535).astype(np.uint16)
    scale = method.network.scale
    interpolated = bicubic(recorded, scale)
    return Result(
        lr=to_grey(lr),
        bicubic=interpolated,
        sr=to_grey(sr),
        hr=hr,
        half_width=_unit_width(made),
        lr_psnr={
            "bicubic": lr_psnr(
                interpolated if eight else _interpolated(made.values, scale), made.values, scale
            ),
            "SR": lr_psnr(made.sr, made.values, scale),
        },
        # Only now: what was refused has not been looked at.
        unusual=[*reasons(given(made.values)), *[AGAIN] * was_made(said_in(io.BytesIO(upload)))],
        encode=made.encode,
        suffix=suffix,
    )


def _unit_width(made: Enhanced) -> FloatImage | None:
    if made.half_width is None:
        return None
    low, high = _ends(made.values)
    half: FloatImage = made.half_width / np.float32(high - low)
    return half


def _ends(values: Values) -> tuple[int, int]:
    """Return the values that are shown black and white, of a constant image too."""
    low, high = given_range(values)
    return low, max(high, low + 1)


def _interpolated(values: Values, scale: int) -> npt.NDArray[Any]:
    """Return bicubic in the grey values and the depth of the image."""
    height, width = values.array.shape
    image = Image.fromarray(values.array.astype(np.float32))
    large = np.asarray(image.resize((width * scale, height * scale), BICUBIC))
    rounded: npt.NDArray[np.float32] = np.rint(large.clip(values.low, values.high))
    return rounded


def _unit(array: npt.NDArray[Any], low: int, high: int) -> FloatImage:
    unit: FloatImage = (array.astype(np.float32) - low) / np.float32(high - low)
    return np.clip(unit, 0, 1, out=unit)


def figures(result: Result) -> dict[str, dict[str, float]]:
    """Return scores in dB by name, of bicubic and of SR: see `metrics.scores`."""
    images = {"bicubic": result.bicubic, "SR": result.sr}
    found: dict[str, dict[str, float]] = {}
    if result.hr is not None:
        errors = {name: squared_error(image, result.hr) for name, image in images.items()}
        mask = anatomy_mask(result.hr)
        found["PSNR"] = {name: psnr(float(each.mean())) for name, each in errors.items()}
        if mask.any():
            found["masked PSNR"] = {
                name: psnr(float(each[mask].mean())) for name, each in errors.items()
            }
    found["LR-PSNR"] = result.lr_psnr
    return found
