"""The container file copies what is there, and serves the page without rights.

That an engine builds it is not tested; `.ci/check-page` takes its steps without one.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "app/Dockerfile").read_text(encoding="utf-8")


def test_what_is_copied_is_there_and_not_kept_from_it() -> None:
    """Each source exists, and .dockerignore, which leaves all else out, lets it in."""
    let_in = (ROOT / "app/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert sorted(f"!{source}" for source in sources) == sorted(
        line for line in let_in if line.startswith("!")
    )
    assert all((ROOT / source).exists() for source in sources)
    assert let_in[0] == "*"


def test_it_runs_the_page_as_nobody() -> None:
    """For other machines, which .streamlit/config.toml alone would not serve."""
    *_, last = TEXT.split("\nFROM ")
    assert re.search(r"^USER 65534:65534$", last, re.MULTILINE)
    assert '"run", "app/page.py", "--server.address=0.0.0.0"]' in last.splitlines()[-1]
