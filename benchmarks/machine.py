"""The machine that a benchmark ran on, in words: its figures hold for no other kind."""

import platform
from pathlib import Path

import torch


def cpu() -> str:
    """Return the CPU's model, what it multiplies with, and how many threads torch uses."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor() or platform.machine())
    units = (
        "with matrix units for bf16 (AMX)"
        if torch.cpu._is_amx_tile_supported()
        else f"without matrix units ({torch.backends.cpu.get_cpu_capability()})"
    )
    return f"{model}, {units}, {torch.get_num_threads()} thread(s)"
