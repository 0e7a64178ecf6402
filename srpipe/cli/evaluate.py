"""`srpipe evaluate`: score a generator on a folder of HR radiographs."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srpipe.cli.options import Commands, add_sixteen_bit, positive, raw_text
from srpipe.core import console, environment
from srpipe.core.errors import DataError
from srpipe.core.extras import require
from srpipe.core.files import rounded, write_json

EVALUATE = """\
Score a generator on a folder of HR radiographs (PNG, JPEG, TIFF, BMP, JPEG 2000; subfolders too).

Each image is cropped to a multiple of the generator's scale, downsampled by Pillow's antialiased
bicubic (8-bit), super-resolved, and compared with the original. So are bicubic interpolation and
bicubic with back-projection. Scores, on 8-bit images with peak 1 and no border cropped:

  psnr, ssim                whole image (SSIM: Wang 2004, 11x11 Gaussian, sigma 1.5)
  psnr_masked, ssim_masked  without burned-in markers (pixels that differ from their 15x15 median by
                            more than 0.2, grown by 12 px) and without an 8-px border; an image
                            on which nothing would be left counts whole
  lr_psnr                   the downsampled SR image against the LR image
  content_distance          mean squared difference to HR of the features of EfficientNet-Lite0
                            (ImageNet), in tiles of at most 512x512; lower is better. A generator
                            trained with a content loss on this network, our default, is favoured

Images that are damaged or too small are told, all at once, before any is scored: means are over all
images or none. Files of other kinds are counted, below the table and in the JSON file (left_out).

Weights: a checkpoint of this project, or the state dict of a plain_sr, swift_srgan or srgan (.pt,
.pth, .pth.tar, .safetensors) as other trainers write it: DDP's "module.", torch.compile's
"_orig_mod.", under "params_ema", "state_dict" or any other key. No code in them is run. A colour
generator is given the grey image three times, and the mean of its channels is taken.
"""
EXAMPLES = """\
examples:
  srpipe upscale small -o large
  srpipe evaluate --weights models/generator.pt --images my-radiographs
  srpipe evaluate --weights netG_4x_epoch5.pth.tar --images nih/images --list nih/test_list.txt \\
                  --json scores.json
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="score a generator on a folder of HR radiographs, beside bicubic",
        **raw_text(EVALUATE, EXAMPLES),
    )
    parser.add_argument("--weights", required=True, metavar="NAME|FILE", help="generator")
    parser.add_argument(
        "--images", type=Path, required=True, metavar="PATH", help="folder of HR images, or one"
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="take only the image names in this file, one a line",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all scores to this file")
    parser.add_argument(
        "--back-projections",
        type=positive,
        default=3,
        metavar="N",
        help="steps of the second baseline (default: 3)",
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="make the generator's images downsample to LR before they are scored",
    )
    add_sixteen_bit(parser)
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> None:
    """Score every image, print the means, and write all scores if requested."""
    require("train", "srpipe evaluate")
    # Only after the arguments are checked, because torch takes seconds to load.
    from srpipe.evaluation.folder import evaluate_folder, summary_text
    from srpipe.formats.listing import image_files
    from srpipe.models.checkpoint import load_generator
    from srpipe.models.released import weights_file

    weights = weights_file(options.weights)
    loaded = load_generator(weights)
    found, listing = image_files(options.images, "--images")
    files = _listed(found, options.list)
    rows = evaluate_folder(
        files,
        loaded,
        environment.device_name(),
        back_projections=options.back_projections,
        consistent=options.consistent,
        sixteen_bit=options.sixteen_bit,
    )
    what = f"{loaded.architecture} {loaded.scale}x" + (", consistent" * options.consistent)
    console.say(summary_text(rows, f"{weights.name} ({what})", options.back_projections))
    if listing.left_out:
        console.say(f"Of {options.images} {listing.summary()}.")
    if options.json is not None:
        columns = [column for column in rows[0] if column != "image"]
        mean = {column: _mean(rows, column) for column in columns}
        images = [_rounded_row(row) for row in rows]
        scores = {"mean": mean, "images": images, "left_out": listing.counts()}
        write_json(options.json, {"consistent": options.consistent, **scores})


def _listed(files: dict[str, Path], names: Path | None) -> dict[str, Path]:
    from srpipe.data.sources.names import Names, read_names

    if names is None:
        return files
    wanted = read_names(names, "--list")
    if not wanted:
        raise DataError(f"--list: {names} names no image: give one name a line")
    found = Names(files).resolve(wanted, str(names))
    return {image: files[image] for image in dict.fromkeys(found.values())}


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    import pandas as pd

    return rounded(pd.Series([row[column] for row in rows]).mean(), 6)


def _rounded_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value if key == "image" else rounded(value, 6) for key, value in row.items()}
