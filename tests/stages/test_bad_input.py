"""What people do wrong ends in one clear message and exit code 1, and loses nothing."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from srpipe.formats.raster import encode_png
from srpipe.models.checkpoint import save_generator
from srpipe.settings.train import Generator
from srpipe.training.networks import build_generator, hyperparameters
from tests.conftest import MakeImage
from tests.disk import tmpfs
from tests.stages.finished import GENERATOR, change_params, outputs, stage_main


def save_weights(name: str, scale: int, settings: Generator = GENERATOR) -> None:
    """Write an untrained generator to where the train stage puts it."""
    save_generator(
        Path("models", name),
        build_generator(settings, scale),
        architecture=settings.name,
        hyperparameters=hyperparameters(settings, scale),
        training={},
        metrics={},
    )


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Return a function that runs a stage which must fail, and returns its message.

    It asserts exit code 1, one message and nothing else on stderr, and that every output is as it
    was.
    """

    def run(stage: str) -> str:
        before = outputs()
        assert before
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            stage_main(stage)()
        assert caught.value.code == 1
        assert outputs() == before
        # Progress bars end in a carriage return or stand on lines of their own.
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        lines = [line for line in lines if line.strip() and "image/s" not in line]
        lines = [line for line in lines if "step/s" not in line]
        assert lines
        assert lines[0].startswith("error: ")
        assert sum("error: " in line for line in lines) == 1
        message = "\n".join(lines)
        assert "Traceback" not in message
        return message

    return run


Refused = Callable[[str], str]

# ------------------------------------------------------------------ images


def test_a_missing_folder(workspace: Path, refused: Refused) -> None:
    """The message names the folder and the setting."""
    shutil.rmtree("own")
    message = refused("download")
    assert str(workspace / "own") in message
    assert "is not there" in message
    assert "datasets.folder.path" in message


def test_an_empty_folder(workspace: Path, refused: Refused) -> None:
    """The message says what would be an image."""
    shutil.rmtree("own")
    Path("own").mkdir()
    Path("own/notes.txt").write_text("no image")
    message = refused("download")
    assert "no image in" in message
    assert ".png" in message


def test_a_truncated_png(workspace: Path, refused: Refused) -> None:
    """A copy that broke off is named, by both stages that read images."""
    path = Path("own/b_1.png")
    path.write_bytes(path.read_bytes()[:-200])
    message = refused("download")
    assert "b_1.png" in message
    assert "1 of 5 image(s)" in message
    assert "b_1.png changed since it was listed" in refused("downsample")


def test_text_named_png(workspace: Path, refused: Refused) -> None:
    """What a file is counts, not how it is named."""
    Path("own/e_1.png").write_text("<html>404 Not Found</html>")
    message = refused("download")
    assert "e_1.png" in message
    assert "PNG, JPEG, TIFF, BMP and JPEG 2000" in message


def test_all_bad_images_are_told_at_once(workspace: Path, refused: Refused) -> None:
    """One run tells of every file, so that they can be mended together."""
    for name in ("x_1.png", "y_1.jpg", "z_1.tif"):
        Path("own", name).write_text("text")
    message = refused("download")
    assert "3 of 8 image(s)" in message
    assert all(name in message for name in ("x_1.png", "y_1.jpg", "z_1.tif"))


def test_an_image_too_small_for_the_scale(
    workspace: Path, refused: Refused, make_image: MakeImage
) -> None:
    """The message gives its size and the least that is allowed at this scale."""
    Path("own/e_1.png").write_bytes(encode_png(make_image(9, 63, 200)))
    message = refused("download")
    assert "e_1.png is 200 x 63 pixels" in message
    assert "64" in message


def test_images_too_small_for_a_larger_scale(workspace: Path, refused: Refused) -> None:
    """At 8x images of 64 px are refused before anything is made of them."""
    change_params(lambda params: params["downsample"].update(scale=8))
    assert "128" in refused("download")
    assert "downsample.scale" in refused("downsample")


def test_images_smaller_than_a_crop(workspace: Path, refused: Refused) -> None:
    """Training names the image and the setting."""
    change_params(lambda params: params["train"]["crops"].update(size=96))
    assert "train.crops.size" in refused("train")


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("none.safetensors", "none.safetensors does not exist"),
        ("own/a_1.png", "a_1.png is no checkpoint"),
        ("other.pt", "features is 4 there and 8 here"),
    ],
)
def test_a_start_that_cannot_be_trained_on(
    workspace: Path, refused: Refused, file: str, told: str
) -> None:
    """No file, no weights, weights of another generator."""
    shutil.copy("models/generator.pt", "other.pt")

    def spoil(params: dict[str, Any]) -> None:
        params["train"]["start"] = file
        params["train"]["generator"]["features"] = 8

    change_params(spoil)
    assert told in refused("train")


# ------------------------------------------------------------------ settings


def test_an_unknown_key(workspace: Path, refused: Refused) -> None:
    """A misspelt key is not ignored: its stage refuses it, and so does the first of all."""
    change_params(lambda params: params["train"].update(epoch=10))
    for stage in ("download", "train"):
        assert "train.epoch: unknown key (given 10)" in refused(stage)


def test_all_wrong_settings_are_told_at_once(workspace: Path, refused: Refused) -> None:
    """Wrong types, missing keys and values out of range, each with its name and what was given."""

    def spoil(params: dict[str, Any]) -> None:
        params["train"]["epochs"] = "many"
        params["train"]["loss"]["content"] = -1.0
        params["downsample"]["scale"] = 3
        del params["evaluate"]["seed"]

    change_params(spoil)
    message = refused("download")
    assert "4 problem(s) in params.yaml" in message
    assert "train.epochs: given 'many'" in message
    assert "train.loss.content: given -1.0" in message
    assert "downsample.scale: given 3" in message
    assert "evaluate.seed: missing" in message


def test_a_missing_file_of_settings(workspace: Path, refused: Refused) -> None:
    """A stage started from another folder says where it should be started."""
    Path("params.yaml").unlink()
    assert "run this from the root of the repository" in refused("split")


@pytest.mark.parametrize(
    ("variable", "value", "stage"),
    [
        ("SRPIPE_DEVICE", "gpu", "train"),
        ("SRPIPE_DEVICE", "cuda:99x", "evaluate"),
        ("SRPIPE_WORKERS", "all", "downsample"),
        ("SRPIPE_MLFLOW", "yes", "train"),
    ],
)
def test_a_wrong_environment(
    workspace: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    stage: str,
) -> None:
    """The message names the variable and what it was."""
    monkeypatch.setenv(variable, value)
    assert f"{variable} is {value!r}" in refused(stage)


# ------------------------------------------------------------------ outputs of other stages


@pytest.mark.parametrize(
    ("stage", "file", "earlier"),
    [
        ("downsample", "data/raw/folder/source.json", "dvc repro download"),
        ("split", "data/packed/manifest.csv", "downsample stage"),
        ("baseline", "data/split.csv", "split stage"),
        ("train", "data/packed/hr.bin", "downsample stage"),
        ("evaluate", "metrics/baseline.csv", "baseline stage"),
        ("evaluate", "models/generator.pt", "weights"),
        ("evaluate", "models/pixel.pt", "weights"),
    ],
)
def test_a_missing_input(
    workspace: Path, refused: Refused, stage: str, file: str, earlier: str
) -> None:
    """A stage that is run too early names the file and what makes it."""
    Path(file).unlink()
    message = refused(stage)
    assert file in message
    assert earlier in message


@pytest.mark.parametrize(
    ("stage", "file", "named"),
    [
        ("downsample", "data/raw/folder/manifest.csv", "data/raw/folder/manifest.csv"),
        ("split", "data/packed/manifest.csv", "data/packed/manifest.csv"),
        ("train", "data/packed/packed.json", "data/packed"),
        ("baseline", "data/split.csv", "data/split.csv"),
        ("evaluate", "models/generator.pt", "models/generator.pt"),
        ("evaluate", "models/pixel.pt", "models/pixel.pt"),
        ("evaluate", "metrics/baseline.csv", "metrics/baseline.csv"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x93 not what it should be\n"])
def test_a_damaged_input(
    workspace: Path, refused: Refused, stage: str, file: str, named: str, content: bytes
) -> None:
    """A file that was cut or overwritten is named, or its folder."""
    Path(file).write_bytes(content)
    assert named in refused(stage)


def test_a_shortened_packed_file(workspace: Path, refused: Refused) -> None:
    """Half a copy of the pixels is seen before a crop is read from it."""
    path = Path("data/packed/lr.bin")
    path.write_bytes(path.read_bytes()[:-1])
    assert "data/packed is damaged" in refused("baseline")


@pytest.mark.parametrize("stage", ["baseline", "train", "evaluate"])
def test_a_flipped_bit_in_a_packed_file(workspace: Path, refused: Refused, stage: str) -> None:
    """It is found before the stage works for hours."""
    path = Path("data/packed/hr.bin")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "data/packed/hr.bin is not what was written" in refused(stage)


@pytest.mark.parametrize("stage", ["baseline", "train", "evaluate"])
def test_a_split_that_leaks(workspace: Path, refused: Refused, stage: str) -> None:
    """A patient on two sides is refused by every stage that uses the split."""
    split = pd.read_csv("data/split.csv")
    split.loc[split["image"] == "a_1.png", "subset"] = "train"
    split.loc[split["image"] == "a_2.png", "subset"] = "test"
    split.to_csv("data/split.csv", index=False)
    message = refused(stage)
    assert "on two sides of the split, the first is a" in message


def test_too_few_patients_to_split(workspace: Path, refused: Refused) -> None:
    """With two patients one subset would be empty."""
    manifest = pd.read_csv("data/packed/manifest.csv")
    manifest["patient"] = ["a", "a", "b", "b", "b"]
    manifest.to_csv("data/packed/manifest.csv", index=False)
    assert "give at least three patients" in refused("split")


@pytest.mark.parametrize("name", ["generator.pt", "pixel.pt"])
def test_weights_of_another_scale(workspace: Path, refused: Refused, name: str) -> None:
    """Evaluation does not score a 2x generator on 4x images."""
    save_weights(name, 2)
    message = refused("evaluate")
    assert f"models/{name} is a 2x generator, the images are for 4x" in message


def test_generators_of_two_trainings(workspace: Path, refused: Refused) -> None:
    """Nothing lies between generators that are built differently."""
    save_weights("pixel.pt", 4, GENERATOR.model_copy(update={"features": 8}))
    assert "features (8 and 4)" in refused("evaluate")


def test_baseline_of_other_images(workspace: Path, refused: Refused) -> None:
    """Gains are taken image by image, so both tables must be about the same."""
    table = pd.read_csv("metrics/baseline.csv")
    table["image"] = "other.png"
    table.to_csv("metrics/baseline.csv", index=False)
    assert "dvc repro --force baseline" in refused("evaluate")


# ------------------------------------------------------------------ full disk


@pytest.fixture
def full_disk(workspace: Path) -> Iterator[Callable[[str], None]]:
    """Return a function that puts an output folder on a disk of its own, full to the last byte.

    Skip where this user may not mount.
    """
    mounted = contextlib.ExitStack()

    def fill(name: str) -> None:
        place = workspace / name
        content = place.rename(workspace / f"{name}.before")
        place.mkdir()
        mounted.enter_context(tmpfs(place, "1m"))
        shutil.copytree(content, place, dirs_exist_ok=True)
        with (place / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    with mounted:
        yield fill


@pytest.mark.parametrize(
    ("stage", "folder", "output"),
    [
        ("download", "data", "data/raw/folder"),
        ("downsample", "data", "data/packed"),
        ("split", "data", "data/split.csv"),
        ("baseline", "metrics", "metrics/baseline.csv"),
        ("train", "models", "models/pixel.pt"),
        ("evaluate", "metrics", "metrics/evaluate"),
    ],
)
def test_a_full_disk(
    workspace: Path,
    full_disk: Callable[[str], None],
    refused: Refused,
    stage: str,
    folder: str,
    output: str,
) -> None:
    """The message names the output and the reason, and the old one is whole."""
    full_disk(folder)
    message = refused(stage)
    assert f"cannot write {output}" in message
    assert "No space left on device" in message
