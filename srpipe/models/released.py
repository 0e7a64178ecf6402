"""Where weights are: a released model by its name, or any file."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "released"
SUFFIX = ".safetensors"


def released_names() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def weights_file(given: str | Path) -> Path:
    """Return the file that a user means: a released model's by its name, else the path itself.

    A name has neither folder nor suffix, such as `plain_sr_x4`; write `./plain_sr_x4` for a file of
    your own that is called so.
    """
    return FOLDER / f"{given}{SUFFIX}" if str(given) in released_names() else Path(given)
