"""`srpipe upscale`: super-resolve files."""

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srpipe.cli.options import Commands, add_sixteen_bit, positive, raw_text, share
from srpipe.core import console
from srpipe.core.environment import emulates_bf16
from srpipe.core.errors import DataError, SettingsError
from srpipe.core.extras import require
from srpipe.models.released import DEFAULT, released_names

if TYPE_CHECKING:
    from srpipe.enhance.batch import Row

UPSCALE = """\
Super-resolve radiographs (DICOM, PNG, JPEG, TIFF, BMP, JPEG 2000; folders with their subfolders)
into a folder of grey images.

Each result is of the type of its input, in its depth and grey scale, with its pixel spacing divided
by the scale; BMP, which cannot say how it was made, becomes PNG. JPEG is written at quality 95 and
loses a little: --lossless writes PNG instead. One image may be given a file as OUT, whose ending
decides the type. Of a.png and a.bmp in one folder the second becomes a.bmp.png. DICOM needs
pip install '.[dicom]'; radiographs of one grey frame are read (CR, DX, secondary capture).

Each result says how it was made. What is there already, made from the same input by the same
weights and settings, is not made again; another file in its place is kept and told, unless
--overwrite is given.

--consistent changes each result, no more than needed, until it downsamples to its input within the
rounding of 8 bits: nothing in the input is lost, its noise included.

A file that fails does not stop the others: the end names it and why, and the exit code is 1. Files
of other kinds are counted, as are reports and what else a DICOM study holds beside images.

An image that is unlike what plain_sr_x4 was trained for (small, noisy, turned, inverted, no chest)
is enhanced, with a warning: docs/out_of_range.md says what is told and what is missed.

Not for diagnosis: a network can blur or invent detail. See MODEL_CARD.md.
"""
UPSCALE_EXAMPLE = """\
examples:
  srpipe upscale small -o large
  srpipe upscale a.dcm b.png -o large --consistent --weights models/generator.pt
  srpipe upscale small -o large --interval --report large.csv
  srpipe upscale a.jpg -o large.png
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "upscale",
        help="super-resolve radiographs with a released generator or your own",
        **raw_text(UPSCALE, UPSCALE_EXAMPLE),
    )
    parser.add_argument("inputs", type=Path, nargs="*", metavar="IN", help="image, or folder")
    parser.add_argument(
        "--images", type=Path, action="append", default=[], metavar="PATH", help="the same as IN"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder to write into; for one image, a file",
    )
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help=f"released model ({', '.join(released_names())}) or file (default: {DEFAULT})",
    )
    parser.add_argument(
        "--alpha",
        type=share,
        metavar="A",
        help="instead of weights, a mixture: 0 for plain_sr_x4 (fidelity), 1 for "
        "plain_sr_x4_adversarial, which was trained on from it (perception)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16 is faster on hardware with matrix units for it, and off by a grey level here "
        "and there (default: fp32)",
    )
    parser.add_argument("--consistent", action="store_true", help="make each result agree with LR")
    parser.add_argument(
        "--interval",
        action="store_true",
        help="beside each result, RESULT.interval.tif (of DICOM .dcm): half the width of the "
        "interval that HR is in, in grey values of the result (for weights that carry one)",
    )
    parser.add_argument(
        "--added",
        action="store_true",
        help="beside each result, RESULT.added.tif (of DICOM .dcm): the part of it that the input "
        "does not determine, around 0, in grey values of the result",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE.csv",
        help="a row a file: status, reason, size, LR-PSNR, added detail, estimated noise, what is "
        "out of range, seconds",
    )
    parser.add_argument("--lossless", action="store_true", help="write PNG for JPEG")
    parser.add_argument("--overwrite", action="store_true", help="make anew what is there")
    parser.add_argument(
        "--tile",
        type=positive,
        metavar="N",
        help="work on pieces of N LR pixels a side, at least 16: less memory, same result "
        "(default: 384)",
    )
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: SRPIPE_DEVICE, or auto)"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="say only what failed and what is not read"
    )
    add_sixteen_bit(parser, depth_kept=True)
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> None:
    """Super-resolve every image."""
    inputs = [*options.inputs, *options.images]
    if not inputs:
        raise SettingsError("no image is given: srpipe upscale IN... -o OUT, images or folders")
    if options.report is not None and options.report.is_dir():
        raise SettingsError(f"--report: {options.report} is a folder: give the name of a CSV file")
    # Only after the arguments are checked, because torch takes seconds to load.
    from srpipe.enhance.batch import FAILED, FINISHED, MADE, enhance, plan, write_report
    from srpipe.enhance.tiles import DEFAULT_TILE
    from srpipe.enhance.upscale import method
    from srpipe.formats.listing import is_dicom_file

    planned = plan(inputs, options.out, lossless=options.lossless)
    if any(is_dicom_file(source) for source, _ in planned.jobs):
        require("dicom", "srpipe upscale of DICOM files")
    used = method(
        options.weights,
        alpha=options.alpha,
        consistent=options.consistent,
        precision=options.precision,
        device=options.device,
        tile=options.tile or DEFAULT_TILE,
        interval=options.interval,
    )
    if options.precision == "bf16" and emulates_bf16(used.device):
        console.warn(
            f"this {used.device} emulates bf16, which takes many times as long as --precision fp32"
        )
    rows = list(planned.refused)
    bar = None if options.quiet else console.bar(len(planned.jobs), what="upscale", unit="image")

    def tell(done: int, of: int) -> None:
        if bar is not None and sys.stderr.isatty():  # a log needs no line a part
            bar.set_postfix_str(f"part {done + 1} of {of}" if of > 1 else "")

    made = enhance(
        planned.jobs,
        used,
        sixteen_bit=options.sixteen_bit,
        overwrite=options.overwrite,
        figures=options.report is not None,
        added=options.added,
        progress=tell,
    )
    # A kill ends the command as Ctrl-C does, with no half file left.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.nullcontext() if bar is None else bar:
            for row in made:
                rows.append(row)
                if bar is not None:
                    if row.range:
                        console.warn(f"{row.input}: {row.range}")
                    bar.update()
    finally:
        signal.signal(signal.SIGTERM, former)
        if options.report is not None:
            write_report(options.report, rows)
    times = {each: sum(row.status == each for row in rows) for each in (MADE, FINISHED, FAILED)}
    if not options.quiet and times[MADE] + times[FINISHED]:
        told = [each.summary() for each in planned.listings.values() if each.left_out]
        if times[FINISHED]:
            told.insert(0, f"{times[FINISHED]} more were finished before")
        console.say(
            f"{times[MADE]} image(s) in {options.out}, {used.network.scale} times as large each "
            f"way, by {options.weights or used.provenance.model} on {used.device}"
            + "".join(f"; {each}" for each in told)
        )
    if times[FAILED]:
        raise DataError(_failures([row for row in rows if row.status == FAILED], len(rows)))


def _failures(failed: "Sequence[Row]", total: int) -> str:
    """Return the message about files that failed: all counted, a few named."""
    if total == 1:
        return failed[0].reason
    told = console.lines([row.reason for row in failed])
    more = "\n(--report names all)" if len(failed) > console.SHOWN else ""
    return f"not made: {len(failed)} of {total} images:{told}{more}"
