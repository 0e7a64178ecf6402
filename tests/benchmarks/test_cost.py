"""What a command costs is that of all its processes."""

import sys
from pathlib import Path

import pytest

from benchmarks.cost import CommandError, clean_environment, measured

# Holds 100 MB and computes for 0.4 s of CPU time.
BUSY = """
import time
held = bytearray(b"1") * 100_000_000
while time.process_time() < 0.4: pass
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}], check=True)"


def test_the_cost_is_that_of_all_processes(tmp_path: Path) -> None:
    """A child's CPU time and memory count, and what is printed is kept."""
    log = tmp_path / "log"
    code = "print('began')\n" + PARENT
    cost = measured([sys.executable, "-c", code], tmp_path, clean_environment(), log)
    assert 0.3 < cost.cpu < 5
    assert cost.seconds > 0.3
    assert 100e6 < cost.memory < 200e6
    assert log.read_text(encoding="utf-8") == "began\n"


def test_a_command_is_stopped_when_it_has_come_far_enough(tmp_path: Path) -> None:
    """With what it started, which is no failure."""
    code = "import pathlib, time; pathlib.Path('there').touch(); time.sleep(600)"
    there = tmp_path / "there"
    cost = measured(
        [sys.executable, "-c", code], tmp_path, clean_environment(), tmp_path / "log", there.exists
    )
    assert cost.seconds < 300


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    """With its exit code and the last that it printed."""
    command = [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"]
    with pytest.raises(CommandError, match=r"(?s)ended with 3:\nno luck"):
        measured(command, tmp_path, clean_environment(), tmp_path / "log")
