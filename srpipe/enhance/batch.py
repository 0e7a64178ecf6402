"""Super-resolving many files: which becomes which, what is finished already, what came of each."""

import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image

from srpipe.core.errors import DataError, ImageError
from srpipe.core.files import for_spreadsheets, replacing
from srpipe.enhance.tiles import DEFAULT_TILE, pieces
from srpipe.enhance.upscale import (
    Enhanced,
    Method,
    half_width_file,
    origin_of,
    targets,
    upscale_file,
)
from srpipe.enhance.written import said_of
from srpipe.formats.listing import Listing, image_files
from srpipe.formats.raster import SUFFIXES, SixteenBit, file_bytes
from srpipe.imaging.consistency import REACH
from srpipe.imaging.resample import BICUBIC
from srpipe.runtime.given import given, given_range
from srpipe.trust.range import measured, told, trained

MADE, FINISHED, FAILED = "made", "finished", "failed"


@dataclass(frozen=True)
class Row:
    """What came of a file.

    Attributes:
        input: the file.
        output: what it becomes.
        status: "made", "finished" (it was there, made so) or "failed".
        reason: why it failed.
        width: of the result, in pixels.
        height: of the result, in pixels.
        scale: how many times as large each way.
        lr_psnr: of the result, downsampled, against its input, in dB; the peak is the range that
            the network was given, at most 100.
        noise: estimated standard deviation of the input's noise, in 255ths of that range
            (`trust.range.noise`).
        range: why the input is out of the range that the default network was trained for; "" if it
            is within, or was not looked at because the result was finished.
        seconds: that it took.
    """

    input: str
    output: str
    status: str
    reason: str = ""
    width: int | None = None
    height: int | None = None
    scale: int | None = None
    lr_psnr: float | None = None
    noise: float | None = None
    range: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """Which files become which.

    Attributes:
        jobs: inputs with their outputs.
        refused: files that have no output of their own.
        listings: by folder, what is in it besides.
    """

    jobs: list[tuple[Path, Path]]
    refused: list[Row]
    listings: dict[Path, Listing]


def plan(inputs: Sequence[Path], out: Path) -> Plan:
    """Find the images, and the file that each becomes.

    An image goes into `out`; what is in a folder keeps its place below it, and of several folders
    each has its own name in `out`.

    Raises:
        DataError: an input is not there or holds no image, or `out` lies among the images.
    """
    if out.suffix.lower() in (*SUFFIXES, ".dcm") and not out.is_dir():
        raise DataError(f"--out: {out} has the name of a file: give a folder")
    folders = sum(each.is_dir() for each in inputs)
    jobs: dict[Path, Path] = {}
    refused, listings = [], {}
    for each in inputs:
        files, listing = image_files(each, "--images", dicom=True)
        listings[each] = listing
        below = out / each.resolve().name if folders > 1 and each.is_dir() else out
        for name, target in targets(files, each, below).items():
            if (former := jobs.setdefault(target, files[name])) != files[name]:
                reason = f"{files[name]}: {former} becomes {target} already: give another --out"
                refused.append(Row(str(files[name]), str(target), FAILED, reason))
    sources = {source.resolve() for source in jobs.values()}
    for target in jobs:
        if target.resolve() in sources:
            raise DataError(f"--out: {target} is one of the images: give another folder")
    return Plan([(source, target) for target, source in jobs.items()], refused, listings)


def enhance(
    jobs: Sequence[tuple[Path, Path]],
    method: Method,
    *,
    sixteen_bit: SixteenBit | None = None,
    overwrite: bool = False,
    figures: bool = False,
) -> Iterator[Row]:
    """Super-resolve files one by one; one that cannot be read does not stop the others.

    Args:
        jobs: of a plan.
        method: what with.
        sixteen_bit: as for `upscale_file`.
        overwrite: make what is there anew. Without it what was made so is finished, and what was
            not is refused.
        figures: measure LR-PSNR and noise. What is out of range is always told.

    Raises:
        OutputError: an output cannot be written.
        CheckpointError, NotEnoughMemoryError: as for `upscale`.
    """
    for source, target in jobs:
        started = time.monotonic()
        try:
            if not overwrite and _finished(source, target, method, sixteen_bit):
                yield Row(str(source), str(target), FINISHED)
                continue
            made = upscale_file(source, target, method, sixteen_bit)
        except ImageError as error:
            yield Row(str(source), str(target), FAILED, str(error))
            continue
        height, width = made.sr.shape
        scale = method.network.scale
        found = measured(given(made.values), trained())
        yield Row(
            str(source),
            str(target),
            MADE,
            width=width,
            height=height,
            scale=scale,
            lr_psnr=lr_psnr(made, scale) if figures else None,
            noise=round(found.noise, 4) if figures else None,
            range="; ".join(told(found, trained())),
            seconds=round(time.monotonic() - started, 3),
        )


def _finished(source: Path, target: Path, method: Method, sixteen_bit: SixteenBit | None) -> bool:
    """Say whether a result is there already, made from this input in this way.

    Raises:
        ImageError: something else is there, or the input cannot be read.
    """
    if not target.exists():
        return False
    origin = origin_of(file_bytes(source), method, sixteen_bit)
    if not origin.made(said_of(target)):
        raise ImageError(
            f"{source}: {target} is there and was not made from it in this way: --overwrite "
            "replaces it, another --out keeps it"
        )
    # An interval may be left there from a result before this one.
    return method.interval is None or origin.made(said_of(half_width_file(target)))


def lr_psnr(made: Enhanced, scale: int) -> float:
    """Return the PSNR in dB of a result, downsampled and rounded, against its input; at most 100.

    The peak is the range that the network was given. Pieces overlap by what Pillow's kernel sees.
    """
    low, high = given_range(made.values)
    lr, total = made.values.array, 0.0
    for piece in pieces((lr.shape[0], lr.shape[1]), DEFAULT_TILE, REACH):
        down, across = piece.seen
        sr = made.sr[
            down.start * scale : down.stop * scale, across.start * scale : across.stop * scale
        ]
        size = (across.stop - across.start, down.stop - down.start)
        kept = sr if sr.dtype == np.uint8 else sr.astype(np.float32)
        small = np.asarray(Image.fromarray(np.ascontiguousarray(kept)).resize(size, BICUBIC))
        own = piece.cut(np.rint(small.astype(np.float64)), 1)
        total += float(((own - lr[piece.inside]) ** 2).sum())
    error = total / lr.size / max(high - low, 1) ** 2
    return round(float(-10 * np.log10(max(error, 1e-10))), 4)


def write_report(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file with a row a file; texts are `for_spreadsheets`.

    Raises:
        OutputError: it cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                name: for_spreadsheets(value) if isinstance(value, str) else value
                for name, value in asdict(row).items()
            }
            for row in rows
        )
