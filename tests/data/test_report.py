"""The data report names every image, and what was done to it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srpipe.core.errors import DataError
from srpipe.data import likeness
from srpipe.data.packed import open_packed, write_packed
from srpipe.data.pairs import Notes, Pair, tried_pair
from srpipe.data.report import counts, image_table, sorted_out, tell
from srpipe.data.report_picture import draw
from srpipe.data.sources.manifest import Entry, Source, checksum, open_source, write_source
from srpipe.formats.raster import encode_png
from tests.conftest import MakeImage
from tests.data.test_pairs import SETTINGS


@pytest.fixture
def source(tmp_path: Path, make_image: MakeImage) -> Source:
    """Return a grey image, the same again, one in colour with alpha, and one that is cut."""
    grey = encode_png(make_image(0, 64, 66))
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 4), 200, np.uint8)).save(buffer, "PNG")
    files = {"a.png": grey, "b.png": grey, "c.png": buffer.getvalue(), "d.png": grey[:-30]}
    (tmp_path / "raw").mkdir()
    entries = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        entries.append(Entry(name, f"p{name[0]}", "", name, len(data), checksum(data)))
    write_source(tmp_path / "raw", "folder", str(tmp_path), entries)
    return open_source(tmp_path / "raw")


def found_of(result: tuple[Pair, Notes] | str) -> Notes | str:
    """Return what there is to report of a result."""
    return result if isinstance(result, str) else result[1]


def test_all_is_counted_and_nothing_dropped_in_silence(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed, repeated and excluded images are in the table, the counts and the messages."""
    results = [tried_pair(source, SETTINGS, entry) for entry in source.entries]
    notes, excluded = sorted_out(source.entries, map(found_of, results), exclude=True)
    pairs = [result[0] for result in results if not isinstance(result, str)]
    manifest = write_packed(tmp_path / "packed", pairs, 4, likeness.describe)
    table = image_table(source, manifest, notes, excluded)
    assert table["image"].tolist() == ["a.png", "b.png", "c.png", "d.png"]
    assert table["same_as"].fillna("").tolist() == ["", "a.png", "", ""]
    assert table["changes"].tolist()[:3] == [
        "cut to a multiple of 4 pixels",
        "cut to a multiple of 4 pixels",
        "colour to grey; alpha dropped",
    ]
    found = counts(table, {})
    assert found["forms"] == {"PNG L": 2, "PNG RGBA": 1}
    assert found["sizes"] == {"64 x 64": 1, "66 x 64": 2, "other": 0}
    assert found["changed"]["alpha dropped"] == {"images": 1, "first": ["c.png"]}
    assert found["repeated"]["under_another_patient"] == 1
    assert found["excluded"]["images"] == 1
    assert found["excluded"]["first"][0][0] == "d.png"
    tell(found)
    assert "1 image(s) are left out, such as:\n  d.png is damaged" in capsys.readouterr().err
    for name in ("one.png", "two.png"):
        draw(tmp_path / name, table, open_packed(tmp_path / "packed"))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_damaged_images_are_refused_at_the_end(source: Source) -> None:
    """All good ones were looked at by then."""
    results = [found_of(tried_pair(source, SETTINGS, entry)) for entry in source.entries]
    left = iter(results)
    with pytest.raises(DataError, match=r"1 of 4 image\(s\) cannot be used:\n  d\.png is damaged"):
        sorted_out(source.entries, left, exclude=False)
    assert list(left) == []
