"""Files of torch tensors: written atomically, read without running any code."""

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from srpipe.core.errors import CheckpointError
from srpipe.core.files import replacing

# What torch and pickle raise on files that are not checkpoints, or that would run code.
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def save(path: Path, value: Mapping[str, Any]) -> None:
    """Write any weights-only-loadable mapping atomically, with neither path nor time inside."""
    # Through memory: torch.save on a path stores that path's (temporary) name in the file.
    buffer = io.BytesIO()
    torch.save(dict(value), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read a weights file without running any code from it.

    Raises:
        CheckpointError: the file is missing or not a checkpoint.
    """
    try:
        if zipfile.is_zipfile(path):
            # torch does not verify the checksums that it stores: a flipped bit would load silently.
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: give a weights file") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder: give a weights file") from error
    except _UNREADABLE as error:
        told = str(error).strip() or type(error).__name__
        # Of torch's paragraphs on how to run the code all the same, the class that needs it.
        code = re.search(r"Unsupported global: GLOBAL (\S+)", told)
        reason = f"it needs the code of {code[1]}" if code else told.splitlines()[0]
        raise CheckpointError(
            f"{path} is no checkpoint that can be loaded safely ({reason}): give a file of tensors "
            "and plain values, such as torch.save(network.state_dict(), FILE) writes"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content
