"""Super-resolving many files: which becomes which, what is finished already, what came of each."""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from srpipe.core import memory
from srpipe.core.errors import DataError, ImageError, NotEnoughMemoryError
from srpipe.core.files import for_spreadsheets, replacing
from srpipe.enhance.figures import added_detail, added_share, lr_psnr
from srpipe.enhance.maps import map_file
from srpipe.enhance.provenance import AGAIN, was_made
from srpipe.enhance.upscale import (
    Method,
    Progress,
    origin_of,
    targets,
    upscale_file,
)
from srpipe.enhance.written import ADDED, HALF_WIDTH, said_of, type_of
from srpipe.formats.listing import Listing, image_files, is_dicom_file
from srpipe.formats.raster import DICOM_SUFFIXES, SUFFIXES, SixteenBit, file_bytes
from srpipe.models.running import LESS
from srpipe.runtime.given import given
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
        added: share of the result's energy that lies in detail which the input does not determine.
        noise: estimated standard deviation of the input's noise, in 255ths of that range
            (`trust.range.noise`).
        range: why the input is out of the range that the default network was trained for, such as
            `provenance.AGAIN`; "" if it is within, or was not looked at because the result was
            finished.
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
    added: float | None = None
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


def plan(inputs: Sequence[Path], out: Path, *, lossless: bool = False) -> Plan:
    """Find the images, and the file that each becomes.

    An image goes into `out`; what is in a folder keeps its place below it, and of several folders
    each has its own name in `out`. One image becomes `out` itself if that has the name of a file.

    Args:
        inputs: images, or folders of them.
        out: a folder; or, for one image, a file, whose ending decides the type.
        lossless: PNG for JPEG.

    Raises:
        DataError: an input is not there, or the only one holds no image (of several, a folder
            without is among the refused), or `out` lies among the images, or is no name of a
            result.
    """
    if out.suffix.lower() in (*SUFFIXES, *DICOM_SUFFIXES) and not out.is_dir():
        return _one(inputs, out)
    if out.exists() and not out.is_dir():
        raise DataError(f"--out: {out} is a file: give a folder")
    folders = sum(each.is_dir() for each in inputs)
    jobs: dict[Path, Path] = {}
    refused, listings = [], {}
    for each in inputs:
        try:
            files, listing = image_files(each, "IN", dicom=True)
        except DataError as error:
            if len(inputs) == 1 or not each.is_dir():
                raise
            refused.append(Row(str(each), "", FAILED, str(error)))
            continue
        listings[each] = listing
        below = out / each.resolve().name if folders > 1 and each.is_dir() else out
        for name, target in targets(files, each, below, lossless=lossless).items():
            if (former := jobs.setdefault(target, files[name])) != files[name]:
                reason = f"{files[name]}: {former} becomes {target} already: give another --out"
                refused.append(Row(str(files[name]), str(target), FAILED, reason))
    _refuse_inputs(jobs)
    return Plan([(source, target) for target, source in jobs.items()], refused, listings)


def _one(inputs: Sequence[Path], out: Path) -> Plan:
    """Plan one image that becomes a file of this name."""
    if len(inputs) != 1 or inputs[0].is_dir():
        raise DataError(f"--out: {out} has the name of a file, for one image: give a folder")
    ((_, source),) = image_files(inputs[0], "IN", dicom=True)[0].items()
    kind = type_of(out.suffix)
    if not kind:
        raise DataError(f"--out: {out} could not say how it was made: give a .png")
    if is_dicom_file(source) != (kind == "DICOM"):
        raise DataError(
            f"--out: {out}: DICOM becomes DICOM (.dcm), and nothing else does: {source} cannot be "
            "written so"
        )
    _refuse_inputs({out: source})
    return Plan([(source, out)], [], {})


def _refuse_inputs(jobs: Mapping[Path, Path]) -> None:
    """Refuse results, with their inputs, that would replace one."""
    sources = {source.resolve() for source in jobs.values()}
    for target in jobs:
        if target.resolve() in sources:
            raise DataError(f"--out: {target} is one of the images: give another folder")


def enhance(
    jobs: Sequence[tuple[Path, Path]],
    method: Method,
    *,
    sixteen_bit: SixteenBit | None = None,
    overwrite: bool = False,
    figures: bool = False,
    added: bool = False,
    progress: Progress | None = None,
) -> Iterator[Row]:
    """Super-resolve files one by one; one that cannot be read, or fit, does not stop the others.

    Args:
        jobs: of a plan.
        method: what with.
        sixteen_bit: as for `upscale_file`.
        overwrite: make what is there anew. Without it what was made so is finished, and what was
            not is refused.
        figures: measure LR-PSNR, added detail and noise. What is out of range is always told.
        added: write the added detail beside each result (`maps`).
        progress: told how far an image is, as by `upscale_bytes`.

    Raises:
        OutputError: an output cannot be written.
        CheckpointError: as for `upscale`.
    """
    for source, target in jobs:
        try:
            with memory.guarded(f"enhancing {source}", f"{LESS}."):
                row = _enhanced(
                    source,
                    target,
                    method,
                    sixteen_bit,
                    overwrite,
                    progress,
                    figures=figures,
                    added=added,
                )
        except (ImageError, NotEnoughMemoryError) as error:
            row = Row(str(source), str(target), FAILED, str(error))
        yield row


def _enhanced(
    source: Path,
    target: Path,
    method: Method,
    sixteen_bit: SixteenBit | None,
    overwrite: bool,
    progress: Progress | None,
    *,
    figures: bool,
    added: bool,
) -> Row:
    """Enhance one file, see `enhance`.

    Raises:
        ImageError: it cannot be, or something else is in its place.
        NotEnoughMemoryError: memory does not suffice for a tile.
        OutputError, CheckpointError: as for `enhance`.
    """
    started = time.monotonic()
    if not overwrite and _finished(source, target, method, sixteen_bit, added):
        return Row(str(source), str(target), FINISHED)
    made = upscale_file(source, target, method, sixteen_bit, progress)
    height, width = made.sr.shape
    scale = method.network.scale
    detail = added_detail(made.sr, scale) if figures or added else None
    if added and detail is not None:
        made.write_map(target, ADDED, detail)
    found = measured(given(made.values), trained())
    return Row(
        str(source),
        str(target),
        MADE,
        width=width,
        height=height,
        scale=scale,
        lr_psnr=lr_psnr(made.sr, made.values, scale) if figures else None,
        added=None if detail is None else float(f"{added_share(detail, made.sr):.4g}"),
        noise=round(found.noise, 4) if figures else None,
        range="; ".join([*told(found, trained()), *[AGAIN] * was_made(said_of(source))]),
        seconds=round(time.monotonic() - started, 3),
    )


def _finished(
    source: Path, target: Path, method: Method, sixteen_bit: SixteenBit | None, added: bool
) -> bool:
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
    # These may be left there from a result before this one.
    beside = [HALF_WIDTH] * (method.interval is not None) + [ADDED] * added
    return all(origin.made(said_of(map_file(target, what))) for what in beside)


def write_report(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file with a row a file; texts are `for_spreadsheets`.

    Of a finished file, what an earlier report in its place measured is kept, if that is no older
    than the result, which may have been made in another way before.

    Raises:
        OutputError: it cannot be written.
    """
    names = [field.name for field in fields(Row)]
    former = _former(path, names)
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            told = {
                name: for_spreadsheets(value) if isinstance(value, str) else value
                for name, value in asdict(row).items()
            }
            if row.status == FINISHED and _modified(path) >= _modified(Path(row.output)):
                told = former.get((told["input"], told["output"]), told) | {"status": FINISHED}
            writer.writerow(told)


def _modified(path: Path) -> float:
    """Return when a file was written; 0 for one that is not there."""
    return path.stat().st_mtime if path.exists() else 0.0


def _former(path: Path, names: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of made files in an earlier report, by input and output."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        try:
            if reader.fieldnames != names:
                return {}
            return {
                (row["input"], row["output"]): row
                for row in reader
                if row["status"] in (MADE, FINISHED)
            }
        except csv.Error:  # no report of ours
            return {}
