"""Connections cut at any byte: the zip arrives whole, and what has arrived is not lost.

The real Kaggle client, in chunks of 1 KiB, from a server that cuts, changes the archive, or knows
no ranges. All of a test's downloads share one process, because the client takes seconds to load.
"""

import contextlib
import random
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np

from tests.data.sources.kaggle_stub import FILE, MODIFIED, KaggleStub, run_clients
from tests.data.sources.nih_zip import parts, zipped

CHUNK = 1024
NOTHING = -(10**6)  # a cut before the first byte of an answer
DEAD = [NOTHING] * 30  # a server that cuts each connection, more often than it is asked


def archive_of(filling: int, seed: int = 0) -> bytes:
    """Return a zip of some nine KiB and a filling of so many bytes more."""
    data = np.random.default_rng(seed).bytes(8 * CHUNK + filling)
    return zipped({**parts(), "BBox_List_2017.csv": data})


ARCHIVE = archive_of(0)
SIZE = len(ARCHIVE)
LONGER, SHORTER, AS_LONG = archive_of(5 * CHUNK), archive_of(-8 * CHUNK), archive_of(0, seed=1)


@contextlib.contextmanager
def serving(cases: dict[str, dict[str, Any]]) -> Iterator[dict[str, KaggleStub]]:
    """Start a server for each case, with the attributes that it gives."""
    with contextlib.ExitStack() as stack:
        stubs = {name: stack.enter_context(KaggleStub(ARCHIVE)) for name in cases}
        for name, attributes in cases.items():
            for attribute, value in attributes.items():
                setattr(stubs[name], attribute, value)
        yield stubs


def arrived(home: Path, name: str) -> bytes | None:
    """Return the zip in the cache of a case, if it has its name."""
    path = home / name / "srpipe/nih-chest-xrays-data.zip"
    return path.read_bytes() if path.exists() else None


def part(home: Path, name: str) -> bytes:
    """Return what has arrived of the zip of a case."""
    return (home / name / "srpipe/nih-chest-xrays-data.zip.arriving/data.zip").read_bytes()


def starts(stub: KaggleStub) -> list[int]:
    """Return the first byte of each transfer that was asked for."""
    spans = [request.removeprefix(f"GET {FILE}").strip() for request in stub.transfers]
    return [int(span.removeprefix("bytes=").removesuffix("-") or 0) for span in spans]


def refuse_lost(name: str, begun: list[int], cuts: list[int], start: int = 0) -> None:
    """Each transfer begins where the one before was cut, or less than a chunk before."""
    assert begun[0] == start, name
    assert len(begun) == len(cuts) + 1, name
    for before, after, cut in zip(begun, begun[1:], cuts, strict=False):
        # Two bytes more: the zip's first are looked at before the first chunk.
        assert before + max(cut, 0) - CHUNK - 2 < after <= before + max(cut, 0), (name, begun)


RANDOM = random.Random(0)
CUTS = {
    "nothing": [NOTHING],
    **{f"header {cut}": [cut] for cut in sorted(RANDOM.sample(range(-230, 0), 20))},
    "whole header": [0],
    "first byte": [1],
    "last byte missing": [SIZE - 1],
    "before a chunk's end": [CHUNK - 1],
    "a chunk": [CHUNK],
    "after a chunk's end": [CHUNK + 1],
    "some chunks": [4 * CHUNK],
    **{f"byte {cut}": [cut] for cut in sorted(RANDOM.sample(range(SIZE), 10))},
    "twice": [3 * CHUNK + 5, 2 * CHUNK + 7],
    "twice, nothing the second time": [3 * CHUNK, 0],
    **{f"twice, header {cut}": [3 * CHUNK, cut] for cut in RANDOM.sample(range(-260, 0), 10)},
    "four times": [CHUNK + 500] * 4,
}


def test_a_transfer_cut_at_any_byte_goes_on_by_itself(tmp_path: Path) -> None:
    """Headers or body; the rest alone is asked for, and the zip is that of the server."""
    with serving({name: {"cuts": list(cuts)} for name, cuts in CUTS.items()}) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
    assert told == {}
    for name, cuts in CUTS.items():
        assert arrived(tmp_path, name) == ARCHIVE, name
        refuse_lost(name, starts(stubs[name]), cuts)


def test_more_cuts_than_the_client_bears_are_gone_on_from(tmp_path: Path) -> None:
    """As long as more arrives; a server that only cuts is given up, with what has arrived kept."""
    cases = {"many": {"cuts": [CHUNK + 500] * 8}, "dead": {"cuts": [3 * CHUNK, *DEAD]}}
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
        assert list(told) == ["dead"]
        assert told["dead"].startswith("DownloadError: Kaggle cannot be reached, or the connection")
        assert arrived(tmp_path, "many") == ARCHIVE
        assert arrived(tmp_path, "dead") is None
        assert len(part(tmp_path, "dead")) > 2 * CHUNK
        assert ARCHIVE.startswith(part(tmp_path, "dead"))
        assert len(starts(stubs["dead"])) < len(DEAD)


def test_a_server_that_falls_silent_is_asked_again(tmp_path: Path) -> None:
    """For the rest, as after a cut: the first transfer too, and more often than the client bears;
    one that only stalls is given up.
    """
    cases: dict[str, dict[str, Any]] = {
        "once": {"stalls": [3 * CHUNK]},
        "often": {"stalls": [CHUNK + 500] * 7},
        "for good": {"stalls": [3 * CHUNK, *[0] * 30]},
    }
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK, silent=1)
        assert list(told) == ["for good"]
        assert "Kaggle cannot be reached, or the connection broke" in told["for good"]
        assert len(part(tmp_path, "for good")) > 2 * CHUNK
        assert len(stubs["for good"].stalls) > 10
    assert arrived(tmp_path, "once") == arrived(tmp_path, "often") == ARCHIVE
    refuse_lost("once", starts(stubs["once"]), [3 * CHUNK])


def test_a_cut_connection_is_reset_or_the_server_knows_no_ranges(tmp_path: Path) -> None:
    """The zip is whole then, too."""
    cases: dict[str, dict[str, Any]] = {
        "reset": {"cuts": [3 * CHUNK, 500], "reset": True},
        "answers with all": {"cuts": [3 * CHUNK, 5 * CHUNK], "ignores_ranges": True},
        "416": {"cuts": [3 * CHUNK], "busy_transfers": [(416, {})]},
        "416 twice": {"cuts": [3 * CHUNK, 4 * CHUNK], "busy_transfers": [(416, {})] * 2},
        "503 and 429": {"cuts": [3 * CHUNK], "busy_transfers": [(503, {}), (429, {})]},
        "no ETag": {"cuts": [3 * CHUNK], "identity": lambda data: {"Last_Modified": MODIFIED}},
        "neither ETag nor date": {"cuts": [3 * CHUNK], "identity": lambda data: {}},
        "chunks": {"chunked": True},
        "chunks, cut": {"cuts": [3 * CHUNK], "chunked": True},
    }
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
    assert told == {}
    for name in cases:
        assert arrived(tmp_path, name) == ARCHIVE, name
        assert len(starts(stubs[name])) <= 5, name
    for name in ("503 and 429", "no ETag", "neither ETag nor date"):
        assert starts(stubs[name])[-1] > 2 * CHUNK, name


def test_a_server_that_asks_to_wait_in_the_midst_of_a_transfer(tmp_path: Path) -> None:
    """Is waited for, and that is said; hours are told instead, and the same command goes on."""
    cases: dict[str, dict[str, Any]] = {
        seconds: {"cuts": [3 * CHUNK], "busy_transfers": [(429, {"Retry_After": seconds})]}
        for seconds in ("600", "7200")
    }
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
        assert list(told) == ["7200"]
        assert told["7200"].startswith("DownloadError: Kaggle answered HTTP 429")
        assert len(part(tmp_path, "7200")) > 2 * CHUNK
        assert run_clients(stubs, tmp_path, CHUNK) == {}
    for name in cases:
        assert arrived(tmp_path, name) == ARCHIVE
        assert starts(stubs[name])[-1] > 2 * CHUNK


def test_an_answer_cut_before_the_transfer_is_told_and_loses_nothing(tmp_path: Path) -> None:
    """To the token, or to the request for a download; then the same command downloads."""
    cuts = [NOTHING, *sorted(random.Random(1).sample(range(-110, 40), 10))]
    cases = {f"token {cut}": {"cuts_before": [cut]} for cut in cuts}
    cases |= {f"request {cut}": {"cuts_before": [SIZE, cut]} for cut in cuts}
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
        assert len(told) >= len(cuts)
        assert all(message.startswith("DownloadError: ") for message in told.values()), told
        assert run_clients(stubs, tmp_path, CHUNK) == {}
    for name in cases:
        assert arrived(tmp_path, name) == ARCHIVE, name


# ------------------------------------------------------------------ a later process


def test_a_later_process_cut_in_the_headers_loses_nothing(tmp_path: Path) -> None:
    """A length, ETag or date that is missing or short is no reason to begin anew."""
    headers = [NOTHING, *sorted(random.Random(2).sample(range(-230, 0), 20)), 0]
    cases = {f"{cut}": {"cuts": [3 * CHUNK, *DEAD]} for cut in headers}
    with serving(cases) as stubs:
        assert set(run_clients(stubs, tmp_path, CHUNK)) == set(cases)
        for cut in headers:
            stubs[f"{cut}"].requests.clear()
            stubs[f"{cut}"].cuts[:] = [cut]
        assert run_clients(stubs, tmp_path, CHUNK) == {}
    for name in cases:
        assert arrived(tmp_path, name) == ARCHIVE, name
        # The client looks at the whole first, and then asks for the rest of it.
        assert starts(stubs[name]) == [0, 0, 2 * CHUNK + 2], name


# ------------------------------------------------------------------ a changed archive


def date_of_bytes(data: bytes) -> dict[str, str]:
    """Return a date that changes with the bytes, and no ETag."""
    return {"Last_Modified": formatdate(zlib.crc32(data), usegmt=True)}


CHANGED: dict[str, dict[str, Any]] = {
    f"{size}, {how}": {"later": later, **identity}
    for size, later in (("longer", LONGER), ("shorter", SHORTER), ("as long", AS_LONG))
    for how, identity in (
        ("another ETag", {}),
        ("another date", {"identity": date_of_bytes}),
        ("the same date", {"identity": lambda data: {"Last_Modified": MODIFIED}}),
        ("neither", {"identity": lambda data: {}}),
        ("another ETag, no ranges", {"ignores_ranges": True}),
    )
}
# Nothing tells these apart but their bytes; the checksums in the zip do.
MIXED = ("as long, the same date", "as long, neither")


def test_an_archive_that_changed_after_a_cut(tmp_path: Path) -> None:
    """The new one is downloaded from its beginning; a mixture does not get the archive's name."""
    cases = {name: {"cuts": [3 * CHUNK], **each} for name, each in CHANGED.items()}
    with serving(cases) as stubs:
        told = run_clients(stubs, tmp_path, CHUNK)
    assert sorted(told) == sorted(MIXED)
    for name, each in CHANGED.items():
        if name not in MIXED:
            assert arrived(tmp_path, name) == each["later"], name
            continue
        assert "move" in told[name]
        assert "away to download it again" in told[name]
        assert arrived(tmp_path, name) is None


def test_an_archive_that_changed_before_a_later_process(tmp_path: Path) -> None:
    """As after a cut; without ETag and date there is no telling, and it begins anew."""
    cases = {name: {"cuts": [3 * CHUNK, *DEAD], **each} for name, each in CHANGED.items()}
    with serving(cases) as stubs:
        assert set(run_clients(stubs, tmp_path, CHUNK)) == set(cases)
        for stub in stubs.values():
            stub.cuts.clear()
        told = run_clients(stubs, tmp_path, CHUNK)
    assert sorted(told) == ["as long, the same date"]
    for name, each in CHANGED.items():
        if name not in told:
            assert arrived(tmp_path, name) == each["later"], name
