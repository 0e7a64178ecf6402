"""How the cost of each stage, and of DVC's no-ops, grows with the number of images.

    python -m benchmarks.scale FOLDER [--counts 1000 10000 112120] [--json OUT] [--docs]

Run it from the root of the repository. For each count it makes, in FOLDER, a data set and a scratch
copy of the repository, runs every stage as a process of its own, and then `dvc repro` and
`dvc status`, which find nothing to do. `--docs` writes docs/scale.md and its picture anew.

Images are 64 x 64, the smallest that 4x allows, so that time is that of counts and not of pixels:
`benchmarks.training --full-nih` has the pixels' time. A patient has one picture, a phantom with a
texture of its own, under as many names (hard links) as a patient of the NIH has images on average:
one picture under the names of two patients would be refused. The generator is tiny, and trained for
one epoch of a crop an image. FOLDER keeps what was measured; remove it to measure anew.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.cost import CommandError, Cost, clean_environment, measured
from benchmarks.full_nih import IMAGES, PATIENTS
from benchmarks.turns import cpu
from srpipe.core import console, environment
from srpipe.core.errors import OutputError
from srpipe.core.files import replacing, write_json
from srpipe.evaluation.tables import aligned_table
from srpipe.formats.raster import encode_png
from srpipe.imaging.arrays import GreyImage
from srpipe.phantom.cohort import plan_cohort
from srpipe.phantom.render import render
from srpipe.training.resume import STATE

ROOT = Path(__file__).resolve().parents[1]
PAGE, PLOT = Path("docs/scale.md"), Path("docs/figures/scale.png")
COUNTS = [1000, 10_000, IMAGES]
SIDE = 64
# Phantoms that the pictures are made of, and the strength of the texture, in grey levels.
PHANTOMS = 16
TEXTURE = 12.0
STAGES = ("download", "downsample", "split", "baseline", "train", "evaluate")
FIRST_STEP = "train, first step"
COMMIT, REPRO, STATUS = "dvc commit", "dvc repro, no-op", "dvc status, no-op"
ROWS = (*STAGES[:4], FIRST_STEP, *STAGES[4:], COMMIT, REPRO, STATUS)
# A no-op takes a second or two, which other work on the machine may double: the fastest of these.
TRIES = 3
# What DVC says when there is nothing to do.
NOTHING = "up to date"

Costs = dict[str, Cost]


@console.entry_point
def main() -> None:
    """Measure every count, print the tables, and write what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=str(__doc__).splitlines()[0]
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="receives the data sets: 2.5 GB for the last")
    add("--counts", type=int, nargs="+", metavar="N", default=COUNTS, help="numbers of images")
    add("--json", type=Path, metavar="OUT", help="write the figures as JSON")
    add("--docs", action="store_true", help=f"write {PAGE} and {PLOT}")
    given = parser.parse_args()
    if min(given.counts) < 100:
        parser.error(f"--counts has {min(given.counts)}: must be at least 100")
    found = {count: costs(given.folder / str(count), count) for count in sorted(given.counts)}
    print(f"\n{text(found)}\n\n{conditions()}")
    if given.json:
        write_json(
            given.json,
            {
                str(count): {name: asdict(cost) for name, cost in each.items()}
                for count, each in found.items()
            },
        )
    if given.docs:
        draw(PLOT, found)
        with replacing(PAGE) as temporary:
            temporary.write_text(page(found), encoding="utf-8")


def costs(folder: Path, count: int) -> Costs:
    """Return what each of `ROWS` costs with so many images; what was measured before is kept.

    Raises:
        CommandError: a stage failed, or DVC found something to do.
        OutputError: the folder cannot be made.
    """
    kept = folder / "costs.json"
    if kept.is_file():
        known = json.loads(kept.read_text(encoding="utf-8"))
        return {name: Cost(**each) for name, each in known.items()}
    if folder.exists():
        shutil.rmtree(folder)  # of a benchmark that was stopped
    try:
        (folder / "logs").mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error}", str(error)) from error
    console.say(f"{count:,} images: making them ...")
    make_images(folder / "images", count)
    workspace = Workspace(folder / "repository", folder / "logs")
    workspace.make(settings(folder / "images"))
    found: Costs = {}
    for name in ROWS:
        found[name] = workspace.run(name)
        console.say(f"{count:,} images: {name} {found[name].seconds:.1f} s")
    write_json(kept, {name: asdict(cost) for name, cost in found.items()})
    return found


def make_images(folder: Path, count: int) -> None:
    """Make PNG files, a folder a patient: the first of a patient is written, the others linked."""
    phantoms = [render(exposure, SIDE) for exposure in plan_cohort(PHANTOMS, 1, 0)]
    patients = max(3, round(count * PATIENTS / IMAGES))
    for number in range(count):
        patient, nth = number % patients, number // patients
        home = folder / f"{patient:06d}"
        first = home / "000.png"
        if nth == 0:
            home.mkdir(parents=True)
            first.write_bytes(encode_png(picture(phantoms, patient)))
        else:
            os.link(first, home / f"{nth:03d}.png")


def picture(phantoms: Sequence[GreyImage], patient: int) -> GreyImage:
    """Return a patient's picture: one of the phantoms with a texture that no other patient has."""
    rng = np.random.default_rng(patient)
    coarse = Image.fromarray(rng.standard_normal((16, 17)).astype(np.float32))
    texture = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    grey = phantoms[patient % len(phantoms)] + TEXTURE * texture
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def settings(images: Path) -> dict[str, object]:
    """Return params.yaml for these images, and a training as short as can be."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["name"] = "folder"
    params["datasets"]["folder"].update(
        path=str(images.resolve()), patient_pattern="(?P<patient>[^/]+)/"
    )
    train = params["train"]
    train.update(epochs=1, precision="fp32")
    train["generator"].update(features=4, blocks=1)
    train["crops"].update(size=32, per_image=1)
    train["adversarial"].update(epochs=0)
    return dict(params)


@dataclass(frozen=True)
class Workspace:
    """A scratch copy of the repository, with DVC, and where its commands' output goes."""

    folder: Path
    logs: Path

    def make(self, params: Mapping[str, object]) -> None:
        """Copy what git has of this repository, with other settings, as a repository of its own."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        for name in filter(None, listed):
            if name.startswith("metrics/") or name == "dvc.lock" or not (ROOT / name).is_file():
                continue
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        text = yaml.safe_dump(params, sort_keys=False)
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")
        who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
        for command in (["init", "-b", "main"], ["add", "."], [*who, "commit", "-m", "Begin"]):
            subprocess.run(
                ["git", *command], cwd=self.folder, check=True, stdout=subprocess.DEVNULL
            )

    def run(self, name: str) -> Cost:
        """Run one of `ROWS` and return its cost.

        Raises:
            CommandError: it failed, or a no-op found something to do.
        """
        log = self.logs / f"{name.replace(', ', '-').replace(' ', '-')}.log"
        dvc = [sys.executable, "-m", "dvc"]
        match name:
            case _ if name == FIRST_STEP:
                states = self.folder / ".ckpt"
                command = [sys.executable, "-m", "stages.train"]
                return self._measured(
                    command, log, lambda: any(states.glob(f"*/{STATE}")), checkpoint_seconds="0"
                )
            case _ if name in STAGES:
                return self._measured([sys.executable, "-m", f"stages.{name}"], log)
            case _ if name == COMMIT:
                return self._measured([*dvc, "commit", "--force"], log)
        tries = []
        for _ in range(TRIES):
            tries.append(self._measured([*dvc, "repro" if name == REPRO else "status"], log))
            if NOTHING not in log.read_text(encoding="utf-8"):
                raise CommandError(f"{name} found something to do: see {log}")
        return min(tries, key=lambda cost: cost.seconds)

    def _measured(
        self,
        command: Sequence[str],
        log: Path,
        until: Callable[[], bool] = lambda: False,
        checkpoint_seconds: str = "60",
    ) -> Cost:
        given = clean_environment(
            SRPIPE_DEVICE="cpu",
            SRPIPE_WORKERS=str(environment.workers()),
            SRPIPE_CHECKPOINT_SECONDS=checkpoint_seconds,
            SRPIPE_MLFLOW="off",
        )
        return measured(command, self.folder, given, log, until)


def further(smaller: Cost, larger: Cost, images: int) -> tuple[float, float]:
    """Return CPU seconds and bytes of memory of each image more, of so many."""
    return (larger.cpu - smaller.cpu) / images, (larger.memory - smaller.memory) / images


def text(found: Mapping[int, Costs]) -> str:
    """Return the tables as Markdown."""
    counts = list(found)
    head = [f"{count:,}" for count in counts]
    values: dict[str, Callable[[Cost], str]] = {
        "wall time, s": lambda cost: f"{cost.seconds:,.1f}",
        "CPU time, s": lambda cost: f"{cost.cpu:,.1f}",
        "memory, MB": lambda cost: f"{cost.memory / 1e6:,.0f}",
    }
    tables = [
        aligned_table(
            [title, *head], [[name, *(show(found[n][name]) for n in counts)] for name in ROWS]
        )
        for title, show in values.items()
    ]
    steps = list(itertools.pairwise(counts))
    rows = []
    for name in ROWS:
        more = [further(found[a][name], found[b][name], b - a) for a, b in steps]
        rows.append(
            [name, *(f"{1e3 * time:.2f} ms, {memory / 1e3:.1f} KB" for time, memory in more)]
        )
    tables.append(aligned_table(["an image more", *(f"{a:,} to {b:,}" for a, b in steps)], rows))
    return "\n\n".join(tables)


def conditions() -> str:
    """Return what the figures hold for."""
    return f"{cpu()}; {environment.workers()} worker processes."


def page(found: Mapping[int, Costs]) -> str:
    """Return docs/scale.md."""
    return f"""# Cost over the number of images

Written by `python -m benchmarks.scale FOLDER --docs`. Images are {SIDE} x {SIDE}, so that time is
that of counts and not of pixels ([all of NIH](benchmarks.md#all-of-nih-chestx-ray14) has that), in
a folder for each patient, who has one picture under {IMAGES / PATIENTS:.1f} names (hard links). The
generator is tiny and sees one crop an image. Each row is a process of its own; `dvc repro` and
`dvc status` find nothing to do, and are the fastest of {TRIES}. Memory is the most that the
processes of a row held together, without pages of mapped files: an image adds its rows in tables,
and none of its pixels.

{text(found)}

{conditions()} Other work shared the CPU: CPU time tells more than wall time.

![CPU time and memory over the number of images](figures/scale.png)
"""


def draw(path: Path, found: Mapping[int, Costs]) -> None:
    """Plot CPU time and memory over the number of images, a line a row of `ROWS`, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    counts = list(found)
    figure = Figure(figsize=(12, 5), layout="constrained")
    time_axis, memory_axis = figure.subplots(1, 2)
    for name in ROWS:
        style = "--" if name.startswith("dvc") else "-"
        each = [found[count][name] for count in counts]
        time_axis.plot(counts, [cost.cpu for cost in each], style, marker="o", label=name)
        memory_axis.plot(counts, [cost.memory / 1e6 for cost in each], style, marker="o")
    linear = [found[counts[-1]]["downsample"].cpu * count / counts[-1] for count in counts]
    time_axis.plot(counts, linear, ":", color="black", label="linear")
    time_axis.set(xscale="log", yscale="log", xlabel="images", ylabel="CPU time (s)")
    memory_axis.set(xscale="log", xlabel="images", ylabel="memory (MB)", ylim=(0, None))
    for axis in (time_axis, memory_axis):
        axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    main()
