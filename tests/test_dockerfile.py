"""The pipeline's container file installs what the stages need, and runs the clone mounted in it.

That an engine builds it is not tested; its steps are held against what they name.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_what_is_copied_is_there_and_not_kept_from_it() -> None:
    """Each source exists, and .dockerignore, which leaves all else out, lets it in."""
    let_in = (ROOT / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copies = re.findall(r"^COPY (.+) \S+$", TEXT, re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert sorted(f"!{source}" for source in sources) == sorted(
        line for line in let_in if line.startswith("!")
    )
    assert all((ROOT / source).exists() for source in sources)
    assert let_in[0] == "*"


def test_the_extras_that_it_installs_are_there() -> None:
    """With the pinned versions, as `make` does, and for a Python that the project takes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"--constraint constraints\.txt '\.\[(.+)\]'", TEXT)
    assert "pipeline" in extras.split(",")
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert re.search(r"^FROM python:3\.11-slim$", TEXT, re.MULTILINE)
    assert project["requires-python"] == ">=3.11"


def test_the_stages_run_from_the_clone_alone(tmp_path: Path) -> None:
    """The working directory is where Python finds the code: none is installed in the image."""
    assert "pip uninstall --yes srpipe" in TEXT
    assert TEXT.rstrip().endswith('WORKDIR /clone\nCMD ["dvc", "repro"]')
    (tmp_path / "srpipe").mkdir()
    (tmp_path / "srpipe" / "__init__.py").touch()
    (tmp_path / "srpipe" / "here.py").write_text("print(__file__)")
    done = subprocess.run(
        [sys.executable, "-m", "srpipe.here"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "srpipe" / "here.py")


@pytest.mark.parametrize("gpu", [False, True])
def test_its_commands_mount_the_clone_for_its_owner(gpu: bool) -> None:
    """So that what the stages write belongs to them, and git trusts the folder."""
    commands = re.findall(r"^#   (docker run .+)$", TEXT, re.MULTILINE)
    (command,) = [each for each in commands if ("--gpus all" in each) is gpu]
    assert '--user "$(id -u):$(id -g)"' in command
    assert '--volume "$PWD:/clone"' in command
    assert "srpipe-pipeline" in command
    assert "docker build --tag srpipe-pipeline ." in TEXT
