"""`srpipe export` and `srpipe interpolate`: converting and mixing weights files."""

import argparse
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from srpipe.cli.options import Commands, raw_text, share
from srpipe.core import console
from srpipe.core.errors import CheckpointError, DataError
from srpipe.core.extras import require
from srpipe.core.files import replacing, sha256

EXPORT = """\
Write a generator in a form that other tools read, by the suffix of --out:

  .safetensors  the arrays, and a JSON record of what they are: architecture, scale, settings of the
                training, commit, data, scores, SHA-256 (as the released files);
                with --half the kernels are float16, and float32 again when loaded
  .onnx         the network as an ONNX graph in float32, of any height and width: lr, (N, channels,
                height, width) in [0, 1], to sr; with the same record in its metadata
  .pt, .pth     the plain Swift-SRGAN form, a bare state dict; for swift_srgan without bicubic_skip

spandrel, and so chaiNNer and ComfyUI, load .safetensors and .pt of a swift_srgan without
bicubic_skip.
"""
EXPORT_EXAMPLE = """\
examples:
  srpipe export --weights models/generator.pt --out mine.safetensors \\
                --data "88 radiographs of our clinic" --scores metrics/evaluate.json
  srpipe export --weights plain_sr_x4 --out plain_sr_x4.onnx
"""
INTERPOLATE = """\
Interpolate two generators: weights (1 - alpha) * PIXEL + alpha * ADVERSARIAL (ESRGAN's network
interpolation). The second must have been trained from the first, as the adversarial epochs of our
training do: alpha 0 is the fidelity of the pixel epochs, 1 the sharpness of the adversarial ones.

The file is a checkpoint like any other; it records alpha and the SHA-256 of both parents.
metrics/curve.csv of the evaluate stage says what lies between.
"""
INTERPOLATE_EXAMPLE = """\
example:
  srpipe interpolate --pixel models/pixel.pt --adversarial models/generator.pt --alpha 0.5 \\
                     --out mixed.pt
"""
CODE = Path(__file__).resolve().parents[1]


def add_to(commands: Commands) -> None:
    """Add the commands."""
    interpolate = commands.add_parser(
        "interpolate",
        help="mix the generators before and after the adversarial epochs",
        **raw_text(INTERPOLATE, INTERPOLATE_EXAMPLE),
    )
    for name, what in (("pixel", "before"), ("adversarial", "after")):
        interpolate.add_argument(
            f"--{name}",
            required=True,
            metavar="NAME|FILE",
            help=f"generator {what} the adversarial epochs",
        )
    interpolate.add_argument(
        "--alpha", type=share, required=True, metavar="A", help="share of the second, 0 to 1"
    )
    interpolate.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    interpolate.set_defaults(run=run_interpolate, parser=interpolate)
    export = commands.add_parser(
        "export",
        help="write a checkpoint in a form that other tools load",
        **raw_text(EXPORT, EXPORT_EXAMPLE),
    )
    export.add_argument("--weights", required=True, metavar="NAME|FILE", help="generator")
    export.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write")
    export.add_argument("--data", metavar="TEXT", help="what it was trained on, for the record")
    export.add_argument("--licence", metavar="TEXT", help="of the weights, for the record")
    export.add_argument(
        "--scores", type=Path, metavar="FILE", help="JSON of an evaluation, for the record"
    )
    export.add_argument(
        "--half", action="store_true", help="store kernels in float16: half the size"
    )
    export.set_defaults(run=run_export, parser=export)


def run_export(options: argparse.Namespace) -> None:
    """Write a generator in another form."""
    from srpipe.models.released import SUFFIX, weights_file
    from srpipe.models.weights import HALF, KERNELS

    suffix = options.out.suffix.lower()
    if suffix not in (SUFFIX, ".onnx", ".pt", ".pth"):
        raise CheckpointError(
            f"--out is {options.out}: its suffix says the form, and must be {SUFFIX}, .onnx, .pt "
            "or .pth (srpipe export --help)"
        )
    source = weights_file(options.weights)
    facts = {"data": options.data, "licence": options.licence}
    given = {name: value for name, value in facts.items() if value is not None}
    if options.scores is not None:
        given["scores"] = _read_scores(options.scores)
    named = [f"--{name}" for name in given]
    if options.half:
        given[KERNELS] = HALF
    bare = suffix in (".pt", ".pth")
    if (bare and named) or (options.half and suffix != SUFFIX):
        named += ["--half"] * options.half
        forms = SUFFIX if options.half else f"{SUFFIX} or .onnx"
        raise CheckpointError(
            f"--out is {options.out}: only a {forms} file can hold what comes with "
            f"{', '.join(named)}. Name such a file, or leave them out"
        )
    if suffix == ".onnx":
        _write_onnx(options.out, source, given)
    else:
        require("torch", f"writing a {suffix} file")
        from srpipe.models.checkpoint import load_generator, save_plain, save_released

        loaded = load_generator(source)
        if suffix == SUFFIX:
            # Recorded entries stay: a file may be exported again to add its scores.
            save_released(options.out, loaded, {"commit": commit(), **loaded.record, **given})
        else:
            save_plain(options.out, loaded)
    console.say(f"wrote {options.out}")


def _write_onnx(out: Path, source: Path, facts: dict[str, Any]) -> None:
    """Write a generator as an ONNX graph; of a released file, without torch."""
    from srpipe.enhance.engine import load
    from srpipe.runtime.graph import model_bytes

    weights = load(source).plain
    record = {"commit": commit(), **weights.record, **facts}
    data = model_bytes(replace(weights, record=record))
    with replacing(out) as temporary:
        temporary.write_bytes(data)


def commit(code: Path = CODE) -> str:
    """Return the commit of a folder of code, with "-changed" if its files differ from it.

    "unknown" if git does not hold the code, although the folder may lie in a repository: that of
    a project with the installed package in its `.venv`. By default only this package: `dvc exp run`
    changes params.yaml, which a checkpoint records.
    """
    try:
        _, name, changed = (
            subprocess.run(
                ["git", *what], check=True, capture_output=True, text=True, cwd=code
            ).stdout
            for what in (
                ("ls-files", "--error-unmatch", "__init__.py"),
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "--", "."),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        console.warn("the code is in no git repository: its commit is recorded as unknown")
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


def run_interpolate(options: argparse.Namespace) -> None:
    """Write an interpolated generator."""
    require("torch", "srpipe interpolate")
    from srpipe.models.checkpoint import load_generator, save_generator
    from srpipe.models.interpolate import interpolate
    from srpipe.models.released import weights_file

    files = [weights_file(given) for given in (options.pixel, options.adversarial)]
    pixel, adversarial = map(load_generator, files)
    if options.out.exists() and any(options.out.samefile(file) for file in files):
        raise CheckpointError(
            f"--out is {options.out}, one of the two that are mixed, which it would replace: name "
            "another file"
        )
    mixed = interpolate(pixel, adversarial, options.alpha)
    save_generator(
        options.out,
        mixed.model,
        architecture=mixed.architecture,
        hyperparameters=mixed.hyperparameters,
        training={
            "interpolation": {
                "alpha": options.alpha,
                "pixel_sha256": sha256(files[0]),
                "adversarial_sha256": sha256(files[1]),
            }
        },
        metrics={},
    )
    console.say(f"wrote {options.out}")
