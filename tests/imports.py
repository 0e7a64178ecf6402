"""Which project modules a module needs, read from its source without importing anything."""

import ast
from pathlib import Path

PACKAGES = ("srpipe", "stages", "app")


def transitive_imports(root: Path, start: Path) -> set[Path]:
    """Return every project file that `start` imports, directly or not, relative to `root`.

    Imports inside functions count. Packages' `__init__.py` do not: tests/test_layers.py proves that
    they hold no code, but for the face `srpipe/__init__.py`, which imports nothing until asked.
    """
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting += direct_imports(root, path)
    return seen - {start}


def direct_imports(root: Path, path: Path) -> list[Path]:
    """Return the project files that `path` imports, relative to `root`."""
    found: list[Path] = []
    for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.ImportFrom):
            raise ValueError(f"{path}: relative imports are not followed; write them absolutely")
        else:
            continue
        found += [
            file
            for name in names
            if name.split(".")[0] in PACKAGES
            and (root / (file := Path(*name.split(".")).with_suffix(".py"))).is_file()
        ]
    return found
