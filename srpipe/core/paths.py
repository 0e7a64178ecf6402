"""The paths of the pipeline's files; no other module names them.

All paths are relative to the working directory, which DVC sets to the root of the workspace (a
temporary copy of the repository under `dvc exp run --temp`). `project_root` is in both cases the
repository that the user cloned.
"""

import os
from pathlib import Path

PARAMS = Path("params.yaml")

RAW = Path("data/raw")
PACKED = Path("data/packed")
IMAGES = Path("data/images.csv")
SPLIT = Path("data/split.csv")

# After the pixel epochs, and after all epochs.
PIXEL = Path("models/pixel.pt")
GENERATOR = Path("models/generator.pt")

DOWNSAMPLE_JSON = Path("metrics/downsample.json")
DOWNSAMPLE_PLOT = Path("metrics/downsample.png")
BASELINE_JSON = Path("metrics/baseline.json")
BASELINE_CSV = Path("metrics/baseline.csv")
TRAIN_JSON = Path("metrics/train.json")
VALIDATION_JSON = Path("metrics/validation.json")
HISTORY_CSV = Path("metrics/history.csv")
TRAIN_PLOTS = Path("metrics/train")
EVALUATE_JSON = Path("metrics/evaluate.json")
TEST_JSON = Path("metrics/test.json")
EVALUATE_CSV = Path("metrics/evaluate.csv")
EVALUATE_PLOTS = Path("metrics/evaluate")
FAIRNESS_CSV = Path("metrics/fairness.csv")
FAIRNESS_PLOT = Path("metrics/fairness.png")
CURVE_CSV = Path("metrics/curve.csv")
ACQUISITIONS_CSV = Path("metrics/acquisitions.csv")
ACQUISITIONS_PLOT = Path("metrics/acquisitions.png")


def raw(name: str) -> Path:
    """Return the folder that the download stage fills for the data set `name`."""
    return RAW / name


def project_root() -> Path:
    """Return the repository's root: `$DVC_ROOT` inside a DVC stage, else the working directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def interrupted() -> Path:
    """Return the folder for the state of interrupted trainings, which is not a DVC output."""
    return project_root() / ".ckpt"


def from_user(path: str) -> Path:
    """Return a path from the user's settings: `~` expanded, relative to the repository."""
    expanded = Path(path).expanduser()
    return expanded if expanded.is_absolute() else project_root() / expanded


def user_cache() -> Path:
    """Return the folder for large downloads that all clones share (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "srpipe"
