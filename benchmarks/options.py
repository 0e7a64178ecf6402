"""What both commands share: their options, and how long they measure."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srpipe.core import environment


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: of our steps and the predecessor's.
        variant_rounds: of our step in other forms, each on `share` of the pixels.
        share: part of the pixels of one of the predecessor's steps.
        process_rounds: of one process and two.
        process_steps: steps that each of them takes a round.
        loading_rounds: of the loaders.
        loading_seconds: that each loader runs a round.
        images: different synthetic radiographs, of 1 MB each.
        copies: of each in the packed folder.
        thorough: measure what only tells where a gain comes from, too.
    """

    rounds: int
    variant_rounds: int
    share: float
    process_rounds: int
    process_steps: int
    loading_rounds: int
    loading_seconds: float
    images: int
    copies: int
    thorough: bool


# The whole run takes under three minutes on two CPU cores.
QUICK = Effort(
    rounds=3,
    variant_rounds=2,
    share=0.125,
    process_rounds=3,
    process_steps=4,
    loading_rounds=4,
    loading_seconds=0.15,
    images=4,
    copies=48,
    thorough=False,
)
FULL = Effort(
    rounds=9,
    variant_rounds=9,
    share=0.25,
    process_rounds=9,
    process_steps=10,
    loading_rounds=15,
    loading_seconds=0.5,
    images=16,
    copies=64,
    thorough=True,
)


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    effort: Effort
    device: str
    json: Path | None
    figure: Path | None
    markdown: bool
    full_nih: bool
    images: int


def read_options(
    description: str, *, training: bool, arguments: Sequence[str] | None = None
) -> Options:
    """Read the command line.

    Raises:
        SettingsError: the device is not there.
    """
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rounds: under 3 minutes on two CPU cores")
    add("--json", type=Path, metavar="FILE", help="write the medians and quartiles as JSON")
    add("--figure", type=Path, metavar="PNG", help="draw what was measured")
    add("--markdown", action="store_true", help="print the tables alone, to paste into the docs")
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1; loaders always run on the CPU")
    if training:
        add("--full-nih", action="store_true", help="also say what all of NIH ChestX-ray14 costs")
        add(
            "--images",
            type=int,
            metavar="N",
            help="batch of the predecessor, and so HR megapixels a step; default: 1 on a CPU, 16 "
            "on a GPU (its own default is 32)",
        )
    given = parser.parse_args(arguments)
    device = _device(given.device)
    images = given.images if training else 1
    if images is not None and images < 1:
        parser.error(f"--images is {images}: must be at least 1")
    return Options(
        effort=QUICK if given.quick else FULL,
        device=device,
        json=given.json,
        figure=given.figure,
        markdown=given.markdown,
        full_nih=training and given.full_nih,
        images=images or (16 if device.startswith("cuda") else 1),
    )


def note(message: str) -> None:
    """Say what is being done, beside what was found: on the standard error."""
    print(message, file=sys.stderr, flush=True)


def _device(given: str | None) -> str:
    if given is not None:
        os.environ["SRPIPE_DEVICE"] = given  # for the processes that are started, too
    return environment.device_name()
