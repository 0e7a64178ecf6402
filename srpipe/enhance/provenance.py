"""What a super-resolved file says about how it was made."""

from dataclasses import dataclass

NOT_FOR_DIAGNOSIS = "not for diagnosis"


@dataclass(frozen=True)
class Provenance:
    """How a file was super-resolved; no times, so that the same input gives the same file.

    Attributes:
        version: of srpipe.
        model: the weights' name: a released model's, or the name of a file without its folder.
        sha256: of the weights' file, in hexadecimal.
        scale: how many times as large each way.
        settings: "fp32", or "bf16, consistent".
    """

    version: str
    model: str
    sha256: str
    scale: int
    settings: str

    @property
    def software(self) -> str:
        """Name the program with its version."""
        return f"srpipe {self.version}"

    def __str__(self) -> str:
        """Say all in a sentence, in ASCII, which every format can hold."""
        said = (
            f"Super-resolved {self.scale}x by {self.software} with {self.model} ({self.settings}; "
            f"weights SHA-256 {self.sha256}). A network can blur or invent detail: "
            f"{NOT_FOR_DIAGNOSIS}."
        )
        return said.encode("ascii", "replace").decode("ascii")
