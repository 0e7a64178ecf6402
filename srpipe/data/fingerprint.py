"""Fingerprints of what determines a result, so that work goes on only from its own beginning."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import srpipe


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Return 16 hexadecimal digits that differ if anything in the identity differs."""
    text = json.dumps(identity, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(parts: Iterable[str], *versions: str) -> str:
    """Return a digest of versions of packages and of the code in parts of `srpipe/`."""
    root = Path(srpipe.__file__).parent
    digest = hashlib.sha256("\0".join(versions).encode())
    for part in parts:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
