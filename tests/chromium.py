"""A headless Chromium for the tests of what is seen in a browser."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's; skip the test, with the reason, where it or playwright is not there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not there: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        # As root, and in containers, Chromium has no sandbox of its own.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()
