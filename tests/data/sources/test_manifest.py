"""The manifest keeps what it is told, and `Source.read` gives those very bytes or says why not."""

import json
import multiprocessing
import pickle
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from srpipe.core.errors import DataError
from srpipe.data.sources.manifest import (
    Entry,
    Source,
    checksum,
    open_source,
    parse_lists,
    some,
    write_source,
)

DATA = {"b/2.png": b"second", "a.png": b"first", "NA.png": b"third"}


def entry(image: str, patient: str = "00000001") -> Entry:
    """Return the row of one of the files of DATA."""
    data = DATA[image]
    return Entry(image, patient, "", image, len(data), checksum(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a manifest's folder over image files in `tmp_path/own`."""
    for name, data in DATA.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(data)
    (tmp_path / "raw").mkdir()
    write_source(tmp_path / "raw", "folder", str(tmp_path / "own"), map(entry, DATA))
    return tmp_path / "raw"


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    """Return a manifest's folder over the same images in a zip."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, data in DATA.items():
            archive.writestr(name, data)
    (tmp_path / "raw").mkdir()
    write_source(tmp_path / "raw", "zip", "../all.zip", map(entry, DATA))
    return tmp_path / "raw"


def test_the_format_is_pinned(folder: Path) -> None:
    """Columns, order and the digits of the checksum are what the other stages read."""
    assert (folder / "manifest.csv").read_text() == (
        "image,patient,list,file,bytes,crc32\n"
        "NA.png,00000001,,NA.png,5,24322064\n"
        "a.png,00000001,,a.png,5,9271ee57\n"
        "b/2.png,00000001,,b/2.png,6,b61f1169\n"
    )
    assert json.loads((folder / "source.json").read_text()) == {
        "kind": "folder",
        "root": str(folder.parent / "own"),
    }


def test_checksum_is_crc32() -> None:
    """The standard's own check value, and zeros in front are kept."""
    assert checksum(b"123456789") == "cbf43926"
    assert checksum(b"") == "00000000"


def test_what_is_written_is_read_back(folder: Path) -> None:
    """Entries come sorted by name; zeros before an id and the word NA stay text."""
    assert open_source(folder).entries == tuple(entry(name) for name in sorted(DATA))


@pytest.mark.parametrize("kind", ["folder", "zipped"])
def test_bytes_are_read(kind: str, request: pytest.FixtureRequest) -> None:
    """A folder and a zip give the same bytes."""
    source = open_source(request.getfixturevalue(kind))
    assert {each.image: source.read(each) for each in source.entries} == DATA


def test_a_relative_root_starts_at_the_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The root does not depend on the working directory of the reader."""
    (folder / "source.json").write_text('{"kind": "folder", "root": "../own"}')
    monkeypatch.chdir(tmp_path)
    source = open_source(Path("raw"))
    monkeypatch.chdir("/")
    assert source.root == tmp_path / "own"
    assert source.read(entry("a.png")) == b"first"


def test_a_pickled_source_is_small_and_reads(zipped: Path) -> None:
    """A source sent to a worker takes no entries along, and finds them again if asked."""
    source = open_source(zipped)
    data = pickle.dumps(source)
    assert b"00000001" not in data
    assert pickle.loads(data).entries == source.entries


def test_workers_read_a_zip_that_the_parent_has_open(zipped: Path) -> None:
    """Forked processes do not share the parent's place in the file."""
    source = open_source(zipped)
    assert source.read(entry("a.png")) == b"first"
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(source.read, source.entries)) == [DATA[name] for name in sorted(DATA)]


@pytest.mark.parametrize("content", [b"FIRST", b"first and more", b""])
def test_a_changed_file_is_refused(folder: Path, content: bytes) -> None:
    """Other bytes, of the same size or not, are named with what to do."""
    source = open_source(folder)
    (folder.parent / "own" / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png changed since it was listed .*--force download"):
        source.read(entry("a.png"))


def test_a_file_that_is_gone_is_refused(folder: Path) -> None:
    """A file that was taken away is named with what to do."""
    (folder.parent / "own" / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png was listed and cannot be read now: No such file"):
        open_source(folder).read(entry("a.png"))


def test_a_zip_that_is_gone_damaged_or_another_is_refused(zipped: Path) -> None:
    """The zip is looked at again when it changed, and each fault has its message."""
    source, archive = open_source(zipped), zipped.parent / "all.zip"
    source.read(entry("a.png"))
    intact = archive.read_bytes()
    archive.write_bytes(intact.replace(b"first", b"fIrst"))
    with pytest.raises(DataError, match="missing or damaged: Bad CRC-32") as caught:
        source.read(entry("a.png"))
    assert "Give an intact copy in `datasets.nih.archive`" in str(caught.value)
    archive.write_bytes(intact[:-10])
    with pytest.raises(DataError, match="missing or damaged: File is not a zip"):
        source.read(entry("a.png"))
    with zipfile.ZipFile(archive, "w") as other:
        other.writestr("a.png", b"other")
    with pytest.raises(DataError, match="changed since it was listed"):
        source.read(entry("a.png"))
    with pytest.raises(DataError, match=r"b/2\.png in .* is missing or damaged"):
        source.read(entry("b/2.png"))
    archive.unlink()
    with pytest.raises(DataError, match=r"all\.zip was listed and cannot be read now"):
        source.read(entry("a.png"))


def test_nothing_there_says_what_to_run(tmp_path: Path) -> None:
    """An empty folder names the command that fills it."""
    with pytest.raises(DataError, match="Run `dvc repro download`"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("source.json", "{"),
        ("source.json", '{"kind": "tar", "root": "."}'),
        ("source.json", "[]"),
        ("manifest.csv", ""),
        ("manifest.csv", "image,patient\na.png,1\n"),
        ("manifest.csv", "image,patient,list,file,bytes,crc32\n"),
        ("manifest.csv", "image,patient,list,file,bytes,crc32\na.png,1,,a.png,many,00000000\n"),
        ("manifest.csv", "image,patient,list,file,bytes,crc32\na.png,,,a.png,5,00000000\n"),
        ("manifest.csv", "image,patient,list,file,bytes,crc32\na.png,1\n"),
        ("manifest.csv", "image,patient,list,file,bytes,crc32\na.png,1,dev,a.png,5,00000000\n"),
    ],
)
def test_a_manifest_that_is_not_whole_is_refused(folder: Path, name: str, text: str) -> None:
    """Cut or edited files are a DataError that names the file, not a crash later."""
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=name):
        open_source(folder)


def test_images_need_distinct_names(tmp_path: Path) -> None:
    """Two rows of one name are refused when written, and nothing is written."""
    with pytest.raises(DataError, match=r"1 image name\(s\) are there twice: a\.png"):
        write_source(tmp_path, "folder", ".", [entry("a.png"), entry("a.png", "2")])
    assert list(tmp_path.iterdir()) == []


def test_lists_are_read_by_line() -> None:
    """Blank lines, spaces, a byte-order mark and Windows line ends do not matter."""
    lists = parse_lists("\ufeffa.png\r\n\r\n b.png \r\n", "c.png", "here")
    assert lists == {"a.png": "train_val", "b.png": "train_val", "c.png": "test"}


def test_a_name_on_both_lists_is_refused() -> None:
    """An image to train on and to test on is a leak, and is named."""
    with pytest.raises(DataError, match=r"1 image\(s\) are on both .* of here: a\.png"):
        parse_lists("a.png\nb.png", "a.png", "here")


def test_some_names_a_few() -> None:
    """Long lists are cut, with a count of the rest."""
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some(["a"]) == "a"


def test_source_is_immutable(folder: Path) -> None:
    """A source cannot be pointed elsewhere by accident."""
    source = open_source(folder)
    with pytest.raises(AttributeError):
        source.root = folder  # type: ignore[misc]
    assert isinstance(source, Source)
