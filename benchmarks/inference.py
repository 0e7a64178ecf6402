"""How fast and how lean enhancing is on the CPU, against the published Swift-SRGAN.

    python -m benchmarks.inference [--quick] [--json OUT] [--weights NAME|FILE ...]

First the networks alone (benchmarks/networks.py), then files as `srpipe upscale` enhances them
(benchmarks/enhancing.py). Things are run in turn, in one process, on one thread, and their ratios
hold for the CPU that is printed.
"""

import argparse
from pathlib import Path

import torch

from benchmarks import enhancing, networks, turns
from srpipe.core import console
from srpipe.core.files import write_json
from srpipe.models.released import weights_file


@console.entry_point
def main() -> None:
    """Measure, print tables, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, images and sizes: about two minutes"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the medians as JSON")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["plain_sr_x4", "plain_sr_small_x4", "swift_srgan_x4"],
        metavar="NAME|FILE",
        help="generators; the JSON is about the first (default: the released ones)",
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights = {name: weights_file(name) for name in given.weights}
    found = networks.measure(weights, quick=given.quick)
    print(networks.text(found), flush=True)
    costs = enhancing.measure(quick=given.quick)
    print(f"\n{enhancing.text(costs)}\n\n{turns.cpu()}")
    if given.json:
        first = networks.as_json(next(iter(found.values())))
        write_json(given.json, first | enhancing.as_json(costs) | {"cpu": turns.cpu()})


if __name__ == "__main__":
    main()
