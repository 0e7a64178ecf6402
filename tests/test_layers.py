"""Imports in srpipe run one way, as the table in CONTRIBUTING.md says."""

import ast
from pathlib import Path

import pytest

from tests.imports import direct_imports

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "srpipe").rglob("*.py") if path.name != "__init__.py"
)


def table() -> list[list[str]]:
    """Return the packages of each layer, from the lowest up, as CONTRIBUTING.md lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    return [row[1].replace("`", "").split() for row in rows]


RANK = {name: rank for rank, names in enumerate(table()) for name in names}


def package(path: Path) -> str:
    """Return the package directly below srpipe that a file belongs to."""
    return path.parts[1]


def test_the_table_names_every_package_and_no_module_is_loose() -> None:
    """srpipe/ holds packages, and beside them only its face."""
    there = [path for path in (ROOT / "srpipe").iterdir() if path.name != "__pycache__"]
    assert sorted(RANK) == sorted(path.name for path in there if path.is_dir())
    assert {path.name for path in there if path.is_file()} == {"__init__.py", "py.typed"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_its_own_package_or_lower_layers(module: Path) -> None:
    """Nothing below knows of what is above or beside it, nor of the stages."""
    imported = direct_imports(ROOT, module)
    assert all(path.parts[0] == "srpipe" for path in imported)
    wrong = [
        path.as_posix()
        for path in imported
        if package(path) != package(module) and RANK[package(path)] >= RANK[package(module)]
    ]
    assert not wrong, f"{module} imports {wrong}"


def test_packages_have_no_code_of_their_own() -> None:
    """Importing a module runs that module and what it names, and nothing by the way."""
    for path in (ROOT / "srpipe").rglob("__init__.py"):
        if path != ROOT / "srpipe" / "__init__.py":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert [type(node) for node in body] == [ast.Expr], path
