"""The command line, `srpipe`: one module per group of commands."""

import argparse
from collections.abc import Sequence

import srpipe
from srpipe.cli import evaluate, results, upscale, weights
from srpipe.cli.options import raw_text
from srpipe.core import console

DESCRIPTION = """\
Super-resolution of chest radiographs.

The pipeline itself is run by DVC (`make repro`, `dvc repro`, `dvc exp run -S train.epochs=10`);
these commands are for what lies beside it.
"""
ENVIRONMENT = """
`srpipe COMMAND --help` says more. SRPIPE_DEVICE chooses the device (auto, cpu, cuda, cuda:1, mps).
A fault is one message on stderr, with exit code 1; no incomplete file is left;
results finished before it stay.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; an error is one message on stderr and exit code 1."""
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:  # told with the usage of the command, not with that of `srpipe`
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    console.entry_point(lambda: options.run(options))()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="srpipe", **raw_text(DESCRIPTION, evaluate.EXAMPLES + ENVIRONMENT)
    )
    parser.add_argument("--version", action="version", version=f"srpipe {srpipe.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (upscale, evaluate, weights, results):
        module.add_to(commands)
    return parser


if __name__ == "__main__":
    main()
