"""The memory of one forward pass, measured in a process of its own: prints bytes.

    python -m benchmarks.peak_memory LR_SIDE [WEIGHTS]

Without weights it is the published generator. Before the pass the process has done a small one, so
that libraries are loaded; what it then holds does not count.
"""

import resource
import sys
from pathlib import Path

import torch

from benchmarks import predecessor
from srpipe.core import console
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import load_generator


@console.entry_point
def main() -> None:
    """Measure one pass."""
    side, *weights = sys.argv[1:]
    torch.set_num_threads(1)
    model: torch.nn.Module = (
        load_generator(Path(weights[0])).model if weights else predecessor.Generator().eval()
    )
    channels = model.channels if isinstance(model, SRGenerator) else 3
    model = model.to(memory_format=torch.channels_last)
    small, whole = (
        torch.rand((1, channels, length, length)).contiguous(memory_format=torch.channels_last)
        for length in (32, int(side))
    )
    with torch.inference_mode():
        model(small)
        _forget_peak()
        before = peak()
        model(whole)
    print(peak() - before)


def _forget_peak() -> None:
    """Set the peak back to what is held now; Linux alone can, elsewhere that of imports counts."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def peak() -> int:
    """Return the most memory that this process held since its start or `_forget_peak`, in bytes.

    Not by getrusage on Linux: its peak is at least that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main()
