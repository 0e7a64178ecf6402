"""What may be uploaded, and what becomes of a file's name: text, and never a path."""

import os
import re
import string

from starlette.formparsers import MultiPartParser

# As `server.maxUploadSize` in .streamlit/config.toml says: the server refuses more as it arrives.
MOST_BYTES = 32 * 2**20
# Pixels of an LR image; of an HR image 16 times as many.
MOST_PIXELS = 2**20

_SHOWN, _KEPT = 60, 40  # characters of names

# Starlette puts uploads over a megabyte into files. Radiographs of patients stay in memory.
MultiPartParser.spool_max_size = MOST_BYTES + 2**20


def plain(text: str) -> str:
    """Return Markdown that shows a text as it is: names and files may hold markup."""
    one_line = "".join(each if each.isprintable() else " " for each in text)
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", one_line)


def shown_name(name: str) -> str:
    """Return a file's name for messages, cut; what says that it is DICOM stays."""
    stem, suffix = os.path.splitext(name)
    return (stem if len(stem) <= _SHOWN else stem[:_SHOWN] + "...") + suffix[:10]


def result_name(name: str, how: str, suffix: str) -> str:
    """Return what the browser is to call the result: letters, digits and little else."""
    stem = os.path.splitext(name)[0]
    kept = "".join(each for each in stem if each.isalnum() or each in "-_.")[:_KEPT].strip(".")
    return f"{kept or 'radiograph'}_{how}{suffix}"
