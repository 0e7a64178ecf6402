"""What a super-resolved file says about how it was made."""

import re
from dataclasses import dataclass

NOT_FOR_DIAGNOSIS = "not for diagnosis"
# Why a result is no input: detail that a network has made up would be taken for the radiograph's.
AGAIN = "super-resolved by srpipe before"
_FIRST_WORD = "Super-resolved"


@dataclass(frozen=True)
class Provenance:
    """How a file was super-resolved; no times, so that the same input gives the same file.

    Attributes:
        version: of srpipe.
        model: the weights' name: a released model's, or the name of a file without its folder.
        sha256: of the weights' file, in hexadecimal; of two files, joined by " and ".
        scale: how many times as large each way.
        settings: "fp32", or "bf16, consistent".
        source: SHA-256 of the file that was super-resolved; "" if it was none.
    """

    version: str
    model: str
    sha256: str
    scale: int
    settings: str
    source: str = ""

    @property
    def software(self) -> str:
        """Name the program with its version."""
        return f"srpipe {self.version}"

    def __str__(self) -> str:
        """Say all in a sentence, in ASCII, which every format can hold."""
        source = f"; input SHA-256 {self.source}" if self.source else ""
        said = (
            f"{_FIRST_WORD} {self.scale}x by {self.software} with {self.model} ({self.settings}; "
            f"weights SHA-256 {self.sha256}{source}). A network can blur or invent detail: "
            f"{NOT_FOR_DIAGNOSIS}."
        )
        return said.encode("ascii", "replace").decode("ascii")

    def made(self, said: str | None) -> bool:
        """Say whether a file that says `said` was made so, by this version or another."""
        return said is not None and _unversioned(said).startswith(_unversioned(str(self)))


def was_made(said: str | None) -> bool:
    """Say whether a file that says `said` is a result, made in whatever way."""
    return said is not None and said.startswith(_FIRST_WORD) and " by srpipe " in said


def _unversioned(said: str) -> str:
    return re.sub(r" by srpipe \S+ with ", " by srpipe with ", said, count=1)
