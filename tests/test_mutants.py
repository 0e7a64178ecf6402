"""Damaged files end in a right image or one clear error; what would not is seen.

`python -m tests.mutants --count 5000` does this with more.
"""

import ctypes
import random
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the page needs the extra app")

from srpipe.core.errors import ImageError
from srpipe.enhance.upscale import Method
from srpipe.formats import dicom
from srpipe.formats.raster import read_values
from tests.enhance.generators import save_plain_sr
from tests.mutants.__main__ import bad, made, table, tried
from tests.mutants.mutate import mutant
from tests.mutants.seeds import Seeds, seeds
from tests.mutants.tried import CRASH, ERROR, HANG, IMAGE, MEMORY, TRACEBACK, Process

SEED = 0
COUNT = 240


@pytest.fixture(scope="module")
def files() -> Seeds:
    return seeds()


def test_each_is_a_right_image_or_one_clear_error(files: Seeds) -> None:
    """Of every kind; none takes 10 s or 128 MB. SECURITY.md has the figures for more."""
    trials = tried(files, COUNT, SEED)
    assert bad(trials, SEED) == []
    assert max(each.outcome.memory for each in trials) < 128e6
    for kind in files:
        counts = Counter(each.outcome.what for each in trials if each.kind == kind)
        assert counts[IMAGE] + counts[ERROR] == COUNT // len(files)
        assert counts[ERROR], table(trials)
    assert sum(each.outcome.what == IMAGE for each in trials) > COUNT / 20


def test_a_mutant_can_be_made_again(files: Seeds) -> None:
    """From the seed, its kind and its number; others differ, and most differ from their seed."""
    for kind in files:
        some = [made(files, kind, number, SEED) for number in range(20)]
        assert some[7] == made(files, kind, 7, SEED)
        assert len({*some, *files[kind]}) > 15 + len(files[kind])
    assert mutant("PNG", files["PNG"], random.Random(1)) != mutant(
        "PNG", files["PNG"], random.Random(2)
    )


def misbehave(data: bytes, name: str, used: Method) -> tuple[str, str]:
    """Do what no reader should do, as the data say."""
    if data == b"crash":
        ctypes.string_at(0)
    elif data == b"hang":
        time.sleep(60)
    elif data == b"memory":
        np.ones(2**30, np.uint8)
    elif data == b"traceback":
        raise KeyError(name)
    elif data == b"large":
        # A little more than is asked for: pages that were free already are not counted.
        np.ones(62_000_000, np.uint8)
    return IMAGE, ""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    weights = save_plain_sr(tmp_path_factory.mktemp("weights") / "small.pt")
    found = Process(weights, 2, 2**29, misbehave)
    yield found
    found.close()


@pytest.mark.parametrize("what", [CRASH, HANG, MEMORY, TRACEBACK])
def test_what_should_not_be_is_seen(process: Process, what: str) -> None:
    """And the next file is tried as if nothing had been."""
    assert process.tried(what.encode(), "x").what == what
    assert process.tried(b"", "x").what == IMAGE


def test_memory_is_that_of_the_file(process: Process) -> None:
    """Not of one before it."""
    assert 60e6 <= process.tried(b"large", "x").memory < 70e6
    assert process.tried(b"", "x").memory < 5e6


def test_seeds_are_read(files: Seeds) -> None:
    """But for the JPEG in CMYK: mutants are of what would be an image."""

    refused = []
    for kind, datas in files.items():
        for data in datas:
            read = dicom.read if kind.startswith("DICOM") else read_values
            try:
                read(data, kind)
            except ImageError as error:
                refused.append(str(error))
    assert len(refused) == 1
    assert "CMYK" in refused[0]
