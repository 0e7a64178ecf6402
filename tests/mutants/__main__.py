"""Damaged files through all that reads files: each is a right image or one clear error.

The tests do this with a few; `python -m tests.mutants --count 5000` does it with as many as wanted.
Printed is a row a kind; of each file that is neither, what came of it and how to make it again
(`--only`, which also writes it with `--keep`). The exit code is 1 if there is one.
"""

import argparse
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.enhance.generators import save_plain_sr
from tests.mutants.mutate import mutant
from tests.mutants.seeds import Seeds, seeds
from tests.mutants.tried import BAD, ERROR, IMAGE, Outcome, Process

SECONDS = 10.0
# Bytes of address space that a file may take.
SPARE = 2**30
# Files told that took the most.
SHOWN = 3


@dataclass(frozen=True)
class Trial:
    """A mutant: its kind, its number among these, and what came of it."""

    kind: str
    number: int
    outcome: Outcome


def named(kind: str) -> str:
    """Return what mutants of a kind are called, which may say what they are."""
    return "mutant.dcm" if kind.startswith("DICOM") else f"mutant.{kind.lower()}"


def made(files: Seeds, kind: str, number: int, seed: int) -> bytes:
    """Return a mutant; the same whatever else is made."""
    return mutant(kind, files[kind], random.Random(f"{seed} {kind} {number}"))


def tried(files: Seeds, count: int, seed: int, workers: int = 2) -> list[Trial]:
    """Make so many mutants, as many of each kind, and send each through all."""
    one_at_a_time = threading.Lock()  # filters of warnings are those of all threads
    with tempfile.TemporaryDirectory() as folder:
        weights = save_plain_sr(Path(folder) / "small.pt")

        def of(kind: str, numbers: range) -> list[Trial]:
            process = Process(weights, SECONDS, SPARE)
            try:
                trials = []
                for each in numbers:
                    with one_at_a_time:
                        data = made(files, kind, each, seed)
                    trials.append(Trial(kind, each, process.tried(data, named(kind))))
                return trials
            finally:
                process.close()

        share, rest = divmod(count, len(files))
        numbers = [range(share + (place < rest)) for place in range(len(files))]
        with ThreadPoolExecutor(workers) as pool:
            return [trial for trials in pool.map(of, files, numbers) for trial in trials]


def table(trials: Sequence[Trial]) -> str:
    """Return a row a kind, and one of all."""
    kinds = list(dict.fromkeys(trial.kind for trial in trials))
    heads = ("files", "images", "clear errors", *BAD, "slowest, s", "largest, MB")
    width = max(map(len, (*kinds, "kind")))
    lines = [" | ".join([f"{'kind':<{width}}", *heads])]
    for kind in (*kinds, "all"):
        of_it = [trial.outcome for trial in trials if kind in (trial.kind, "all")]
        counts = Counter(each.what for each in of_it)
        cells = [
            str(len(of_it)),
            *(str(counts[what]) for what in (IMAGE, ERROR, *BAD)),
            f"{max(each.seconds for each in of_it):.2f}",
            f"{max(each.memory for each in of_it) / 1e6:.0f}",
        ]
        padded = [f"{cell:>{len(head)}}" for cell, head in zip(cells, heads, strict=True)]
        lines.append(" | ".join([f"{kind:<{width}}", *padded]))
    return "\n".join(lines)


def extremes(trials: Sequence[Trial], seed: int) -> list[str]:
    """Return lines on the files that took the most memory, and the longest."""
    largest = sorted(trials, key=lambda each: -each.outcome.memory)[:SHOWN]
    slowest = sorted(trials, key=lambda each: -each.outcome.seconds)[:SHOWN]
    return [
        f"{each.outcome.memory / 1e6:.0f} MB, {each.outcome.seconds:.2f} s: --seed {seed} "
        f"--only {each.kind!r} {each.number}: {each.outcome.said[:100]}"
        for each in (*largest, *slowest)
    ]


def bad(trials: Sequence[Trial], seed: int) -> list[str]:
    """Return a line for each file that is neither an image nor a clear error."""
    return [
        f"{each.outcome.what}: --seed {seed} --only {each.kind!r} {each.number}: "
        f"{each.outcome.said}"
        for each in trials
        if each.outcome.what in BAD
    ]


def main() -> None:
    """Try as many as asked for; print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--dicom-sample", type=Path, metavar="FOLDER", help="DICOM files to make mutants of, too"
    )
    parser.add_argument("--kind", action="append", help="of this kind only (may be repeated)")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "NUMBER"), help="one mutant")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write it there")
    options = parser.parse_args()
    files = seeds(options.dicom_sample)
    if options.kind:
        files = {kind: files[kind] for kind in options.kind}
    if options.only:
        kind, number = options.only[0], int(options.only[1])
        data = made(files, kind, number, options.seed)
        if options.keep:
            options.keep.write_bytes(data)
        with tempfile.TemporaryDirectory() as folder:
            process = Process(save_plain_sr(Path(folder) / "small.pt"), SECONDS, SPARE)
            trials = [Trial(kind, number, process.tried(data, named(kind)))]
            process.close()
        print(trials[0].outcome)
    else:
        trials = tried(files, options.count, options.seed, options.workers)
        print(table(trials))
        print("largest and slowest:", *extremes(trials, options.seed), sep="\n")
    found = bad(trials, options.seed)
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
