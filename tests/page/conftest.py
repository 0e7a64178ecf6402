"""What tests of the page share: one server; skipped where there is none."""

from collections.abc import Iterator

import pytest

from tests.page.serving import served


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the page is served."""
    pytest.importorskip("streamlit", reason="the page needs the extra app: streamlit is absent")
    with served(tmp_path_factory.mktemp("home")) as where:
        yield where
