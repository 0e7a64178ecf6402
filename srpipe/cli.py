"""The command line, `srpipe`."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from srpipe import console, environment
from srpipe.errors import DataError
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
  srpipe evaluate --weights models/generator.pt --images my-radiographs
  srpipe evaluate --weights netG_4x_epoch5.pth.tar --images nih/images --list nih/test_list.txt \\
                  --json scores.json
"""


ENVIRONMENT = """
`srpipe COMMAND --help` says more. SRPIPE_DEVICE chooses the device (auto, cpu, cuda, cuda:1, mps).
A fault is one message on stderr, with exit code 1; nothing half-written is left.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a fault is one message on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    commands = {
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
        "--sixteen-bit",
        choices=("minmax", "full_range"),
        default="minmax",
        help="how 16-bit images become 8-bit: own range (default) or 0..65535",
    )
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
        help="write a Swift-SRGAN checkpoint in the plain form that other tools load",
        description="Write a swift_srgan checkpoint (without bicubic_skip) as a bare state dict, "
        "the form that spandrel, and so chaiNNer and ComfyUI, load.",
    )
    export.add_argument("--weights", type=Path, required=True, metavar="FILE", help="checkpoint")
    export.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    return parser


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
    from srpipe.checkpoint import load_generator, save_plain

    save_plain(options.out, load_generator(options.weights))
    console.say(f"wrote {options.out}")


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
    files = _hr_files(options.images, options.list)
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
    prefixes = {f"{options.weights.name} ({loaded.architecture} {loaded.scale}x)": ""}
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
        write_json(options.json, {"mean": mean, "images": images})


def _hr_files(path: Path, names: Path | None) -> dict[str, Path]:
    from srpipe.images import SUFFIXES
    from srpipe.sources.folder import list_files

    if path.is_file():
        files = {path.name: path}
    elif path.is_dir():
        names_found = (name for name in list_files(path) if name.lower().endswith(SUFFIXES))
        files = {name: path / name for name in sorted(names_found)}
    else:
        raise DataError(
            f"--images: {path} does not exist: give a folder of HR images, or one image"
        )
    if not files:
        raise DataError(
            f"--images: {path} holds no image: allowed are files ending in {', '.join(SUFFIXES)}"
        )
    return files if names is None else _listed(files, names)


def _listed(files: dict[str, Path], names: Path) -> dict[str, Path]:
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
        **asdict(score(super_resolve(model, lr, device), against)),
        **baseline_scores(against, options.back_projections),
    }


def _rounded_row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value if key == "image" else rounded(value, 6) for key, value in row.items()}


if __name__ == "__main__":
    main()
