"""dvc.yaml tells the truth: what a stage depends on, reads and writes is what it says there."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import transitive_imports

ROOT = Path(__file__).resolve().parents[2]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))[
    "stages"
]
# Files that a stage's folders hold and that it does not import: so many at most.
OVER_COVERED = 3
each_stage = pytest.mark.parametrize("stage", STAGES)


def declared(stage: str, *kinds: str) -> list[str]:
    """Return the paths (or parameters) of a stage's entries, their options left out."""
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def code(stage: str) -> list[str]:
    """Return the dependencies of a stage that are code of the project."""
    return [path for path in declared(stage, "deps") if path.startswith(("srpipe/", "stages/"))]


def covers(path: str, file: str) -> bool:
    """Say whether `path` is `file` or a folder above it."""
    return Path(file).is_relative_to(path)


def needed(stage: str) -> set[str]:
    """Return the files of code that a stage runs: its own and all that it imports."""
    start = Path("stages", f"{stage}.py")
    return {path.as_posix() for path in {start} | transitive_imports(ROOT, start)}


def test_one_name_for_stage_and_file() -> None:
    """Every stage has its file in stages/ and every file there is a stage."""
    files = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)


@each_stage
def test_the_command_runs_the_file_of_that_name(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"python -m stages.{stage}"


@each_stage
def test_code_dependencies_cover_all_that_the_stage_imports(stage: str) -> None:
    """An edit of any helper reruns the stages that use it."""
    listed = code(stage)
    missing = sorted(
        file for file in needed(stage) if not any(covers(path, file) for path in listed)
    )
    assert not missing, f"add to deps of {stage} in dvc.yaml: {missing}"


@each_stage
def test_no_code_dependency_is_idle(stage: str) -> None:
    """What is listed is there, is listed once, and the stage imports some of it."""
    listed = code(stage)
    idle = [path for path in listed if not any(covers(path, file) for file in needed(stage))]
    assert not idle, f"remove from deps of {stage} in dvc.yaml: {idle}"
    twice = [path for path in listed for other in listed if path != other and covers(other, path)]
    assert not twice
    assert len(listed) == len(set(listed))


@each_stage
def test_code_dependencies_hardly_cover_more(stage: str) -> None:
    """An edit that a stage does not use hardly ever reruns it."""
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in code(stage)
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    over = sorted(there - needed(stage))
    assert len(over) <= OVER_COVERED, f"{stage} does not use {over}: list files, not the folder"


@pytest.mark.parametrize(
    ("edited", "stages"),
    [
        ("srpipe/models/plain_sr.py", {"train", "evaluate"}),
        ("srpipe/phantom/spine.py", {"download"}),
        ("srpipe/settings/evaluate.py", {"download", "evaluate"}),
        ("srpipe/settings/datasets.py", {"download"}),
        ("srpipe/settings/split.py", {"download", "split"}),
        ("srpipe/training/losses.py", {"train"}),
        ("srpipe/metrics/mask.py", {"baseline", "train", "evaluate"}),
        ("srpipe/evaluation/gains.py", {"evaluate"}),
        ("srpipe/released/plain_sr_x4.safetensors", set()),
        ("srpipe/enhance/upscale.py", set()),
        ("srpipe/cli/main.py", set()),
        ("srpipe/__init__.py", set()),
    ],
)
def test_an_edit_reruns_what_uses_it_and_no_other(edited: str, stages: set[str]) -> None:
    """A generator does not rerun the baseline; a phantom's rib does not train again."""
    assert (ROOT / edited).is_file()
    assert {stage for stage in STAGES if any(covers(p, edited) for p in code(stage))} == stages


@each_stage
def test_data_dependencies_are_outputs_of_earlier_stages(stage: str) -> None:
    """Nothing that DVC follows comes from nowhere; params.yaml is followed by the first stage."""
    order = list(STAGES)
    made = {
        out
        for earlier in order[: order.index(stage)]
        for out in declared(earlier, "outs", "metrics", "plots")
    }
    data = sorted(set(declared(stage, "deps")) - set(code(stage)))
    assert [path for path in data if not any(covers(out, path) for out in made)] == (
        ["params.yaml"] if stage == "download" else []
    )


def test_the_first_stage_follows_the_whole_of_params() -> None:
    """It checks every setting, so a bad one stops `dvc repro` before anything is touched."""
    assert "params.yaml" in declared("download", "deps")
    assert not any("params.yaml" in declared(stage, "deps") for stage in list(STAGES)[1:])


def settings_read(stage: str) -> set[str]:
    """Return the settings that a stage reads, as dotted names, from its source."""
    source = (ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    sections = {
        node.args[0].value
        for node in nodes
        if isinstance(node, ast.Call)
        and _called(node) == "load_section"
        and isinstance(node.args[0], ast.Constant)
    }
    # The first stage checks the whole, and uses what it names.
    named = {
        ast.unparse(node).removeprefix("params.")
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("params.")
    }
    return {"data.name" if name == "data" else name for name in sections} | {
        "datasets.*" if name.startswith("datasets.") else name
        for name in named
        if not any(other.startswith(f"{name}.") for other in named)
    }


def _called(node: ast.AST) -> str | None:
    """Return the last name of the function that a call node calls."""
    if not isinstance(node, ast.Call):
        return None
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


@each_stage
def test_parameters_are_those_the_stage_reads(stage: str) -> None:
    """A changed setting reruns the stages that use it, and no other."""
    listed = [name.replace("${data.name}", "*") for name in declared(stage, "params")]
    read = settings_read(stage)

    def within(listed_name: str, name: str) -> bool:
        return f"{name}.".startswith(f"{listed_name}.")

    add = sorted(name for name in read if not any(within(each, name) for each in listed))
    remove = [each for each in listed if not any(within(each, name) for name in read)]
    assert not add, f"add to params of {stage} in dvc.yaml: {add}"
    assert not remove, f"remove from params of {stage} in dvc.yaml: {remove}"


def test_only_stages_read_the_parameters() -> None:
    """What srpipe is given it is given as arguments, so the stages' sources tell all of it."""
    asking = {
        path.relative_to(ROOT).as_posix()
        for folder in ("srpipe", "stages")
        for path in (ROOT / folder).rglob("*.py")
        if not path.is_relative_to(ROOT / "srpipe" / "settings")
        and any(
            isinstance(node, ast.Call)
            and _called(node) in ("load_params", "load_section", "read_params")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    # The results pages read the user's folder as the stage download does.
    assert asking - {"srpipe/evaluation/comparison/examine.py"} == {
        f"stages/{stage}.py" for stage in STAGES
    }


def test_all_parameters_are_read_only_to_be_recorded() -> None:
    """`read_params` is for the MLflow run, where every setting is shown."""
    for stage in STAGES:
        tree = ast.parse((ROOT / "stages" / f"{stage}.py").read_text(encoding="utf-8"))
        above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if _called(node) == "read_params":
                assert _called(above[node]) == "training_run"
