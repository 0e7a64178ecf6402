"""gdcm decodes what it did, and ends no process but its own."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from srpipe.core.errors import ImageError
from srpipe.formats import gdcm_apart
from srpipe.formats.dicom import read
from tests.formats.radiographs import encoded, radiograph, stored
from tests.mutants.seeds import by_gdcm

SYNTAXES = ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless")


def compressed(syntax: str, bits: int = 12, *, signed: bool = False) -> bytes:
    """Return a file of this syntax."""
    return by_gdcm(encoded(radiograph(stored(bits, signed=signed), bits, signed=signed)), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (16, True)])
def test_values_are_the_stored_ones(syntax: str, bits: int, signed: bool) -> None:
    """Both ways of coding them lose nothing."""
    found = read(compressed(syntax, bits, signed=signed), "x.dcm").values.array
    assert np.array_equal(found, stored(bits, signed=signed))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what puts other code in the place of the program's."""

    def put(code: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(f"import os, signal, sys, time\n{code}\n", encoding="utf-8")
        monkeypatch.setattr(gdcm_apart, "_PROGRAM", path)

    return put


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGABRT)", "(gdcm: crashed (Aborted))"),
        ("print('a word', file=sys.stderr); raise KeyError('x')", "(gdcm: KeyError: 'x')"),
        ("os._exit(5)", "(gdcm: exit code 0x5)"),
        ("sys.stdout.write('too little')", "(gdcm: 10 bytes came of it, 960 were due)"),
        ("time.sleep(60)", "(gdcm: not done after 1 s)"),
    ],
)
def test_a_fault_is_one_message(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    """That names the file, and what to do; this process goes on."""
    monkeypatch.setattr(gdcm_apart, "_MOST_SECONDS", 1)
    data = compressed(SYNTAXES[1])
    program(code)
    with pytest.raises(ImageError) as caught:
        read(data, "x.dcm")
    assert str(caught.value).startswith("x.dcm is damaged, or of a kind of the transfer syntax")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["raise MemoryError('std::bad_alloc')", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_lack_of_memory_is_no_damage(program: Callable[[str], None], code: str) -> None:
    """It is told as any other."""
    data = compressed(SYNTAXES[1])
    program(code)
    with pytest.raises(MemoryError, match="out of memory"):
        read(data, "x.dcm")


@pytest.mark.parametrize(("coded", "told"), [(8, 12), (12, 16)])
def test_jpeg_ls_that_says_fewer_bits_than_the_file(coded: int, told: int) -> None:
    """Its words are as wide as its own bits need."""
    dataset = dcmread(io.BytesIO(compressed("JPEGLSLossless", coded)))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, told, told - 1
    assert np.array_equal(read(encoded(dataset), "x.dcm").values.array, stored(coded))


def test_where_python_is_built_in_gdcm_runs_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no other Python to start; what is read is the same."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(gdcm_apart, "_PROGRAM", Path("none.py"))
    assert np.array_equal(read(compressed(SYNTAXES[0]), "x.dcm").values.array, stored(12))


def test_modules_of_the_folder_it_is_started_in_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By gdcm's process: a folder of radiographs from elsewhere may hold a gdcm.py."""
    (tmp_path / "gdcm.py").write_text("raise SystemExit('run')\n", encoding="utf-8")
    data = compressed(SYNTAXES[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert np.array_equal(read(data, "x.dcm").values.array, stored(12))
