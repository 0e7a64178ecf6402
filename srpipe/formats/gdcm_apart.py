"""gdcm, the decoder of lossless JPEG and of JPEG-LS, in a process of its own.

At damaged data it is known to end the process that it runs in.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from pydicom.pixels.decoders.base import Decoder, DecodeRunner
from pydicom.uid import UID, JPEGLossless, JPEGLosslessSV1, JPEGLSTransferSyntaxes

SYNTAXES = (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)
# As pydicom asks of a plugin.
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("gdcm>=3.0.10",))

_PROGRAM = Path(__file__).with_name("gdcm_program.py")
# Far more than the largest image takes, should damage make gdcm run on and on.
_MOST_SECONDS = 300


def is_available(syntax: str) -> bool:
    """Say whether gdcm is there, and decodes this transfer syntax."""
    return syntax in SYNTAXES and find_spec("gdcm") is not None


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
    path = os.pathsep.join(each for each in sys.path if each)
    try:
        done = subprocess.run(
            [sys.executable, "-P", _PROGRAM, json.dumps(told)],
            input=frame,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": path},
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
        raise RuntimeError(f"crashed ({signal.Signals(-done.returncode).name})")
    # The last line of a traceback.
    raise RuntimeError(done.stderr.decode("ascii", "backslashreplace").strip().rpartition("\n")[2])
