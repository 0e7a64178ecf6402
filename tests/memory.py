"""A process whose memory is really limited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# After everything is loaded and has run once, so that only what follows meets the limit.
LIMIT = """
import resource
from pathlib import Path
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {spare}, used + {spare}))
"""


def limited(before: str, spare: int, then: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python code in a folder, the part `then` with at most `spare` more bytes of memory."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system has no /proc, which tells how much memory is used")
    return subprocess.run(
        [sys.executable, "-c", before + LIMIT.format(spare=spare) + then],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "OMP_NUM_THREADS": "1",
            "SRPIPE_DEVICE": "cpu",
            "SRPIPE_WORKERS": "1",
            "SRPIPE_MLFLOW": "off",
        },
        capture_output=True,
        text=True,
        check=False,
    )
