"""Shared by the commands: layout of help texts, checks of values."""

import argparse
import math
from typing import Any

# The type that has `add_parser`; argparse gives it no public name.
Commands = Any


def raw_text(description: str, epilog: str | None = None) -> dict[str, Any]:
    """Return arguments for a parser that keeps the layout of its texts."""
    return {
        "description": description,
        "epilog": epilog,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def add_sixteen_bit(parser: argparse.ArgumentParser, *, depth_kept: bool = False) -> None:
    """Add the option for how 16-bit images become 8-bit; `depth_kept`: only if it is given."""
    parser.add_argument(
        "--sixteen-bit",
        choices=("minmax", "full_range"),
        default=None if depth_kept else "minmax",
        help="make 8 bits of 9 to 16 bits in PNG and TIFF first, by the image's own range or by "
        "the depth's, 0..2^bits-1 (default: the depth is kept)"
        if depth_kept
        else "how 9 to 16 bits become 8: own range (default) or the depth's, 0..2^bits-1",
    )


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, allowed is a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, allowed is a number from 0 to 1")
    return value
