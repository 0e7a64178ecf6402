"""Locating weights: a released model by name, or any file."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "released"
SUFFIX = ".safetensors"
# What is used unless weights are named.
DEFAULT = "plain_sr_x4"


def released_names() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def weights_file(given: str | Path) -> Path:
    """Return the file of a released model by its name, else the given path itself.

    A name has neither folder nor suffix, such as `plain_sr_x4`; write `./plain_sr_x4` for a file of
    your own with that name.
    """
    return FOLDER / f"{given}{SUFFIX}" if str(given) in released_names() else Path(given)
