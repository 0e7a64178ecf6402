"""Safetensors files with one JSON record in the metadata, readable without our code.

The format (safetensors, Hugging Face) holds arrays and strings but no code. The record is stored
under one key, `srpipe`, because the order of several is not deterministic, and the same content
must give the same bytes. It includes a SHA-256 of the arrays, which is verified: the format has no
checksum.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from srpipe.core.errors import CheckpointError
from srpipe.core.files import replacing

KEY = "srpipe"
SHA256 = "sha256"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write arrays and a record, atomically.

    Args:
        path: the file.
        tensors: by name.
        record: any JSON-serialisable content; `sha256` of the arrays is added.

    Raises:
        OutputError: the file cannot be written.
    """
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps({**record, SHA256: digest(kept)}, sort_keys=True)
    with replacing(path) as temporary:
        temporary.write_bytes(save(kept, {KEY: text}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Return a file's arrays and our record, or None if it has none.

    Raises:
        CheckpointError: it is missing, not a safetensors file, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        record = json.loads(metadata[KEY]) if KEY in metadata else None
        if record is not None and not isinstance(record, dict):
            raise ValueError(f"its record is {record!r:.40}, not an object")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: give a weights file") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is no safetensors file that can be read: {error}") from error
    if record is not None and record.get(SHA256) != digest(tensors):
        raise CheckpointError(
            f"{path} is damaged: its arrays do not have the SHA-256 that it records. Fetch it again"
        )
    return tensors, record


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and values, in the order of the names."""
    result = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        result.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        result.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return result.hexdigest()
