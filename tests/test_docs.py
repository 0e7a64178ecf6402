"""The commands in the documentation are accepted as they stand there, and those that can are run.

A real shell reads them, quotes, comments and all; stubs in its PATH note what each program would be
given.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker
from dvc.cli import parse_args
from dvc.utils.hydra import apply_overrides
from PIL import Image

from srpipe.cli.main import _parser, main
from srpipe.core.paths import from_user
from srpipe.formats.raster import encode_png, read_file, read_values
from srpipe.settings.params import Params, load_params
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/guide.md", "docs/plain_sr.md", "docs/benchmarks.md")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PROGRAMS = ("dask", "dvc", "make", "mlflow", "pip", "python", "srpipe")
SHELL = (*PROGRAMS, "source", "export")
# The pages whose `srpipe` commands are run, and what these write.
RUN_IN = {"README.md": ["large/chest.png"], "docs/guide.md": ["scores.json", "models/mixed.pt"]}
# What the blocks that are neither commands nor code begin with.
NO_COMMANDS = {
    "README.md": ["dvc.yaml"],
    "docs/guide.md": ["train.epochs:"],
    "docs/plain_sr.md": ["LR"],
}
OWN = "~/Röntgen bilder (a), [b] {c}=d: #1"


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced block of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def scripts(page: str) -> list[str]:
    """Return what a page gives to type: blocks of commands, and commands within the text."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(rf"`((?:{'|'.join(PROGRAMS)}) [^`]+)`", prose)
    fenced = [content for _, content in blocks(page) if content.split()[0] in SHELL]
    return fenced + [" ".join(each.split()) for each in inline]


def words(script: str, folder: Path) -> list[list[str]]:
    """Return the words of each call of a program, as a shell in a clone hands them over."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        for name in PROGRAMS:
            stub = tools / name
            stub.write_text(f'#!/bin/sh\nprintf "%s\\0" {name} "$@" "" >> "$CALLS"\n')
            stub.chmod(0o755)
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/activate").touch()
        shutil.copytree(ROOT / "recipes", folder / "recipes")
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "CALLS": str(calls),
    }
    subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, check=True)
    # An empty word ends each call: no command in the documentation has one.
    return [call.split("\0") for call in calls.read_text(encoding="utf-8").split("\0\0")[:-1]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    return tmp_path


def settings(overrides: list[str]) -> Params:
    """Return the settings that DVC's own code makes of `-S`, read by ours."""
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    apply_overrides("params.yaml", overrides)
    return load_params()


def accepted(program: str, arguments: list[str]) -> None:
    """Assert that a program takes what it is given, without running it."""
    match program:
        case "dask":
            name, *rest = arguments
            main_of = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
            main_of[name].make_context(name, rest)
        case "dvc":
            given: Any = parse_args(arguments)
            assert set(getattr(given, "targets", None) or []) <= set(STAGES)
            settings(getattr(given, "set_param", None) or [])
        case "make":
            command = ["make", "--dry-run", "--directory", str(ROOT), *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        case "mlflow":
            assert arguments == ["ui"]
        case "pip":
            project = tomllib.loads(text("pyproject.toml"))["project"]
            known = {".", *(f".[{extra}]" for extra in project["optional-dependencies"])}
            assert arguments[0] == "freeze" or (arguments[0] == "install" and arguments[1] in known)
        case "python":
            assert arguments[0] == "-m"
            assert find_spec(arguments[1]) is not None
        case "srpipe":
            if len(arguments) == 1:  # spoken of by its name alone
                with pytest.raises(SystemExit, match=r"^0$"):
                    main([*arguments, "--help"])
            else:
                _parser().parse_args(arguments)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_accepted(
    page: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the program itself: DVC's parser and ours, make without running, our settings."""
    seen = 0
    for script in scripts(page):
        for program, *arguments in words(script, folder):
            accepted(program, arguments)
            seen += 1
    assert seen
    capsys.readouterr()


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_table_of_experiments_keeps_two_scores_and_the_parameters(
    page: str, folder: Path
) -> None:
    """No more fits a terminal of 80 columns; `--drop` matches beginnings of DVC's columns."""
    shown = [
        arguments
        for script in scripts(page)
        for program, *arguments in words(script, folder)
        if program == "dvc" and arguments[:2] == ["exp", "show"] and "--drop" in arguments
    ]
    (dropped,) = {arguments[arguments.index("--drop") + 1] for arguments in shown}
    metrics = [json.loads(text(f"metrics/{name}.json")) for name in ("validation", "test")]
    columns = ["Experiment", "State", *metrics[0], *metrics[1], "train.learning_rate", "data.name"]
    hidden = ["Created", "Executor", "data/packed", "srpipe/core", "stages/train.py", "params.yaml"]
    kept = [name for name in [*columns, *hidden] if not re.match(dropped, name)]
    assert kept == [
        "Experiment",
        "State",
        "val_masked",
        "gain_masked",
        "train.learning_rate",
        "data.name",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_known_kind(page: str) -> None:
    """So that no block of commands is passed over."""
    others = [
        content.split()[0]
        for language, content in blocks(page)
        if not language and content.split()[0] not in SHELL
    ]
    assert others == NO_COMMANDS.get(page, [])


@pytest.mark.parametrize("page", RUN_IN)
def test_our_own_commands_do_what_they_say(
    page: str, folder: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run for real, in the order of the page, in a clone with small images and small networks."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    for place in ("small/chest.png", "home/radiographs/a.png"):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(encode_png(make_image(0, 64, 80)))
    (folder / "models").mkdir()
    for seed, name in enumerate(("pixel", "generator")):
        save_plain_sr(folder / "models" / f"{name}.pt", seed)
    shutil.copytree(ROOT / "metrics", folder / "metrics")
    ran = []
    for script in scripts(page):
        for program, *arguments in words(script, folder):
            if (
                program == "srpipe"
                and arguments[0] != "export"
                and (len(arguments) > 1 or arguments == ["show"])
            ):
                main(arguments)
                ran.append(arguments[0])
    assert len(ran) >= 2
    assert [name for name in RUN_IN[page] if not (folder / name).is_file()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/phantom.md"])
def test_the_examples_in_python_run(page: str, folder: Path, make_image: MakeImage) -> None:
    """As they stand; what they say of the result's shape and type is so."""
    (folder / "small").mkdir()
    (folder / "small/chest.png").write_bytes(encode_png(make_image(0, 64, 80)))
    ((_, code),) = [each for each in blocks(page) if each[0] == "python"]
    made: dict[str, Any] = {}
    exec(code, made)
    if page == "README.md":
        assert read_file(Path("large.png"), "minmax").shape == (256, 320)
        deep = make_image(0, 64, 80).astype(np.uint16) * 257
        Image.fromarray(deep).save(folder / "small/chest.png")
        exec(code, made)
        large = read_values(Path("large.png").read_bytes(), "large.png")
        assert (large.bits, large.array.shape) == (16, (256, 320))
    else:
        assert (made["image"].shape, made["image"].dtype) == ((1024, 1024), np.uint8)
        assert len(made["rows"]) == len(made["plan"])


def test_the_settings_for_the_nih_are_valid(folder: Path) -> None:
    """The guide's block of them: every key exists, every value is allowed."""
    (block,) = [each for _, each in blocks("docs/guide.md") if each.startswith("train.epochs:")]
    pairs = re.findall(r"(train(?:\.\w+)+): (\S+)", block)
    assert len(pairs) == 10
    made = settings(["data.name=nih", *(f"{key}={value}" for key, value in pairs)])
    assert (made.train.epochs, made.train.adversarial.crops.size) == (100, 192)
    assert made.train.generator.bicubic_skip is False


# ------------------------------------------------------------------ paths


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
@pytest.mark.parametrize("path", [OWN, "~/radiographs", "/data/12", "C:/x y", "Bilder/[1], (2)"])
def test_any_path_can_be_given_in_the_form_that_the_pages_show(
    page: str, path: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~`, umlauts, blanks, brackets, commas: shell, DVC and our settings leave it as it is."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    (form,) = {
        line.partition(" # ")[0].strip()
        for script in scripts(page)
        for line in script.splitlines()
        if line.startswith("dvc exp run -S data.name=folder") and "~/radiographs" in line
    }
    ((_, *arguments),) = words(form.replace("~/radiographs", path), folder)
    made = settings(parse_args(arguments).set_param)
    assert made.data.name == "folder"
    assert made.datasets.folder.path == path
    wanted = folder / "home" / path[2:] if path.startswith("~/") else folder / path
    assert from_user(made.datasets.folder.path) == wanted


def test_a_path_with_an_apostrophe_can_be_given(folder: Path) -> None:
    """With the quotes the other way round, as the guide says."""
    assert """`'datasets.folder.path="..."'`""" in text("docs/guide.md")
    given = """dvc exp run -S 'datasets.folder.path="Anna'"'"'s ü, [1]"'"""
    ((_, *arguments),) = words(given, folder)
    assert settings(parse_args(arguments).set_param).datasets.folder.path == "Anna's ü, [1]"


def test_the_tests_of_the_fault_table_are_there() -> None:
    """Every row names some, in the file that it says."""
    rows = [row for row in text("docs/faults.md").splitlines() if row.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| fault ")]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.rsplit(" | ", 1)[1])
        assert named, row
        for file, name in named:
            assert f"\ndef {name}(" in text(file), (file, name)
