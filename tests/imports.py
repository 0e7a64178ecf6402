"""Which project modules a module needs, read from its source without importing anything."""

import ast
from pathlib import Path

PACKAGES = ("srpipe", "stages")


def transitive_imports(root: Path, start: Path) -> set[Path]:
    """Return every project file that `start` imports, directly or not, relative to `root`.

    Imports inside functions count. A package's `__init__.py` counts when something below it does.
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
        for name in names:
            if name.split(".")[0] in PACKAGES:
                found += _files(root, name)
    return found


def _files(root: Path, name: str) -> list[Path]:
    parts = name.split(".")
    files = [Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    files.append(Path(*parts).with_suffix(".py"))
    return [file for file in files if (root / file).is_file()]
