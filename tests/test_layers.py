"""Imports in srpipe run one way, as CONTRIBUTING.md says."""

from pathlib import Path

import pytest

from tests.imports import direct_imports

ROOT = Path(__file__).resolve().parents[1]
GROUPS = (
    ("errors", "paths", "files", "seeds", "environment", "console"),
    ("settings", "images"),
    (
        "sources",
        "phantom",
        "resample",
        "consistency",
        "pairs",
        "packed",
        "splits",
        "difficulty",
        "jitter",
        "overlays",
        "crops",
    ),
    ("models", "tensorfile", "checkpoint", "inference", "losses"),
    ("scoring", "report"),
    ("training",),
    ("tracking", "cli"),
)
RANK = {name: rank for rank, group in enumerate(GROUPS) for name in group}
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "srpipe").rglob("*.py"))


def part(path: Path) -> str:
    """Return the module or package directly below srpipe that a file belongs to."""
    return path.parts[1].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_its_own_group_or_lower(module: Path) -> None:
    """Nothing below knows of what is above it, and nothing in srpipe knows of the stages."""
    imported = {path for path in direct_imports(ROOT, module) if path.name != "__init__.py"}
    assert all(path.parts[0] == "srpipe" for path in imported)
    if part(module) != "__init__":
        above = [path for path in imported if RANK[part(path)] > RANK[part(module)]]
        assert not above, f"{module} imports {above}"


def test_contributing_names_the_same_groups() -> None:
    """The table that people read lists every module, in this order."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("|")][2:]
    for group, row in zip(GROUPS, rows, strict=True):
        assert all(name in row for name in group), (group, row)
