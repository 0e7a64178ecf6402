"""What tests of the page share: one server and one browser; skipped where there is none."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.serving import served


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the page is served."""
    pytest.importorskip("streamlit", reason="the page needs the extra app: streamlit is absent")
    with served(tmp_path_factory.mktemp("home")) as where:
        yield where


@pytest.fixture(scope="package")
def browser(address: str) -> Iterator[Any]:
    """Return a headless Chromium, Debian's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not there: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        # As root, and in containers, Chromium has no sandbox of its own.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()
