"""An upload is measured in a real browser: seconds, and CPU seconds of either side."""

import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("streamlit", reason="the page needs the extra app: streamlit is absent")
pytest.importorskip("playwright", reason="playwright is not installed")


def test_an_upload_costs_time_on_both_sides() -> None:
    """Each is told, and some of it is spent; SR is there before all is."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not there: apt install chromium")
    # In its own process: Playwright has one loop in each, which is that of other tests here.
    command = [sys.executable, "-m", "benchmarks.page", "--uploads", "1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = [float(each) for each in re.findall(r"(\d+\.\d\d) \(", told)]
    assert len(seconds) == 4
    assert all(0 < each < 60 for each in seconds)
    assert seconds[0] <= seconds[1]
