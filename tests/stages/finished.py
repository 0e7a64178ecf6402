"""What tests share that need a workspace in which every stage has run."""

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from srpipe.settings.train import Generator

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = Generator(name="swift_srgan", channels=1, features=4, blocks=1, bicubic_skip=True)
OUTPUTS = ("data", "models", "metrics")

Change = Callable[[dict[str, Any]], None]


def stage_main(stage: str) -> Callable[[], None]:
    """Return the entry point of a stage."""
    main: Callable[[], None] = import_module(f"stages.{stage}").main
    return main


def change_params(change: Change) -> None:
    """Edit params.yaml of the working directory."""
    path = Path("params.yaml")
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(params)
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def quiet_environment(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in `folder`, in one process, without MLflow."""
    patch.chdir(folder)
    patch.delenv("DVC_ROOT", raising=False)
    patch.setenv("SRPIPE_WORKERS", "1")
    patch.setenv("SRPIPE_DEVICE", "cpu")
    patch.setenv("SRPIPE_MLFLOW", "off")


def outputs() -> dict[str, str]:
    """Return the digests of all files below the output folders, hidden ones too.

    But not of images that are packed already when the stage stops: it goes on with them.
    """
    files = [path for name in OUTPUTS for path in Path(name).rglob("*") if path.is_file()]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if ".packed.unfinished.tmp" not in path.parts
    }
