"""What tests of the command line share: weights, images, an empty folder, a refused command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from srpipe.cli.main import main
from srpipe.formats.raster import encode_png
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr, save_swift

SIZES = {"a.png": (64, 80), "b.PNG": (71, 66), "sub/c.png": (80, 64)}
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint of our own generator."""
    return save_plain_sr(tmp_path_factory.mktemp("weights") / "ours.pt")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint."""
    return save_swift(tmp_path_factory.mktemp("weights") / "tiny.pt")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> Path:
    """Return a folder of three radiographs, a hidden file and a text file."""
    folder = tmp_path_factory.mktemp("images")
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encode_png(make_image(seed, height, width)))
    (folder / ".hidden.png").write_text("not read")
    (folder / "notes.txt").write_text("not read")
    return folder


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that runs a command which must fail, and returns its one message."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        assert caught.value.code == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        lines = [line for line in shown.err.replace("\r", "\n").splitlines() if line.strip()]
        message = "\n".join(line for line in lines if "image/s" not in line)
        assert message.startswith("error: ")
        assert message.count("error: ") == 1
        assert "Traceback" not in message
        return message

    return run
