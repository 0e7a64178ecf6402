"""gdcm, the decoder of lossless JPEG and of JPEG-LS, in a process of its own.

At damaged data it is known to end the process that it runs in.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pydicom.pixels.decoders import gdcm
from pydicom.pixels.decoders.base import Decoder, DecodeRunner
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1, JPEGLSTransferSyntaxes

SYNTAXES = (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)

_PROGRAM = Path(__file__).with_name("gdcm_program.py")
# Far more than the largest image takes, should damage make gdcm run on and on.
_MOST_SECONDS = 300
_MOST_SAID = 200  # characters


def is_available(syntax: str) -> bool:
    """Say whether gdcm decodes this transfer syntax here; pydicom asks this of a plugin.

    A program into which Python is built cannot start another Python.
    """
    alone = bool(sys.executable) and not getattr(sys, "frozen", False)
    return alone and syntax in SYNTAXES and gdcm.is_available(syntax)


@functools.cache
def decoder(syntax: UID) -> Decoder:
    """Return pydicom's decoder of a transfer syntax, with no plugin but this one."""
    found = Decoder(syntax)
    found.add_plugin("gdcm", (__name__, decode_frame.__name__))
    return found


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode a grey frame; a plugin of pydicom.

    Args:
        frame: compressed.
        runner: says what it is; is told the bits of the words, where JPEG-LS has others.

    Returns:
        Words of `runner.bits_allocated` bits in this machine's order, row by row.

    Raises:
        RuntimeError: gdcm could not, crashed or did not end.
    """
    bits = runner.bits_stored
    if runner.transfer_syntax in JPEGLSTransferSyntaxes:
        bits = runner.get_option("jls_precision", bits)
        runner.set_option("bits_allocated", 8 if bits <= 8 else 16)
    told = {
        "syntax": str(runner.transfer_syntax),
        "photometric": str(runner.photometric_interpretation),
        "size": (runner.columns, runner.rows),
        "pixel": (1, runner.bits_allocated, bits, bits - 1, runner.pixel_representation),
    }
    # It finds packages where this process does, but not in the folder that this was started in.
    path = os.pathsep.join(each for each in sys.path if isinstance(each, str) and each)
    try:
        done = subprocess.run(
            [sys.executable, "-P", _PROGRAM, json.dumps(told)],
            input=frame,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHON_COLORS": "0"},
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"not done after {_MOST_SECONDS} s") from error
    if not done.returncode:
        due = runner.rows * runner.columns * runner.bits_allocated // 8
        if len(done.stdout) != due:
            raise RuntimeError(f"{len(done.stdout)} bytes came of it, {due} were due")
        return done.stdout
    if done.returncode < 0:
        said = f"crashed ({signal.strsignal(-done.returncode)})"
    else:  # the last line of a traceback; of a crash on Windows there is none
        said = done.stderr.decode("ascii", "backslashreplace").strip().rpartition("\n")[2]
        said = said[:_MOST_SAID] or f"exit code {done.returncode:#x}"
    # So Linux ends a process where memory is short.
    killed = done.returncode == -getattr(signal, "SIGKILL", 0)
    if killed or said.startswith(MemoryError.__name__) or "bad_alloc" in said:
        said = f"out of memory: {said}"
    raise RuntimeError(said)
