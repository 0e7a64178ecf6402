"""The NIH source: the zip is fetched once, looked through before use, and never unpacked."""

import importlib
import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import DownloadError
from srpipe.data.sources import folder, nih
from srpipe.data.sources.manifest import open_source
from srpipe.evaluation.fairness import age_of
from srpipe.formats.raster import read_grey
from srpipe.settings.datasets import Folder, Nih
from tests.data.sources.kaggle_stub import FILE, KaggleStub, run_client, start_client
from tests.data.sources.nih_zip import HEADER, IMAGES, parts, picture, sample_parts, zipped
from tests.disk import tmpfs

MIB = 2**20


def fetch(tmp_path: Path, data: bytes, edition: nih.Edition = nih.ALL) -> Path:
    """List a zip that the user has, and return the manifest's folder."""
    (tmp_path / "own.zip").write_bytes(data)
    nih.fetch(Nih(archive=str(tmp_path / "own.zip")), tmp_path / "raw", edition)
    return tmp_path / "raw"


@pytest.fixture
def stub() -> Iterator[KaggleStub]:
    """Serve an intact zip."""
    with KaggleStub(zipped(parts())) as server:
        yield server


def test_the_manifest_comes_from_the_zips_directory(tmp_path: Path) -> None:
    """Each image has the table's patient, its list, and size and checksum of its bytes."""
    source = open_source(fetch(tmp_path, zipped(parts())))
    assert source.kind == "zip"
    assert source.root == tmp_path / "own.zip"
    rows = [(each.image, each.patient, each.list, each.file) for each in source.entries]
    assert rows == [
        ("00000001_000.png", "1", "train_val", "images_001/images/00000001_000.png"),
        ("00000001_001.png", "1", "train_val", "images_001/images/00000001_001.png"),
        ("00000002_000.png", "2", "test", "images_002/images/00000002_000.png"),
        ("00000013_000.png", "13", "train_val", "images_012/images/00000013_000.png"),
    ]
    values = [read_grey(source.read(each), each.image, "minmax")[0, 0] for each in source.entries]
    assert values == [10, 20, 30, 40]
    known = source.facts().loc["00000001_001.png"]
    assert known[["findings", "age", "sex", "view"]].tolist() == [
        "Cardiomegaly|Effusion",
        "58",
        "M",
        "",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_val_list.txt": None}, r"has no train_val_list\.txt among its 7 members"),
        ({"test_list.txt": None, "Data_Entry_2017.csv": None}, "no Data_Entry.*, no test_list"),
        (dict.fromkeys(IMAGES), r"has no images_\*/images/\*\.png"),
        ({"Data_Entry_2017.csv": b"Image,Patient\n"}, "has no column 'Image Index'"),
        (
            {"images_002/images/00000002_000.png": None},
            r"images: 3, missing 1 \(00000002_000\.png\); Data_Entry.*: 4; the two lists: 4",
        ),
        (
            {"images_003/images/00000099_000.png": picture(1)},
            r"images: 5; Data_Entry_2017\.csv: 4, missing 1 \(00000099_000\.png\); .* missing 1",
        ),
        ({"test_list.txt": b""}, r"the two lists: 3, missing 1 \(00000002_000\.png\)"),
        ({"test_list.txt": b"00000001_000.png\n00000002_000.png"}, "are on both"),
        ({"images_003/images/00000002_000.png": picture(1)}, r"has 1 image\(s\) twice"),
        (
            {"Data_Entry_2017.csv": (HEADER + "00000001_000.png,,0,,5,M,\n").encode()},
            "images of no patient",
        ),
    ],
)
def test_another_zip_is_refused(tmp_path: Path, change: dict[str, bytes | None], told: str) -> None:
    """What is missing, or what disagrees, is told with counts; nothing is written."""
    members = {name: data for name, data in {**parts(), **change}.items() if data is not None}
    with pytest.raises(DownloadError, match=told):
        fetch(tmp_path, zipped(members))
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    "name", ["../../escaped.png", "/tmp/escaped.png", "images_001/images/../../../escaped.png"]
)
def test_names_in_the_zip_lead_nowhere(tmp_path: Path, name: str) -> None:
    """Nothing is unpacked; a member beside the images is not listed, whatever its name is."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    source = open_source(fetch(folder, zipped({**parts(), name: picture(50)})))
    assert [entry.file for entry in source.entries] == sorted(IMAGES)
    for entry in source.entries:
        assert source.read(entry) == picture(IMAGES[entry.file])
    assert not list(tmp_path.rglob("*escaped*"))
    assert {path.name for path in folder.iterdir()} == {"own.zip", "raw"}


@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", next(iter(IMAGES))])
def test_a_member_that_is_a_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By the size that the zip's directory gives, before it is unpacked."""
    monkeypatch.setattr(nih, "MOST_BYTES", 2**20)
    monkeypatch.setattr(nih, "MOST_IMAGE_BYTES", 2**20)
    data = zipped({**parts(), name: bytes(2**20 + 1)})
    assert len(data) < 10_000
    with pytest.raises(DownloadError, match=rf"1 member\(s\) .*{re.escape(name)} with 1,048,577 b"):
        fetch(tmp_path, data)


def test_the_sample_has_each_image_once_and_its_tables_facts(tmp_path: Path) -> None:
    """It holds all twice; patients, view, sex, age and findings are those of its table."""
    source = open_source(fetch(tmp_path, zipped(sample_parts()), nih.SAMPLE))
    rows = [(each.image, each.patient, each.list, each.file) for each in source.entries]
    assert rows == [
        ("00000013_005.png", "13", "", "sample/images/00000013_005.png"),
        ("00000013_026.png", "13", "", "sample/images/00000013_026.png"),
        ("00000017_001.png", "17", "", "sample/images/00000017_001.png"),
    ]
    values = [read_grey(source.read(each), each.image, "minmax")[0, 0] for each in source.entries]
    assert values == [10, 20, 30]
    known = source.facts().drop(columns=["follow_up"])
    assert known.loc["00000013_005.png"].tolist() == (
        ["AP", "M", "060Y", "Emphysema|Infiltration", "3056", "2544", "0.139", "0.139"]
    )
    assert known.loc["00000017_001.png"].tolist()[:4] == ["PA", "F", "077Y", "No Finding"]
    assert [age_of(age) for age in known["age"]] == ["40-64", "40-64", "65+"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"sample_labels.csv": None},
            r"has no sample_labels\.csv among its 7 members: .*/sample\.",
        ),
        (
            {"sample/images/00000017_001.png": picture(31)},
            r"1 image\(s\) twice, which differ: 0+17",
        ),
        (
            {f"{each}/images/00000017_001.png": None for each in ("sample", "sample/sample")},
            r"images: 2, missing 1 \(00000017_001\.png\); sample_labels\.csv: 3\. .*nih_sample",
        ),
    ],
)
def test_another_zip_than_the_sample_is_refused(
    tmp_path: Path, change: dict[str, bytes | None], told: str
) -> None:
    """As one that is not all of the NIH's; each says which setting takes the right one."""
    members = {**sample_parts(), **change}
    with pytest.raises(DownloadError, match=told):
        fetch(tmp_path, zipped({name: data for name, data in members.items() if data}), nih.SAMPLE)
    with pytest.raises(
        DownloadError, match=r"chest-xrays/sample\..* datasets\.nih_sample\.archive"
    ):
        fetch(tmp_path, zipped(parts()), nih.SAMPLE)


@pytest.mark.parametrize("kept", [0, 100, -30])
def test_a_cut_zip_is_refused_and_kept(tmp_path: Path, kept: int) -> None:
    """The message names the file and what to do; nobody is told to delete 42 GB of their own."""
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path, zipped(parts())[:kept])
    message = str(caught.value)
    assert "own.zip cannot be read as a zip: " in message
    assert "Give an intact copy in datasets.nih.archive" in message
    assert "delete" not in message
    assert "away" not in message
    assert (tmp_path / "own.zip").exists()


def test_an_unpacked_folder_is_told_where_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in the message does it: patients, lists and images are those of the zip."""
    with zipfile.ZipFile(io.BytesIO(zipped(parts()))) as archive:
        archive.extractall(tmp_path / "unpacked")
    with pytest.raises(DownloadError) as caught:
        nih.fetch(Nih(archive=str(tmp_path / "unpacked")), tmp_path / "raw")
    message = str(caught.value)
    assert f"datasets.nih.archive is a folder: {tmp_path / 'unpacked'}." in message
    assert "delete" not in message
    given = dict(re.findall(r"(?:-S |\")([a-z_.]+)=([^ `\"]+)", message))
    assert given["data.name"] == "folder"
    settings = Folder(
        path=given["datasets.folder.path"].strip("'"),
        patient_pattern=given["datasets.folder.patient_pattern"],
        patient_table=None,
        image_column="Image Index",
        patient_column="Patient ID",
        accept_patients=False,
    )
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    monkeypatch.setattr(folder, "MIN_LR_SIDE", 1)
    folder.fetch(settings, tmp_path / "folder", scale=4, sixteen_bit="minmax", use_lists=True)
    zip_source = open_source(fetch(tmp_path, zipped(parts())))
    entries = {each.image: each for each in zip_source.entries}
    for each in open_source(tmp_path / "folder").entries:
        there = entries.pop(each.image.rpartition("/")[2])
        assert (each.list, each.bytes, each.crc32) == (there.list, there.bytes, there.crc32)
        assert each.patient == f"{int(there.patient):08d}"
    assert not entries


def test_an_unpacked_sample_is_told_where_it_is_taken(tmp_path: Path) -> None:
    """In the folder that holds each image once."""
    (tmp_path / "unpacked/sample/images").mkdir(parents=True)
    with pytest.raises(DownloadError) as caught:
        nih.fetch(Nih(archive=str(tmp_path / "unpacked")), tmp_path / "raw", nih.SAMPLE)
    message = str(caught.value)
    assert message.startswith(f"datasets.nih_sample.archive is a folder: {tmp_path / 'unpacked'}.")
    assert f"\"datasets.folder.path='{tmp_path / 'unpacked/sample/images'}'\"" in message
    assert message.endswith("-S datasets.folder.patient_pattern=nih`.")


def test_a_zip_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong path says which setting holds it."""
    with pytest.raises(DownloadError, match=r"no .*absent\.zip: .* datasets\.nih\.archive"):
        nih.fetch(Nih(archive=str(tmp_path / "absent.zip")), tmp_path / "raw")


def test_a_download_that_is_there_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A zip in the cache is looked through and used; the client is not even imported."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(nih, "download", None)
    (tmp_path / "srpipe").mkdir()
    (tmp_path / "srpipe/nih-chest-xrays-data.zip").write_bytes(zipped(parts()))
    nih.fetch(Nih(archive=None), tmp_path / "raw")
    assert len(open_source(tmp_path / "raw").entries) == 4
    assert "already there" in capsys.readouterr().out


def test_the_client_can_still_be_pointed_to_the_stub() -> None:
    """If this fails, the client moved a private table, and `kaggle_stub.CLIENT` must follow."""
    kaggle_env = importlib.import_module("kagglesdk.kaggle_env")

    assert kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] == "http://localhost"


def test_the_real_client_downloads_once(tmp_path: Path, stub: KaggleStub) -> None:
    """The zip lands whole in the cache, not unpacked; a second fetch asks Kaggle for nothing."""
    first = run_client(stub.url, tmp_path)
    assert first.returncode == 0, first.stderr
    cache = tmp_path / "cache/srpipe"
    assert (cache / "nih-chest-xrays-data.zip").read_bytes() == stub.archive
    files = [path.name for path in cache.rglob("*") if path.is_file()]
    assert files == ["nih-chest-xrays-data.zip"]
    assert any(
        request.endswith("DownloadDataset nih-chest-xrays/data") for request in stub.requests
    )
    assert stub.transfers == [f"GET {FILE}"]
    root = json.loads((tmp_path / "data/raw/nih/source.json").read_text())["root"]
    assert root == "repository:cache/srpipe/nih-chest-xrays-data.zip"

    asked = len(stub.requests)
    second = run_client(stub.url, tmp_path, token=None)
    assert second.returncode == 0, second.stderr
    assert "already there" in second.stdout
    assert len(stub.requests) == asked


def test_the_real_client_downloads_the_sample(tmp_path: Path) -> None:
    """By its own name on Kaggle, beside all of the NIH's in the cache."""
    with KaggleStub(zipped(sample_parts())) as stub:
        stub.cuts = [1000]
        done = run_client(stub.url, tmp_path, edition="SAMPLE")
    assert done.returncode == 0, done.stderr
    assert "downloading nih-chest-xrays/sample from Kaggle (about 4 GB)" in done.stdout
    assert any(each.endswith("DownloadDataset nih-chest-xrays/sample") for each in stub.requests)
    cache = tmp_path / "cache/srpipe"
    assert (cache / "nih-chest-xrays-sample.zip").read_bytes() == stub.archive
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [
        "nih-chest-xrays-sample.zip"
    ]
    assert len(open_source(tmp_path / "data/raw/nih").entries) == 3


@pytest.mark.parametrize("token", [None, "a-token-that-is-not-known"])
def test_credentials_are_asked_for_in_one_message(
    tmp_path: Path, stub: KaggleStub, token: str | None
) -> None:
    """Without a token, or with a refused one: how to get it, and how to do without."""
    done = run_client(stub.url, tmp_path, token)
    assert done.returncode == 1
    assert done.stderr.startswith("CredentialsError: Kaggle has no credentials, or refuses")
    for said in ("KAGGLE_API_TOKEN", "~/.kaggle/access_token", "dvc exp run -S data.name=phantom"):
        assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Authentication required" not in done.stdout
    assert str(token) not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "CredentialsError: Kaggle refuses the credentials (HTTP 403)"),
        (404, "DownloadError: Kaggle answered HTTP 404 for nih-chest-xrays/data"),
        (500, "DownloadError: Kaggle answered HTTP 500"),
    ],
)
def test_http_errors_are_explained(
    tmp_path: Path, stub: KaggleStub, status: int, told: str
) -> None:
    """Kaggle's refusals end in our words, without a traceback."""
    stub.status = status
    done = run_client(stub.url, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(told)
    assert "Traceback" not in done.stderr


def test_no_network_is_explained(tmp_path: Path, stub: KaggleStub) -> None:
    """A server that is not there is a matter of the network, not of credentials."""
    with KaggleStub(b"") as gone:
        url = gone.url
    done = run_client(url, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("DownloadError: Kaggle cannot be reached")
    assert "data.name=phantom" in done.stderr


def large() -> bytes:
    """Return a zip of three MiB and a bit."""
    filling = np.random.default_rng(0).bytes(3 * MIB)
    return zipped({**parts(), "BBox_List_2017.csv": filling})


def test_a_broken_transfer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The client, which stores whole MiB (after two bytes that are looked at), asks for the rest
    alone, and again where a server that is busy answers with something else.
    """
    with KaggleStub(large()) as stub:
        stub.cuts = [2 * MIB + 500]
        stub.busy_transfers = [(503, {})]
        done = run_client(stub.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert stub.transfers == [f"GET {FILE}", *2 * [f"GET {FILE} bytes={2 * MIB + 2}-"]]
    assert (tmp_path / "cache/srpipe/nih-chest-xrays-data.zip").read_bytes() == stub.archive


@pytest.mark.parametrize("changed", [False, True])
def test_a_killed_download_goes_on(tmp_path: Path, changed: bool) -> None:
    """SIGKILL in the transfer: the rest alone is asked for, or all, if the archive changed."""
    arriving = tmp_path / "cache/srpipe/nih-chest-xrays-data.zip.arriving/data.zip"
    with KaggleStub(large()) as stub:
        stub.stalls = [2 * MIB + 500]
        with start_client(stub.url, tmp_path) as process:
            end = time.monotonic() + 120
            while not arriving.exists() or arriving.stat().st_size < 2 * MIB + 2:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.01)
            process.kill()
        if changed:
            stub.archive = zipped({**parts(), "BBox_List_2017.csv": bytes(5 * MIB)})
        done = run_client(stub.url, tmp_path)
    assert done.returncode == 0, done.stderr
    # The client looks at what there is, and closes that, before it asks for the rest.
    rest = [] if changed else [f"GET {FILE} bytes={2 * MIB + 2}-"]
    assert stub.transfers == [f"GET {FILE}", f"GET {FILE}", *rest]
    assert (tmp_path / "cache/srpipe/nih-chest-xrays-data.zip").read_bytes() == stub.archive


def test_kaggle_is_waited_for_as_long_as_it_asks(tmp_path: Path, stub: KaggleStub) -> None:
    """429 and 503 with Retry-After are followed; a wait of hours is told instead."""
    stub.busy = [(429, {"Retry_After": "1"}), (503, {"Retry_After": "0"})]
    done = run_client(stub.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Kaggle asks to wait 1 seconds (HTTP 429)" in done.stdout
    assert "Kaggle asks to wait 0 seconds (HTTP 503)" in done.stdout
    stub.busy = [(429, {"Retry_After": "7200"})]
    refused = run_client(stub.url, tmp_path / "other")
    assert refused.stderr.startswith("DownloadError: Kaggle answered HTTP 429")


def test_no_room_is_told_before_the_transfer(tmp_path: Path) -> None:
    """With what is missing and what is free; the real size, as the server tells it."""
    (tmp_path / "cache").mkdir()
    with KaggleStub(large()) as stub, tmpfs(tmp_path / "cache", "1m"):
        done = run_client(stub.url, tmp_path)
        arrived = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert done.returncode == 1
    assert done.stderr.startswith("DownloadError: there is no room for the download: 0.003 GB")
    assert arrived == []


def test_a_flipped_bit_is_found_before_the_archive_is_used(tmp_path: Path) -> None:
    """In an image, which listing alone does not read."""
    data = bytearray(zipped(parts()))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(each for each in archive.infolist() if each.filename.endswith(".png"))
    data[member.header_offset + 30 + len(member.filename) + 20] ^= 1
    with KaggleStub(bytes(data)) as stub:
        done = run_client(stub.url, tmp_path)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("DownloadError: ")
    assert "move" in told
    assert not (tmp_path / "cache/srpipe/nih-chest-xrays-data.zip").exists()
    assert not (tmp_path / "data").exists()


def test_a_damaged_download_does_not_get_the_archives_name(tmp_path: Path) -> None:
    """What arrived whole and is no zip is kept under its own name, and the message names it."""
    with KaggleStub(b"PK, but no zip" * 50) as stub:
        done = run_client(stub.url, tmp_path)
    assert done.returncode == 1
    arrived = tmp_path / "cache/srpipe/nih-chest-xrays-data.zip.arriving/data.zip"
    assert done.stderr.startswith(f"DownloadError: {arrived} cannot be read as a zip")
    assert f"move {arrived} away to download it again" in done.stderr
    assert arrived.exists()
    assert not (tmp_path / "cache/srpipe/nih-chest-xrays-data.zip").exists()
    assert not (tmp_path / "data").exists()
