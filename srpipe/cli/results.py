"""`srpipe show`: the results of the last pipeline run."""

import argparse

from srpipe.cli.options import Commands
from srpipe.core.extras import require


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show",
        help="print the results table of the last pipeline run",
        description="Print the results table of the last pipeline run, from metrics/.",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    require("train", "srpipe show")
    from srpipe.evaluation.report import results_table

    print(results_table())
