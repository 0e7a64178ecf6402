"""What others say of DICOM files: dicom3tools and dcmtk, where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_dicom3tools = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not there: install dicom3tools"
)
needs_dcmtk = pytest.mark.skipif(
    shutil.which("dcmdump") is None, reason="dcmdump is not there: install dcmtk"
)


def complaints(path: Path) -> set[str]:
    """Return what dciodvfy calls errors, without the values that it quotes."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any("Image" in line for line in lines)  # it knows what it looks at
    return {line for line in lines if line.startswith("Error")}


def raw_pixels(path: Path) -> bytes:
    """Return the bytes of a file's pixels as dcmtk finds them, below the working folder."""
    subprocess.run(["dcmdump", "+W", ".", str(path)], check=True, capture_output=True)
    (raw,) = Path().glob(f"{path.name}*.raw")
    return raw.read_bytes()
