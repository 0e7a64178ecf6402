"""The command line, `srpipe`."""

import argparse
import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe import console, environment, paths
from srpipe.errors import CheckpointError, DataError, ImageError
from srpipe.files import rounded, sha256, write_json

DESCRIPTION = """\
Super-resolution of chest radiographs.

The pipeline itself is run by DVC (`make repro`, `dvc repro`, `dvc exp run -S train.epochs=10`);
these commands are for what lies beside it.
"""
EVALUATE = """\
Score a generator on a folder of HR radiographs (PNG, JPEG, TIFF; subfolders too).

Each image is cut to a multiple of the generator's scale, made small by Pillow's antialiased
bicubic (8-bit), super-resolved, and compared with itself. The same is done for bicubic, and for
bicubic with back-projection. Scores, on 8-bit images with peak 1 and no border cropped:

  psnr, ssim                whole image (SSIM: Wang 2004, 11x11 Gaussian, sigma 1.5)
  psnr_masked, ssim_masked  without burned-in markers (pixels that differ from their 15x15 median by
                            more than 0.2, grown by 12 px) and without an 8-px border; an image
                            on which nothing would be left counts whole
  lr_psnr                   the SR image made small again, against the LR image
  content_distance          mean squared difference to HR of the features of EfficientNet-Lite0
                            (ImageNet), in tiles of at most 512x512; lower is better. A generator
                            trained with a content loss on this network, our default, is favoured

Weights: a checkpoint of this project, or the plain Swift-SRGAN form (.pth.tar) that others publish.
They are loaded without running any code from them. Grey images are repeated for a colour generator,
and the mean of its channels is taken.
"""
UPSCALE = """\
Super-resolve radiographs (PNG, JPEG, TIFF; subfolders too) into a folder of 8-bit grey PNGs.

16-bit images become 8-bit first, as in the pipeline. --consistent moves each result, no further
than needed, until it downsamples to its input within 8-bit rounding: nothing that the input says is
lost, and its noise is kept too.

Not for diagnosis: a network can blur or invent detail. See MODEL_CARD.md.
"""
UPSCALE_EXAMPLE = """\
examples:
  srpipe upscale --images small --out large
  srpipe upscale --images small.png --out large --consistent --weights models/generator.pt
"""
EXPORT = """\
Write a generator in a form that others read, by the suffix of --out:

  .safetensors  the arrays, and a JSON record of what they are: architecture, scale, settings of the
                training, commit, data, scores, SHA-256 (as the files in models/released);
                with --half the kernels are float16, and float32 again when loaded
  .pt           the plain Swift-SRGAN form, a bare state dict; for swift_srgan without bicubic_skip

spandrel, and so chaiNNer and ComfyUI, load both of a swift_srgan without bicubic_skip.
"""
EXPORT_EXAMPLE = """\
example:
  srpipe export --weights models/generator.pt --out mine.safetensors \\
                --data "88 radiographs of our clinic" --scores metrics/evaluate.json
"""
INTERPOLATE = """\
Mix two generators: weights (1 - alpha) * PIXEL + alpha * ADVERSARIAL (ESRGAN's network
interpolation). It makes sense where the second was trained on from the first, as the adversarial
epochs of our training do: 0 is the pixel epochs' fidelity, 1 the adversarial epochs' sharpness.

The file is a checkpoint like any other; it records alpha and the SHA-256 of both parents.
metrics/curve.csv of the evaluate stage says what lies between.
"""
INTERPOLATE_EXAMPLE = """\
example:
  srpipe interpolate --pixel models/pixel.pt --adversarial models/generator.pt --alpha 0.5 \\
                     --out mixed.pt
"""
EXAMPLES = """\
examples:
  srpipe upscale --images small --out large
  srpipe evaluate --weights models/generator.pt --images my-radiographs
  srpipe evaluate --weights netG_4x_epoch5.pth.tar --images nih/images --list nih/test_list.txt \\
                  --json scores.json
"""


ENVIRONMENT = """
`srpipe COMMAND --help` says more. SRPIPE_DEVICE chooses the device (auto, cpu, cuda, cuda:1, mps).
A fault is one message on stderr, with exit code 1; nothing half-written is left.
"""

CODE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a fault is one message on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    commands = {
        "upscale": _upscale,
        "evaluate": _evaluate,
        "interpolate": _interpolate,
        "show": _show,
        "export": _export,
    }
    console.entry_point(lambda: commands[options.command](options))()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="srpipe",
        description=DESCRIPTION,
        epilog=EXAMPLES + ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    upscale = commands.add_parser(
        "upscale",
        help="super-resolve radiographs with the released generator or your own",
        description=UPSCALE,
        epilog=UPSCALE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    upscale.add_argument(
        "--images", type=Path, required=True, metavar="PATH", help="folder of images, or one"
    )
    upscale.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    upscale.add_argument(
        "--weights",
        type=Path,
        # Of the repository, wherever the command is given.
        default=CODE.parent / paths.RELEASED_FIDELITY,
        metavar="FILE",
        help=f"generator (default: {paths.RELEASED_FIDELITY})",
    )
    upscale.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16 is quicker where the hardware multiplies it, and off by a grey level here and "
        "there (default: fp32)",
    )
    upscale.add_argument("--consistent", action="store_true", help="make each result agree with LR")
    _add_sixteen_bit(upscale)
    evaluate = commands.add_parser(
        "evaluate",
        help="score a generator on a folder of HR radiographs, beside bicubic",
        description=EVALUATE,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument("--weights", type=Path, required=True, metavar="FILE", help="generator")
    evaluate.add_argument(
        "--images", type=Path, required=True, metavar="PATH", help="folder of HR images, or one"
    )
    evaluate.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="take only the image names in this file, one a line",
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write all scores to this file")
    evaluate.add_argument(
        "--back-projections",
        type=_positive,
        default=3,
        metavar="N",
        help="steps of the second baseline (default: 3)",
    )
    evaluate.add_argument(
        "--consistent",
        action="store_true",
        help="make the generator's images downsample to LR before they are scored",
    )
    _add_sixteen_bit(evaluate)
    interpolate = commands.add_parser(
        "interpolate",
        help="mix the generators before and after the adversarial epochs",
        description=INTERPOLATE,
        epilog=INTERPOLATE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, what in (("pixel", "before"), ("adversarial", "after")):
        interpolate.add_argument(
            f"--{name}",
            type=Path,
            required=True,
            metavar="FILE",
            help=f"generator {what} the adversarial epochs",
        )
    interpolate.add_argument(
        "--alpha", type=_share, required=True, metavar="A", help="share of the second, 0 to 1"
    )
    interpolate.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    commands.add_parser(
        "show",
        help="print the results table of the last pipeline run",
        description="Print the results table of the last pipeline run, from metrics/.",
    )
    export = commands.add_parser(
        "export",
        help="write a checkpoint in a form that other tools load",
        description=EXPORT,
        epilog=EXPORT_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("--weights", type=Path, required=True, metavar="FILE", help="checkpoint")
    export.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    export.add_argument("--data", metavar="TEXT", help="what it was trained on, for the record")
    export.add_argument("--licence", metavar="TEXT", help="of the weights, for the record")
    export.add_argument(
        "--scores", type=Path, metavar="FILE", help="JSON of an evaluation, for the record"
    )
    export.add_argument(
        "--half", action="store_true", help="store kernels in float16: half the size"
    )
    return parser


def _add_sixteen_bit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sixteen-bit",
        choices=("minmax", "full_range"),
        default="minmax",
        help="how 16-bit images become 8-bit: own range (default) or 0..65535",
    )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, allowed is a whole number of at least 1")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, allowed is a number from 0 to 1")
    return value


def _show(options: argparse.Namespace) -> None:
    from srpipe.report import results_table

    print(results_table())


def _export(options: argparse.Namespace) -> None:
    from srpipe.checkpoint import HALF, KERNELS, load_generator, save_plain, save_released
    from srpipe.tensorfile import SUFFIX

    loaded = load_generator(options.weights)
    facts = {"data": options.data, "licence": options.licence}
    given = {name: value for name, value in facts.items() if value is not None}
    if options.scores is not None:
        given["scores"] = _read_scores(options.scores)
    if options.half:
        given[KERNELS] = HALF
    if options.out.suffix == SUFFIX:
        # What was recorded once stays: a file is exported again to add its scores.
        save_released(options.out, loaded, {"commit": commit(), **loaded.record, **given})
    elif given:
        named = ["half" if name == KERNELS else name for name in given]
        raise CheckpointError(
            f"--out is {options.out}: only a {SUFFIX} file can hold what comes with "
            f"{', '.join(f'--{name}' for name in named)}. Name such a file, or leave them out"
        )
    else:
        save_plain(options.out, loaded)
    console.say(f"wrote {options.out}")


def commit(code: Path = CODE) -> str:
    """Return the commit of a folder of code, with "-changed" where its files differ from it.

    By default of this package alone: `dvc exp run` changes params.yaml, which a checkpoint records.
    """
    try:
        name, changed = (
            subprocess.run(
                ["git", *what], check=True, capture_output=True, text=True, cwd=code
            ).stdout
            for what in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "--", "."),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        console.warn("this is no git repository: the commit is recorded as unknown")
        return "unknown"
    return name.strip() + ("-changed" if changed.strip() else "")


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"--scores: cannot read {path} as JSON: {error}") from error
    if not isinstance(scores, dict):
        raise DataError(f"--scores: {path} holds no JSON object: give an evaluation's JSON")
    return scores


def _upscale(options: argparse.Namespace) -> None:
    # torch takes seconds to load: not before the arguments are known to be right.
    from srpipe.checkpoint import load_generator

    files = _image_files(options.images)
    targets = _targets(files, options.images, options.out)
    loaded = load_generator(options.weights)
    device = environment.device_name()
    model = loaded.model.to(device)
    for name, path in console.progress(
        files.items(), what="upscale", total=len(files), unit="image"
    ):
        _upscale_file(path, targets[name], model, device, options)
    console.say(
        f"{len(files)} image(s) in {options.out}, {loaded.scale} times as large each way, by "
        f"{options.weights} on {device}"
    )


def _targets(files: dict[str, Path], images: Path, out: Path) -> dict[str, Path]:
    """Return the file that each image is written to; none is an input or another's."""
    if images.is_dir() and out.resolve().is_relative_to(images.resolve()):
        raise DataError(
            f"--out: {out} lies in {images}, so that results would be images of the next run: give "
            "a folder outside of it"
        )
    targets = {name: (out / name).with_suffix(".png") for name in files}
    inputs = {path.resolve() for path in files.values()}
    taken: dict[Path, str] = {}
    for name, target in targets.items():
        if target.resolve() in inputs:
            raise DataError(f"--out: {target} is one of the images: give another folder")
        if target in taken:
            raise DataError(
                f"--out: {taken[target]} and {name} would both become {target}: rename one"
            )
        taken[target] = name
    return targets


def _upscale_file(
    path: Path, target: Path, model: Any, device: str, options: argparse.Namespace
) -> None:
    from srpipe.images import read_file, write_png
    from srpipe.inference import super_resolve
    from srpipe.resample import MIN_LR_SIDE

    lr = read_file(path, options.sixteen_bit)
    if min(lr.shape) < MIN_LR_SIDE:
        raise ImageError(
            f"{path} is {lr.shape[1]}x{lr.shape[0]} pixels: both sides must be at least "
            f"{MIN_LR_SIDE}. Take it out of the folder"
        )
    bf16 = options.precision == "bf16"
    sr = super_resolve(model, lr, device, consistent=options.consistent, bf16=bf16)
    write_png(target, sr)


def _interpolate(options: argparse.Namespace) -> None:
    from srpipe.checkpoint import interpolate, load_generator, save_generator

    pixel, adversarial = load_generator(options.pixel), load_generator(options.adversarial)
    mixed = interpolate(pixel, adversarial, options.alpha)
    save_generator(
        options.out,
        mixed.model,
        architecture=mixed.architecture,
        hyperparameters=mixed.hyperparameters,
        training={
            "interpolation": {
                "alpha": options.alpha,
                "pixel_sha256": sha256(options.pixel),
                "adversarial_sha256": sha256(options.adversarial),
            }
        },
        metrics={},
    )
    console.say(f"wrote {options.out}")


def _evaluate(options: argparse.Namespace) -> None:
    # torch takes seconds to load: not before the arguments are known to be right.
    from srpipe.checkpoint import load_generator
    from srpipe.scoring.evaluation import BASELINES, text_table
    from srpipe.scoring.metrics import Scores

    loaded = load_generator(options.weights)
    device = environment.device_name()
    files = _listed(_image_files(options.images), options.list)
    model = loaded.model.to(device)
    rows = [
        _score_file(name, path, model, loaded.scale, device, options)
        for name, path in console.progress(
            files.items(), what="evaluate", total=len(files), unit="image"
        )
    ]
    table = pd.DataFrame(rows)
    columns = [column for column in table if column != "image"]
    mean = {str(column): rounded(table[column].mean(), 6) for column in columns}
    what = f"{loaded.architecture} {loaded.scale}x" + (", consistent" * options.consistent)
    prefixes = {f"{options.weights.name} ({what})": ""}
    prefixes |= {
        "bicubic": "bicubic_",
        f"bicubic + {options.back_projections} back-projections": "bicubic_bp_",
    }
    print(
        text_table(
            {
                label: {name: mean[prefix + name] for name in Scores.names()}
                for label, prefix in reversed(prefixes.items())
            }
        )
    )
    for name in BASELINES:
        whole = int((table["psnr"] > table[f"{name}_psnr"]).sum())
        masked = int((table["psnr_masked"] > table[f"{name}_psnr_masked"]).sum())
        print(f"PSNR better than {name} on {whole} of {len(table)} images, masked on {masked}.")
    if options.json is not None:
        images = [_rounded_row(row) for row in rows]
        write_json(options.json, {"consistent": options.consistent, "mean": mean, "images": images})


def _image_files(path: Path) -> dict[str, Path]:
    from srpipe.images import SUFFIXES
    from srpipe.sources.folder import list_files

    if path.is_file():
        files = {path.name: path}
    elif path.is_dir():
        names_found = (name for name in list_files(path) if name.lower().endswith(SUFFIXES))
        files = {name: path / name for name in sorted(names_found)}
    else:
        raise DataError(f"--images: {path} does not exist: give a folder of images, or one image")
    if not files:
        raise DataError(
            f"--images: {path} holds no image: allowed are files ending in {', '.join(SUFFIXES)}"
        )
    return files


def _listed(files: dict[str, Path], names: Path | None) -> dict[str, Path]:
    if names is None:
        return files
    try:
        lines = names.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--list: cannot read {names}: {error}") from error
    wanted = [line.strip() for line in lines if line.strip()]
    missing = [name for name in wanted if name not in files]
    if missing or not wanted:
        raise DataError(
            f"--list: {len(missing)} of the {len(wanted)} names in {names} are not among the "
            f"{len(files)} images, the first is {missing[0] if missing else '(none)'}"
        )
    return {name: files[name] for name in wanted}


def _score_file(
    name: str, path: Path, model: Any, scale: int, device: str, options: argparse.Namespace
) -> dict[str, Any]:
    from srpipe.images import read_file
    from srpipe.inference import super_resolve
    from srpipe.pairs import to_pair
    from srpipe.scoring.evaluation import baseline_scores
    from srpipe.scoring.metrics import reference, score

    hr, lr = to_pair(read_file(path, options.sixteen_bit), scale, name)
    against = reference(hr, lr)
    return {
        "image": name,
        **asdict(score(super_resolve(model, lr, device, consistent=options.consistent), against)),
        **baseline_scores(against, options.back_projections),
    }


def _rounded_row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value if key == "image" else rounded(value, 6) for key, value in row.items()}


if __name__ == "__main__":
    main()
