"""Safetensors files with one JSON record in the metadata, readable without our code, or torch.

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

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save

from srpipe.core.errors import CheckpointError
from srpipe.core.files import replacing

KEY = "srpipe"
SHA256 = "sha256"
# By the format's names. bfloat16 (BF16), which numpy lacks, is read as float32, exactly.
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}

Arrays = dict[str, npt.NDArray[Any]]


def write_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], record: Mapping[str, Any]
) -> None:
    """Write arrays and a record, atomically.

    Args:
        path: the file.
        arrays: by name, of numpy's float, int and bool types.
        record: any JSON-serialisable content; `sha256` of the arrays is added.

    Raises:
        OutputError: the file cannot be written.
    """
    kept = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps({**record, SHA256: digest(kept)}, sort_keys=True)
    with replacing(path) as temporary:
        temporary.write_bytes(save(kept, {KEY: text}))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any] | None]:
    """Return a file's arrays and our record, or None if it has none.

    Raises:
        CheckpointError: it is missing, not a safetensors file, of types other than float, int and
            bool, or damaged.
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
        arrays = {
            name: _array(_TYPES[each["dtype"]], each["shape"], each["data"])
            for name, each in deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
        }
        record = json.loads(metadata[KEY]) if KEY in metadata else None
        if record is not None and not isinstance(record, dict):
            raise ValueError(f"its record is {record!r:.40}, not an object")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: give a weights file") from error
    except KeyError as error:
        raise CheckpointError(f"{path} holds arrays of the type {error}, not of numbers") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is no safetensors file that can be read: {error}") from error
    if record is not None and record.get(SHA256) != digest(arrays):
        raise CheckpointError(
            f"{path} is damaged: its arrays do not have the SHA-256 that it records. Fetch it again"
        )
    return arrays, record


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256 over names, types, shapes and values, in the order of the names."""
    result = hashlib.sha256()
    for name in sorted(arrays):
        value = arrays[name]
        # The first files were written from torch's tensors, with torch's names of types.
        result.update(f"{name} torch.{value.dtype.name} {value.shape}\n".encode())
        result.update(value.tobytes())
    return result.hexdigest()


def _array(kind: str, shape: list[int], data: bytes) -> npt.NDArray[Any]:
    if kind == "bfloat16":  # the upper half of float32
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    return np.frombuffer(data, kind).reshape(shape).copy()
