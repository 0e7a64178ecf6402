"""What `benchmarks.training` found: as JSON, as tables, as panels of a figure."""

from typing import Any

import torch

from benchmarks import figures, loading, predecessor
from benchmarks.ceilings import Cost
from benchmarks.loading import Loading
from benchmarks.measure import Bench
from benchmarks.results import Measured
from benchmarks.tables import table
from benchmarks.turns import Spread, spread

# What we want at least of `train_step_ratio`.
WANTED = {"cpu": 4, "cuda": 10}


def as_json(found: Measured, loaded: Loading, bench: Bench) -> dict[str, Any]:
    """Return the medians by name, and the quartiles of those that have them."""
    named: dict[str, Spread] = {}
    for form in found.forms:
        key = "".join(f"_{word}" for word in form.replace(".", " ").strip(", ").split())
        for name, value in found.over_predecessor(form).items():
            named[f"{'train' if name == 'mix' else name}_step_ratio{key}"] = value
    for stage, value in found.over_one_process().items():
        named[f"two_processes_ratio_{stage}"] = value
    named["waiting_for_data"] = found.waiting
    loader = loading.as_json(loaded)
    quartiles = {name: [round(each.low, 4), round(each.high, 4)] for name, each in named.items()}
    limits = found.ceilings
    return {
        **_medians(named),
        **loader,
        "quartiles": {**quartiles, **loader["quartiles"]},
        "variants": _medians(found.over_own()),
        "times_the_floor": {
            stage: round(found.seconds(stage) / booked.floor, 4)
            for stage, booked in found.booked.items()
        },
        "megapixels_per_second": _medians(
            {name: spread(values) for name, values in found.steps.items()}
        ),
        "ceilings": {
            "fp32_gflops": round(limits.fp32 / 1e9, 1),
            "bf16_gflops": round(limits.bf16 / 1e9, 1),
            "copy_gb_per_second": round(limits.copy / 1e9, 2),
        },
        "peak_memory_gb": {name: round(each / 1e9, 3) for name, each in found.memory.items()},
        "rounds": bench.effort.rounds,
        "device": bench.device,
        "threads": torch.get_num_threads(),
        "not_measured": list(found.notes),
    }


def _medians(spreads: dict[str, Spread]) -> dict[str, float]:
    return {name: round(each.median, 4) for name, each in spreads.items()}


def text(found: Measured, loaded: Loading, bench: Bench) -> str:
    """Return what was found as Markdown; spreads are medians with quartiles over the rounds."""
    parts = [
        _steps_text(found, bench),
        _variants_text(found),
        *(_floors_text(found, stage) for stage in found.booked),
        _machine_text(found),
        loading.text(loaded),
    ]
    return "\n\n".join(parts)


def headline(found: Measured, loaded: Loading, bench: Bench) -> str:
    """Return what is wanted beside what was found, a line each."""
    lines = {
        "train_step_ratio": (found.over_predecessor()["mix"].text(), WANTED[bench.kind]),
        "loader_ratio": (loaded.ratio.text(0), loading.WANTED_RATIO),
        "crops_per_second_per_core": (loaded.crops.text(0), loading.WANTED_CROPS),
    }
    return "\n".join(
        f"{name} {value}, wanted: at least {wanted}" for name, (value, wanted) in lines.items()
    )


def panels(found: Measured, bench: Bench) -> list[figures.Bars | figures.Floors]:
    """Return the panels of the figure."""
    booked = found.booked["pixel"]
    kinds = sorted(booked.costs.items(), key=lambda each: -each[1].seconds)
    unit = 1e3 / booked.megapixels
    return [
        figures.Bars(
            f"Our step against the predecessor's ({bench.kind})",
            "times as many HR pixels a second",
            {
                name + form: value
                for form in found.forms
                for name, value in found.over_predecessor(form).items()
            },
            WANTED[bench.kind],
        ),
        figures.Floors(
            "Operations of our pixel step",
            "ms for an HR megapixel",
            {name: cost.seconds * unit for name, cost in kinds},
            {name: cost.floor * unit for name, cost in kinds},
        ),
    ]


def _steps_text(found: Measured, bench: Bench) -> str:
    settings, side = bench.params.train, bench.material.side
    precision = bench.job("pixel").precision.record()
    words = {
        "pixel": "ours, pixel step",
        "adversarial": "ours, adversarial step",
        "mix": f"**ours, {':'.join(str(part) for part in found.parts.values())} of them**",
    }
    first = f"predecessor, {bench.images} x {side}x{side}, RGB, fp32"
    rows = [[first, spread(found.steps[predecessor.NAME]).text(3), "1"]]
    for form in found.forms:
        for name, value in found.over_predecessor(form).items():
            speeds = found.mix(form) if name == "mix" else found.steps[name + form]
            rows.append([words[name] + form, spread(speeds).text(3), value.text()])
    lines = table(["a step on as many HR pixels", "megapixels a second", "ratio"], rows)
    return (
        f"{lines}\n\nOurs: {settings.generator.name}, {settings.generator.channels} channel(s), "
        f"crops of {settings.crop}x{settings.crop}; generator in {precision['generator']}, "
        f"discriminator and content network in {precision['discriminator']}. Device "
        f"{bench.device}, threads: {torch.get_num_threads()}."
    )


def _variants_text(found: Measured) -> str:
    rows = [[name, each.text()] for name, each in found.over_own().items()]
    rows += [
        [f"{stage}, two processes", each.text()] for stage, each in found.over_one_process().items()
    ]
    return table(["our step in another form", "times as fast"], rows)


def _floors_text(found: Measured, stage: str) -> str:
    booked = found.booked[stage]
    head = [
        f"{stage} step, for an HR megapixel",
        "ms",
        "GFLOP",
        "GB",
        "arithmetic, ms",
        "bytes, ms",
        "times the floor",
    ]
    kinds = sorted(booked.costs.items(), key=lambda each: -each[1].seconds)
    rows = [_cost_row(name, cost, booked.megapixels) for name, cost in kinds]
    rows.append(_cost_row("**all**", booked.total, booked.megapixels))
    seconds = found.seconds(stage)
    return (
        f"{table(head, rows)}\n\nIn steps of {booked.crops} crops. The whole step takes "
        f"{seconds * 1e3:,.0f} ms for an HR megapixel, {seconds / booked.floor:.1f} times its "
        "floor."
    )


def _cost_row(name: str, cost: Cost, size: float) -> list[str]:
    return [
        name,
        f"{cost.seconds / size * 1e3:,.1f}",
        f"{cost.operations / size / 1e9:,.1f}",
        f"{cost.moved / size / 1e9:,.2f}",
        f"{cost.arithmetic / size * 1e3:,.1f}",
        f"{cost.bandwidth / size * 1e3:,.1f}",
        f"{cost.seconds / cost.floor:,.1f}" if cost.floor else "",
    ]


def _machine_text(found: Measured) -> str:
    limits = found.ceilings
    rows = [
        ["matrix product, float32, GFLOP/s", f"{limits.fp32 / 1e9:,.0f}"],
        ["matrix product, bfloat16, GFLOP/s", f"{limits.bf16 / 1e9:,.0f}"],
        ["copy, GB/s read and written", f"{limits.copy / 1e9:,.1f}"],
        ["time in which the device waits for data", _percent(found.waiting)],
        *(
            [f"peak memory, {name}, GB", f"{each / 1e9:,.2f}"]
            for name, each in found.memory.items()
        ),
    ]
    return "\n\n".join([table(["the machine", ""], rows), *(f"{note}." for note in found.notes)])


def _percent(value: Spread) -> str:
    return f"{value.median:.1%} ({value.low:.1%} to {value.high:.1%})"
