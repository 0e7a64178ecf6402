"""What `benchmarks.training` measures: our steps in several forms, and their surroundings."""

import contextlib
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks import ceilings, ours, predecessor, processes
from benchmarks.ceilings import Ceilings, Ledger
from benchmarks.full_nih import pixels_by_stage
from benchmarks.material import Material
from benchmarks.options import Effort, note
from benchmarks.results import Booked, Measured
from benchmarks.turns import Contender, Speeds, in_turn, timed
from srpipe.core import environment
from srpipe.metrics.features import ContentFeatures
from srpipe.settings.params import Params
from srpipe.training.crops.batches import Batch, draws_per_crop, epoch_batches, plan_of, read_crops
from srpipe.training.crops.difficulty import Difficulty
from srpipe.training.precision import choose
from srpipe.training.state import Hardware

# Each stage of training, and whether it is adversarial.
STAGES = {"pixel": False, "adversarial": True}
# Steps in which the loop is measured, with the loader and without; and how many times more rounds
# than of anything else, because what is sought is a small difference.
LOOP_STEPS = {"cpu": 4, "cuda": 200}
LOOP_ROUNDS = 4
# Steps of one measurement: a GPU's are short.
REPEATS = {"cpu": 1, "cuda": 10}
# Compiled ones run so often first: CUDA graphs are recorded in the third.
WARM_UP = 4


@dataclass(frozen=True)
class Bench:
    """What everything here is measured with; `images` is the batch of the predecessor.

    Batches are of radiographs: on random bytes a CPU is slower, on black ones faster.
    """

    params: Params
    effort: Effort
    device: str
    images: int
    content: ContentFeatures
    material: Material

    @property
    def kind(self) -> str:
        """Return "cuda" for such a GPU, "cpu" for whatever else."""
        return "cuda" if self.device.startswith("cuda") else "cpu"

    @property
    def pixels(self) -> int:
        """Return the HR pixels of one of the predecessor's steps."""
        return self.images * self.material.side**2

    @property
    def parts(self) -> dict[str, int]:
        """Return how much of the HR pixels that training sees each stage takes, as a ratio."""
        pixels = pixels_by_stage(self.params.train)
        common = math.gcd(*pixels.values())
        return {name: each // common for name, each in pixels.items()}

    def job(self, stage: str) -> ours.Job:
        """Return the job of a stage, as the settings describe it."""
        scale = self.params.downsample.scale
        return ours.job(self.params.train, scale, self.device, adversarial=STAGES[stage])

    def batch(self, pixels: float) -> Batch:
        """Return crops with at least so many HR pixels, and at least two (BatchNorm)."""
        return self.crops(max(2, -(-int(pixels) // self.params.train.crop**2)))

    def crops(self, count: int) -> Batch:
        """Return so many crops, of the size that the settings say."""
        rng = np.random.default_rng(0)
        plan, packed = plan_of(self.params.train), self.material.packed
        rows = rng.choice(self.material.rows, count)
        draws = rng.random((count, draws_per_crop(plan)))
        return read_crops(packed, rows, draws, plan, Difficulty(packed), self.kind == "cuda")

    def whole(self) -> tuple[Tensor, Tensor]:
        """Return the predecessor's batch: LR and HR, float `(N, 3, H, W)`."""
        paths = itertools.islice(itertools.cycle(self.material.pngs), self.images)
        pairs = zip(*(predecessor.read_item(path) for path in paths), strict=True)
        lr, hr = (torch.stack(each) for each in pairs)
        return (lr.pin_memory(), hr.pin_memory()) if self.kind == "cuda" else (lr, hr)

    def contender(
        self, job: ours.Job, batch: Batch, mode: str | None = None, steps: int = 1
    ) -> Contender:
        """Return so many steps of a job as a contender in HR megapixels a second, warmed up."""
        step = ours.ready(job, Hardware(self.device, compile_mode=mode), self.content)
        # A CPU only starts threads and makes the optimizers' state; a GPU takes its memory, too.
        first = batch if self.kind == "cuda" else Batch(*(each[:2] for each in batch))
        for _ in range(WARM_UP if mode else 1):
            step(first)
        repeats = steps * REPEATS[self.kind]
        return timed(lambda: step(batch), megapixels(batch), self.device, repeats)


def megapixels(batch: Batch) -> float:
    """Return the HR megapixels of a batch."""
    return batch.hr.numel() / 1e6


def measure(bench: Bench) -> Measured:
    """Measure everything but the loaders, one thing after the other."""
    notes: list[str] = []
    note(f"the ceilings of {bench.device} with {torch.get_num_threads()} threads ...")
    sizes = ceilings.GPU if bench.kind == "cuda" else ceilings.CPU
    limits = ceilings.measure_ceilings(bench.device, sizes)
    note("our steps and the predecessor's, in turn ...")
    steps, memory = _steps(bench)
    note("our steps in other forms ...")
    variants = _variants(bench, notes)
    booked = {stage: _booked(bench, stage, limits) for stage in STAGES}
    loop = _loop(bench)
    note("one process and two ...")
    groups, peak = _groups(bench, notes)
    every = {**memory, **peak}
    return Measured(steps, variants, loop, groups, booked, limits, every, tuple(notes), bench.parts)


def _steps(bench: Bench) -> tuple[Speeds, dict[str, float]]:
    """Measure the predecessor's step and ours on as many HR pixels; and, on a GPU, their memory."""
    batch, usual = bench.batch(bench.pixels), bench.crops(bench.params.train.batch_size)
    # Small batches are over too soon to be measured one by one.
    several = max(1, round(0.25 * bench.pixels / 1e6 / megapixels(usual)))
    contenders = {predecessor.NAME: _predecessor(bench)}
    for stage in STAGES:
        job = bench.job(stage)
        contenders[stage] = bench.contender(job, batch)
        plain = replace(job, settings=ours.published(job.settings))
        contenders[f"{stage}, published form"] = bench.contender(plain, batch)
        contenders[f"{stage}, batch as in params.yaml"] = bench.contender(job, usual, steps=several)
        given = choose(job.settings.precision, bench.device, job.settings.discriminator.name)
        if bench.effort.thorough and given != job.precision:
            contenders[f"{stage}, precision as in params.yaml"] = bench.contender(
                replace(job, precision=given), batch
            )
    memory: dict[str, float] = {}
    if bench.kind == "cuda":
        contenders = {
            name: _watched(work, name, memory, bench.device) for name, work in contenders.items()
        }
    return in_turn(contenders, bench.effort.rounds), memory


def _predecessor(bench: Bench) -> Contender:
    networks = predecessor.build(bench.device)
    lr, hr = bench.whole()

    def step(lr: Tensor, hr: Tensor) -> None:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):  # as it sets it
            predecessor.step(networks, lr.to(bench.device), hr.to(bench.device))

    if bench.kind == "cuda":
        step(lr, hr)  # cuDNN tries its algorithms for these sizes
    else:
        step(lr[:, :, ::4, ::4].contiguous(), hr[:, :, ::4, ::4].contiguous())
    return timed(lambda: step(lr, hr), bench.pixels / 1e6, bench.device)


def _watched(work: Contender, name: str, memory: dict[str, float], device: str) -> Contender:
    """Return the contender, which also notes its peak GPU memory above what was taken before."""

    def run() -> float:
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        speed = work()
        used = torch.cuda.max_memory_allocated(device) - before
        memory[name] = max(memory.get(name, 0.0), float(used))
        return speed

    return run


def _variants(bench: Bench, notes: list[str]) -> Speeds:
    """Measure our steps in other precisions, layouts and compiled, on a part of the pixels."""
    batch = bench.batch(bench.pixels * bench.effort.share)
    contenders: dict[str, Contender] = {}
    for stage, adversarial in STAGES.items():
        job = bench.job(stage)
        contenders[stage] = bench.contender(job, batch)
        for name, precision in (("fp32", ours.FP32), ("bf16", ours.BF16)):
            same_generator = precision.generator == job.precision.generator
            if not same_generator or (adversarial and precision != job.precision):
                changed = replace(job, precision=precision)
                contenders[f"{stage}, all in {name}"] = bench.contender(changed, batch)
        contiguous = replace(job, layout=torch.contiguous_format)
        contenders[f"{stage}, NCHW"] = bench.contender(contiguous, batch)
        if bench.kind == "cuda":
            for name, mode in (("compiled", "default"), ("CUDA graphs", "reduce-overhead")):
                contenders[f"{stage}, {name}"] = bench.contender(job, batch, mode)
    if bench.kind != "cuda":
        notes.append("torch.compile, CUDA graphs, GPU memory: not measured, the device is no GPU")
    return in_turn(contenders, bench.effort.variant_rounds)


def _booked(bench: Bench, stage: str, limits: Ceilings) -> Booked:
    batch = bench.batch(bench.pixels * bench.effort.share)
    step = ours.ready(bench.job(stage), Hardware(bench.device), bench.content)
    step(batch)
    with Ledger(limits, bench.device) as ledger:
        step(batch)
    return Booked(dict(ledger.costs), len(batch.hr), megapixels(batch))


def _loop(bench: Bench) -> Speeds:
    """Measure pixel steps fed by the loader, and by one batch that is there already."""
    settings, material, cuda = bench.params.train, bench.material, bench.kind == "cuda"
    step = ours.ready(bench.job("pixel"), Hardware(bench.device), None)
    steps = LOOP_STEPS[bench.kind]
    crops_per_image = -(-(steps + 1) * settings.batch_size // len(material.rows))
    plan = replace(plan_of(settings), crops_per_image=crops_per_image)
    threads = environment.workers()

    def loader() -> float:
        batches = epoch_batches(
            material.packed, material.rows, plan, epoch=1, threads=threads, pinned=cuda
        )
        with contextlib.closing(batches):
            step(next(batches))
            return timed(lambda: step(next(batches)), 1, bench.device, steps)()

    usual = bench.crops(settings.batch_size)
    step(usual)
    resident = timed(lambda: step(usual), 1, bench.device, steps)
    rounds = LOOP_ROUNDS * bench.effort.variant_rounds
    return in_turn({"loader": loader, "resident": resident}, rounds)


def _groups(bench: Bench, notes: list[str]) -> tuple[dict[str, Speeds], dict[str, float]]:
    """Measure one process against two; return crops a second by stage, and peak memory."""
    threads = torch.get_num_threads()
    there = torch.cuda.device_count() if bench.kind == "cuda" else threads
    if there < 2 or bench.device.startswith("mps"):
        what = "thread" if bench.device == "cpu" else "GPU"
        notes.append(f"one process and two: not measured, there is one {what}")
        return {}, {}
    groups, memory = {}, 0.0
    for stage in list(STAGES) if bench.effort.thorough else ["pixel"]:
        compared = processes.compare(
            (1, 2),
            bench.kind,
            threads=threads,
            steps=bench.effort.process_steps,
            rounds=bench.effort.process_rounds,
            adversarial=STAGES[stage],
        )
        groups[stage] = compared.speeds
        memory = max(memory, compared.peak_memory)
    return groups, {"a training process": memory}
