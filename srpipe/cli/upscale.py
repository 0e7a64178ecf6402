"""`srpipe upscale`: super-resolve files."""

import argparse
from pathlib import Path

from srpipe.cli.extras import require
from srpipe.cli.options import Commands, add_sixteen_bit, raw_text
from srpipe.core import console, environment
from srpipe.core.errors import DataError, ImageError
from srpipe.models.released import DEFAULT, released_names

# Images that could not be read shown in a message.
SHOWN = 10

UPSCALE = """\
Super-resolve radiographs (DICOM, PNG, JPEG, TIFF; subfolders too) into a folder of grey images.

DICOM becomes DICOM, TIFF TIFF, all else PNG, in the depth and the grey scale of the input, with its
pixel spacing divided by the scale. Each result says how it was made. DICOM needs
pip install 'srpipe[dicom]'; radiographs of one grey frame are read (CR, DX, secondary capture).

--consistent changes each result, no more than needed, until it downsamples to its input within the
rounding of 8 bits: nothing in the input is lost, its noise included.

An image that cannot be read does not stop the others: the end names it and why, and the exit code
is 1. Files of other kinds are counted.

Not for diagnosis: a network can blur or invent detail. See MODEL_CARD.md.
"""
UPSCALE_EXAMPLE = """\
examples:
  srpipe upscale --images small --out large
  srpipe upscale --images small.png --out large --consistent --weights models/generator.pt
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "upscale",
        help="super-resolve radiographs with a released generator or your own",
        **raw_text(UPSCALE, UPSCALE_EXAMPLE),
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="PATH", help="folder of images, or one"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument(
        "--weights",
        default=DEFAULT,
        metavar="NAME|FILE",
        help=f"released model ({', '.join(released_names())}) or file (default: {DEFAULT})",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16 is faster on hardware with matrix units for it, and off by a grey level here "
        "and there (default: fp32)",
    )
    parser.add_argument("--consistent", action="store_true", help="make each result agree with LR")
    add_sixteen_bit(parser, depth_kept=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Super-resolve every image."""
    # Only after the arguments are checked, because torch takes seconds to load.
    from srpipe.enhance.upscale import method, targets, upscale_file
    from srpipe.formats.listing import image_files, is_dicom_file

    files, listing = image_files(options.images, "--images", dicom=True)
    written = targets(files, options.images, options.out)
    if any(map(is_dicom_file, files.values())):
        require("dicom", "srpipe upscale of DICOM files")
    used = method(
        options.weights,
        consistent=options.consistent,
        precision=options.precision,
        device=environment.device_name(),
    )
    failed: list[str] = []
    for name, path in console.progress(
        files.items(), what="upscale", total=len(files), unit="image"
    ):
        try:
            upscale_file(path, written[name], used, options.sixteen_bit)
        except ImageError as error:
            failed.append(str(error))
    if done := len(files) - len(failed):
        left_out = f"; {listing.summary()}" if listing.left_out else ""
        console.say(
            f"{done} image(s) in {options.out}, {used.generator.scale} times as large each way, by "
            f"{options.weights} on {used.device}{left_out}"
        )
    if failed:
        raise DataError(_failures(failed, len(files)))


def _failures(failed: list[str], total: int) -> str:
    """Return the message about images that could not be read: all counted, a few named."""
    if total == 1:
        return failed[0]
    shown = "".join(f"\n  {reason}" for reason in failed[:SHOWN])
    rest = f"\n  and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return f"{len(failed)} of {total} images were not made:{shown}{rest}"
