"""`make` notices what is missing or was moved before it installs or runs anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")

# Makes real virtual environments, quickly, whose pip only notes that it was called.
PYTHON = """\
#!/bin/sh
test "$1 $2" = "-m venv" || exec "{python}" "$@"
"{python}" "$@" --without-pip
for last; do :; done
for packages in "$last"/lib/python*/site-packages; do
  mkdir -p "$packages/pip"
  echo 'import sys; open("pip.log", "a").write(sys.prefix + "\\\\n")' > "$packages/pip/__main__.py"
done
printf '#!/bin/sh\\nexit 0\\n' > "$last/bin/dvc"
printf '#!/bin/sh\\nexec "%s/bin/python" -c "import sys; print(sys.prefix)"\\n' "$PWD/$last" \
  > "$last/bin/srpipe"
chmod +x "$last/bin/dvc" "$last/bin/srpipe"
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return an unpacked archive of the files that `make` needs, and a quick Python."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    return folder


def make(folder: Path, *arguments: str, path: str | None = None) -> tuple[int, str]:
    """Run make; return its exit code and all that it printed."""
    foreign = ("GIT_", "VENV", "PYTHON", "MAKE", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    program = shutil.which("make")
    assert program
    done = subprocess.run(
        [program, "--no-print-directory", f"PYTHON={folder.parent / 'python'}", *arguments],
        cwd=folder,
        env={
            **kept,
            "PATH": path or os.environ["PATH"],
            # A repository around the place of the tests is not the project's.
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
            "GIT_CONFIG_GLOBAL": os.devnull,
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


def installed(folder: Path) -> list[str]:
    """Return the environments that pip was called for."""
    log = folder / "pip.log"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


# ------------------------------------------------------------------ git


def commit(folder: Path) -> None:
    """Make the folder a repository, as the message says."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    who = {f"GIT_{name}": "a@b" for name in names}
    command = "git init --quiet && git add . && git commit --quiet -m 'Start'"
    subprocess.run(command, shell=True, cwd=folder, env={**os.environ, **who}, check=True)


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")


@needs_git
def test_an_archive_is_told_before_anything_is_installed(archive: Path) -> None:
    """What, why, and what to do; done so, the pipeline runs."""
    code, told = make(archive, "repro", "--jobs=4")
    assert code != 0
    assert "error: this folder is no git repository with a commit" in told
    assert "needs (fatal: not a git repository" in told
    assert "git init && git add . && git commit" in told
    assert not (archive / ".venv").exists()
    subprocess.run(["git", "init", "--quiet"], cwd=archive, check=True)
    code, told = make(archive, "repro")
    assert code != 0
    assert "no git repository with a commit" in told
    assert not (archive / ".venv").exists()
    commit(archive)
    code, told = make(archive, "repro")
    assert (code, installed(archive)) == (0, [str(archive / ".venv")]), told
    assert "Running the pipeline" in told


def test_a_machine_without_git_is_told(archive: Path, tmp_path: Path) -> None:
    """As above; what needs no git does without."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "test", "cat", "mkdir", "chmod", "env", "nproc", "touch", "grep", "sed"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    code, told = make(archive, "repro", path=str(tools))
    assert code != 0
    assert "error: git is not installed" in told
    assert not (archive / ".venv").exists()
    code, told = make(archive, "install", path=str(tools))
    assert (code, installed(archive)) == (0, [str(archive / ".venv")]), told


# ------------------------------------------------------------------ a moved environment


def test_an_environment_is_made_once(archive: Path) -> None:
    """And again if it is not finished, or if what it holds has changed."""
    for _ in range(2):
        assert make(archive, "install")[0] == 0
        assert len(installed(archive)) == 1
    (archive / ".venv" / "installed").unlink()
    assert make(archive, "install")[0] == 0
    assert len(installed(archive)) == 2


@pytest.mark.parametrize("copied", [False, True])
def test_a_moved_environment_is_made_again(archive: Path, copied: bool) -> None:
    """With what is told; its commands then run it, not what is left in the old place."""
    assert make(archive, "install")[0] == 0
    moved = archive.with_name("moved")
    if copied:
        shutil.copytree(archive, moved, symlinks=True)
    else:
        archive.rename(moved)
    code, told = make(moved, "install")
    assert code == 0
    assert ".venv was made in another place and does not work here: it is made again" in told
    assert installed(moved) == [str(archive / ".venv"), str(moved / ".venv")]
    shown = subprocess.run([moved / ".venv/bin/srpipe"], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == str(moved / ".venv")
    code, told = make(moved, "install")
    assert (code, len(installed(moved))) == (0, 2)
    assert "made again" not in told


def test_an_environment_elsewhere_is_given_the_moved_folder(archive: Path, tmp_path: Path) -> None:
    """It stays, and the project is installed in it from its new place."""
    venv = tmp_path / "venv"
    assert make(archive, "install", f"VENV={venv}")[0] == 0
    (venv / "kept").touch()
    moved = archive.rename(archive.with_name("moved"))
    for _ in range(2):
        assert make(moved, "install", f"VENV={venv}")[0] == 0
        assert installed(moved) == [str(venv)] * 2
    assert (venv / "kept").exists()


def test_a_link_to_the_folder_is_no_move(archive: Path) -> None:
    """The same place under another name."""
    assert make(archive, "install")[0] == 0
    link = archive.with_name("link")
    link.symlink_to(archive)
    assert make(link, "install", f"VENV={link / '.venv'}")[0] == 0
    assert len(installed(archive)) == 1
