"""DVC's hashes of the data that a stage reads, as tags of its MLflow run."""

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

LOCK = Path("dvc.lock")


def hashes(files: Iterable[Path]) -> dict[str, str]:
    """Return what `dvc.lock` says of outputs of earlier stages: "dvc.lock.<path>" and the hash.

    Nothing outside of DVC, where the file is about another run, or before DVC has written it.
    """
    if "DVC_STAGE" not in os.environ or not LOCK.exists():
        return {}
    locked = yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"]
    known = {
        out["path"]: out[out["hash"]] for stage in locked.values() for out in stage.get("outs", [])
    }
    return {
        f"dvc.lock.{file.as_posix()}": known[file.as_posix()]
        for file in files
        if file.as_posix() in known
    }
