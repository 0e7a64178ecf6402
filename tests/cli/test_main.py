"""`srpipe` scores a folder as the pipeline would, and tells in one message what is wrong."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from srpipe.cli.main import commit, main
from srpipe.core import paths
from srpipe.formats.raster import encode_png, read_file
from srpipe.imaging.resample import downsample
from srpipe.metrics.baselines import baseline_scores
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.checkpoint import load_generator, save_generator
from srpipe.models.inference import super_resolve
from srpipe.models.interpolate import same_weights
from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SwiftSRGAN
from tests.conftest import MakeImage

COMMANDS = ("upscale", "evaluate", "interpolate", "show", "export")
ARGUMENTS: dict[str, Any] = {
    "channels": 1,
    "features": 4,
    "blocks": 1,
    "scale": 4,
    "bicubic_skip": False,
}
SIZES = {"a.png": (64, 80), "b.PNG": (71, 66), "sub/c.png": (80, 64)}


def save_swift(path: Path, seed: int = 0, **changed: Any) -> Path:
    """Write a small Swift-SRGAN checkpoint, the same each time."""
    arguments = {**ARGUMENTS, **changed}
    torch.manual_seed(seed)
    save_generator(
        path,
        SwiftSRGAN(**arguments),
        architecture="swift_srgan",
        hyperparameters=arguments,
        training={},
        metrics={},
    )
    return path


def save_plain_sr(path: Path) -> Path:
    """Write a small plain_sr checkpoint that is a little off bicubic."""
    arguments = {**ARGUMENTS, "bicubic_skip": True}
    torch.manual_seed(0)
    model = PlainSR(**arguments)
    torch.nn.init.normal_(model.tail.weight, std=0.02)
    save_generator(
        path,
        model,
        architecture="plain_sr",
        hyperparameters=arguments,
        training={"seed": 3},
        metrics={"psnr": 40.5},
    )
    return path


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint of our own generator."""
    return save_plain_sr(tmp_path_factory.mktemp("weights") / "ours.pt")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint."""
    return save_swift(tmp_path_factory.mktemp("weights") / "tiny.pt")


@pytest.fixture(scope="module")
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


def evaluate(weights: Path, images: Path, *more: str) -> dict[str, Any]:
    """Run `srpipe evaluate` and return its JSON."""
    base = ["evaluate", "--weights", str(weights), "--images", str(images)]
    main([*base, "--json", "scores.json", *more])
    result: dict[str, Any] = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    return result


# ------------------------------------------------------------------ evaluate


def test_the_json_has_one_form(weights: Path, images: Path) -> None:
    """Means, then a row an image by its path below the folder, each with the same 18 scores."""
    result = evaluate(weights, images)
    keys = [
        f"{prefix}{name}" for prefix in ("", "bicubic_", "bicubic_bp_") for name in Scores.names()
    ]
    assert list(result) == ["consistent", "mean", "images"]
    assert result["consistent"] is False
    assert list(result["mean"]) == keys
    assert [list(row) for row in result["images"]] == [["image", *keys]] * 3
    assert [row["image"] for row in result["images"]] == sorted(SIZES)
    for key in keys:
        values = [row[key] for row in result["images"]]
        assert all(math.isfinite(value) for value in values)
        assert result["mean"][key] == pytest.approx(sum(values) / 3, abs=2e-6)


def test_scores_are_the_scorers(weights: Path, images: Path) -> None:
    """Each image is cut to a multiple of the scale, made small, enlarged and compared."""
    model = load_generator(weights).model
    for row in evaluate(weights, images)["images"]:
        whole = read_file(images / row["image"], "minmax")
        hr = whole[: whole.shape[0] // 4 * 4, : whole.shape[1] // 4 * 4]
        against = reference(hr, downsample(hr, 4))
        expected = {
            **asdict(score(super_resolve(model, against.lr), against)),
            **baseline_scores(against, 3),
        }
        assert {key: value for key, value in row.items() if key != "image"} == {
            key: round(value, 6) for key, value in expected.items()
        }


def test_the_table_shows_the_means(
    weights: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row a method; below it, on how many images the generator is better."""
    result = evaluate(weights, images)
    mean, rows = result["mean"], result["images"]
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "method",
        "PSNR (dB)",
        "PSNR masked (dB)",
        "SSIM",
        "SSIM masked",
        "LR-PSNR (dB)",
        "content dist.",
    ]
    labels = {
        "bicubic + 3 back-projections": "bicubic_bp_",
        "bicubic": "bicubic_",
        "tiny.pt (swift_srgan 4x)": "",
    }
    for line, (label, prefix) in zip(lines[2:5], labels.items(), strict=True):
        assert [cell.strip() for cell in line.strip("|").split("|")] == [
            label,
            f"{mean[prefix + 'psnr']:.2f}",
            f"{mean[prefix + 'psnr_masked']:.2f}",
            f"{mean[prefix + 'ssim']:.4f}",
            f"{mean[prefix + 'ssim_masked']:.4f}",
            f"{mean[prefix + 'lr_psnr']:.2f}",
            f"{mean[prefix + 'content_distance']:.2f}",
        ]
    for line, name in zip(lines[5:], ("bicubic", "bicubic_bp"), strict=True):
        whole = sum(row["psnr"] > row[f"{name}_psnr"] for row in rows)
        masked = sum(row["psnr_masked"] > row[f"{name}_psnr_masked"] for row in rows)
        assert line == f"PSNR better than {name} on {whole} of 3 images, masked on {masked}."


def test_a_list_chooses_images(weights: Path, images: Path) -> None:
    """Only the names on it are scored, in its order; empty lines do not count."""
    Path("list.txt").write_text("sub/c.png\n\na.png\r\n")
    rows = evaluate(weights, images, "--list", "list.txt")["images"]
    assert [row["image"] for row in rows] == ["sub/c.png", "a.png"]


def test_a_listed_name_may_hold_spaces(
    weights: Path, tmp_path: Path, make_image: MakeImage
) -> None:
    """The list has a name a line, not a name a word."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thorax p.a..png").write_bytes(encode_png(make_image(0, 64, 64)))
    Path("list.txt").write_text("thorax p.a..png\n")
    rows = evaluate(weights, tmp_path / "own", "--list", "list.txt")["images"]
    assert [row["image"] for row in rows] == ["thorax p.a..png"]


def test_one_image_is_enough(weights: Path, images: Path) -> None:
    """A file in place of a folder gives the same scores as in the folder."""
    rows = evaluate(weights, images)["images"]
    one = evaluate(weights, images / "a.png")
    assert one["images"] == [row for row in rows if row["image"] == "a.png"]
    assert one["mean"] == {key: one["images"][0][key] for key in one["mean"]}


def test_back_projections_change_that_baseline_alone(weights: Path, images: Path) -> None:
    """More steps are more faithful to the LR image."""
    three = evaluate(weights, images)["mean"]
    ten = evaluate(weights, images, "--back-projections", "10")["mean"]
    assert ten["bicubic_bp_lr_psnr"] > three["bicubic_bp_lr_psnr"]
    assert {key for key in ten if ten[key] != three[key]} <= {
        f"bicubic_bp_{name}" for name in Scores.names()
    }


def test_sixteen_bit_is_read_as_asked(weights: Path, tmp_path: Path) -> None:
    """A dim 16-bit image is stretched by default and stays dim with full_range."""
    dim = np.random.default_rng(0).integers(0, 4000, (64, 64), dtype=np.uint16)
    Image.fromarray(dim).save(tmp_path / "dim.png")
    stretched = evaluate(weights, tmp_path / "dim.png")["mean"]
    full = evaluate(weights, tmp_path / "dim.png", "--sixteen-bit", "full_range")["mean"]
    assert full["bicubic_psnr"] > stretched["bicubic_psnr"] + 10


def test_a_colour_generator_sees_grey(images: Path, tmp_path: Path) -> None:
    """Three channels, as published, and the plain form: both are scored."""
    colour = save_swift(tmp_path / "colour.pt", channels=3)
    torch.save(load_generator(colour).model.state_dict(), tmp_path / "plain.pth.tar")
    assert evaluate(colour, images)["mean"] == evaluate(tmp_path / "plain.pth.tar", images)["mean"]


def test_the_scale_is_the_generators(images: Path, tmp_path: Path) -> None:
    """A 2x generator is scored on LR images of half the size."""
    two = evaluate(save_swift(tmp_path / "two.pt", scale=2), images)["mean"]
    four = evaluate(save_swift(tmp_path / "four.pt"), images)["mean"]
    assert two["bicubic_psnr"] > four["bicubic_psnr"] + 1


def test_consistent_images_are_scored_when_asked(ours: Path, images: Path) -> None:
    """The generator's alone: its images downsample to LR, and the baselines stay as they were."""
    plain = evaluate(ours, images)
    consistent = evaluate(ours, images, "--consistent")
    assert consistent["mean"]["lr_psnr"] > plain["mean"]["lr_psnr"] + 5
    assert consistent["mean"]["psnr"] > plain["mean"]["psnr"]
    for key, value in plain["mean"].items():
        assert (consistent["mean"][key] == value) == key.startswith("bicubic"), key
    row = consistent["images"][0]
    hr = read_file(images / row["image"], "minmax")
    against = reference(hr, downsample(hr, 4))
    made = super_resolve(load_generator(ours).model, against.lr, consistent=True)
    assert row["psnr"] == round(score(made, against).psnr, 6)


# ------------------------------------------------------------------ evaluate, done wrong

Refused = Callable[..., str]


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


def test_missing_weights(images: Path, refused: Refused) -> None:
    message = refused("evaluate", "--weights", "gone.pt", "--images", images)
    assert "gone.pt does not exist" in message


def test_weights_that_are_no_checkpoint(images: Path, refused: Refused) -> None:
    """An image, or nothing at all, is not taken for weights."""
    Path("empty.pt").write_bytes(b"")
    for path in (images / "a.png", Path("empty.pt"), images):
        assert str(path) in refused("evaluate", "--weights", path, "--images", images)


def test_a_missing_folder(weights: Path, refused: Refused) -> None:
    message = refused("evaluate", "--weights", weights, "--images", "gone")
    assert "--images: gone does not exist" in message


def test_an_empty_folder(weights: Path, refused: Refused, tmp_path: Path) -> None:
    """The message says which endings count."""
    (tmp_path / "notes.txt").write_text("")
    message = refused("evaluate", "--weights", weights, "--images", tmp_path)
    assert "holds no image" in message
    assert ".tiff" in message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a.png\nz.png\n", "1 of the 2 names in list.txt"),
        (b"", "0 of the 0 names"),
        (b"\xff\xfe\x00", "cannot read list.txt"),
        (None, "cannot read list.txt"),
    ],
)
def test_a_bad_list(
    weights: Path, images: Path, refused: Refused, content: bytes | None, told: str
) -> None:
    """Unknown names, no name, no text, no file."""
    if content is not None:
        Path("list.txt").write_bytes(content)
    base = ("evaluate", "--weights", weights, "--images", images)
    assert told in refused(*base, "--list", "list.txt")


def test_text_named_png(weights: Path, refused: Refused) -> None:
    """The message names the file and what is read."""
    Path("page.png").write_text("<html>404</html>")
    message = refused("evaluate", "--weights", weights, "--images", "page.png")
    assert "page.png" in message
    assert "PNG, JPEG and TIFF" in message


def test_an_image_too_small(weights: Path, refused: Refused, make_image: MakeImage) -> None:
    """The message gives the least that the generator's scale allows."""
    Path("small.png").write_bytes(encode_png(make_image(0, 63, 64)))
    message = refused("evaluate", "--weights", weights, "--images", "small.png")
    assert "small.png is 64x63 pixels" in message
    assert "64" in message


def test_json_that_cannot_be_written(
    weights: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file; the scores, which took the time, are shown all the same."""
    Path("file").write_text("")
    base = ["evaluate", "--weights", str(weights), "--images", str(images)]
    with pytest.raises(SystemExit) as caught:
        main([*base, "--json", "file/scores.json"])
    assert caught.value.code == 1
    shown = capsys.readouterr()
    assert "error: cannot write file/scores.json" in shown.err
    assert "Traceback" not in shown.err
    assert "tiny.pt (swift_srgan 4x)" in shown.out


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "²"])
def test_a_wrong_number_of_back_projections(
    weights: Path, images: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage is shown, with what was given and what is allowed."""
    base = ["evaluate", "--weights", str(weights), "--images", str(images)]
    with pytest.raises(SystemExit) as caught:
        main([*base, f"--back-projections={value}"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert repr(value) in message
    assert "whole number of at least 1" in message


# ------------------------------------------------------------------ the published model

# Measured with netG_4x_epoch5.pth.tar by this command; whole-image and masked PSNR (dB).
PUBLISHED = {
    "00000211_018.png": (44.05, 45.07),
    "00003441_000.png": (45.17, 46.77),
    "00010943_000.png": (43.48, 44.31),
}


def test_the_published_model_scores_what_it_should(
    published_checkpoint: Path, nih_sample: Path
) -> None:
    """On 3 of the 31 real test images, better than bicubic on each, masked too."""
    Path("list.txt").write_text("\n".join(PUBLISHED))
    rows = evaluate(published_checkpoint, nih_sample / "images", "--list", "list.txt")["images"]
    for row in rows:
        psnr, masked = PUBLISHED[row["image"]]
        assert row["psnr"] == pytest.approx(psnr, abs=0.05)
        assert row["psnr_masked"] == pytest.approx(masked, abs=0.05)
        assert row["psnr"] > row["bicubic_psnr"] + 2
        assert row["psnr_masked"] > row["bicubic_psnr_masked"] + 1


# ------------------------------------------------------------------ upscale


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> Path:
    """Return a folder of LR images: a PNG, a JPEG and one in a folder below; and a text."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "sub").mkdir()
    for seed, name in enumerate(("a.png", "b.JPG", "sub/c.d.png")):
        image = Image.fromarray(make_image(seed, 20, 24 + seed))
        image.save(folder / name)
    (folder / "notes.txt").write_text("not read")
    return folder


def upscaled(folder: Path) -> dict[str, Any]:
    """Return all files below a folder, as images by their path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with Image.open(path) as image:
                assert (image.format, image.mode) == ("PNG", "L")
                found[path.relative_to(folder).as_posix()] = np.asarray(image)
    return found


@pytest.mark.parametrize("consistent", [False, True])
def test_a_folder_is_upscaled(
    ours: Path, small: Path, consistent: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each image to an 8-bit grey PNG at its place in the other folder: what the generator makes of
    it, and with --consistent what downsamples to it.
    """
    more = ["--consistent"] if consistent else []
    main(["upscale", "--weights", str(ours), "--images", str(small), "--out", "large", *more])
    said = f"3 image(s) in large, 4 times as large each way, by {ours} on cpu\n"
    assert capsys.readouterr().out == said
    found = upscaled(Path("large"))
    assert list(found) == ["a.png", "b.png", "sub/c.d.png"]
    model = load_generator(ours).model
    for name, source in (("a.png", "a.png"), ("b.png", "b.JPG"), ("sub/c.d.png", "sub/c.d.png")):
        lr = read_file(small / source, "minmax")
        assert np.array_equal(found[name], super_resolve(model, lr, consistent=consistent))
        off = np.abs(downsample(found[name], 4).astype(int) - lr)
        assert ((off > 1).mean() < 0.01) == consistent


def test_one_image_is_upscaled(weights: Path, small: Path) -> None:
    """To the bytes that it has in the folder."""
    for images, out in ((small, "all"), (small / "sub/c.d.png", "one")):
        main(["upscale", "--weights", str(weights), "--images", str(images), "--out", out])
    assert list(upscaled(Path("one"))) == ["c.d.png"]
    assert Path("one/c.d.png").read_bytes() == Path("all/sub/c.d.png").read_bytes()


def test_bf16_is_off_by_little(ours: Path, small: Path) -> None:
    """A grey level here and there."""
    base = ["upscale", "--weights", str(ours), "--images", str(small / "a.png"), "--out"]
    main([*base, "fp32"])
    main([*base, "bf16", "--precision", "bf16"])
    fp32, bf16 = (upscaled(Path(name))["a.png"].astype(int) for name in ("fp32", "bf16"))
    assert 0 < np.abs(fp32 - bf16).max() <= 3


def test_sixteen_bit_images_are_upscaled_as_asked(ours: Path) -> None:
    """A dim one is stretched by default and stays dim with full_range."""
    dim = np.random.default_rng(0).integers(0, 4000, (20, 20), dtype=np.uint16)
    Image.fromarray(dim).save("dim.png")
    base = ["upscale", "--weights", str(ours), "--images", "dim.png", "--out"]
    main([*base, "minmax"])
    main([*base, "full", "--sixteen-bit", "full_range"])
    assert upscaled(Path("minmax"))["dim.png"].max() > 200
    assert upscaled(Path("full"))["dim.png"].max() < 30


def test_the_released_generator_is_the_default(small: Path) -> None:
    """The repository's, wherever the command is given."""
    main(["upscale", "--images", str(small / "a.png"), "--out", "large"])
    released = Path(__file__).resolve().parents[1] / paths.RELEASED_FIDELITY
    wanted = super_resolve(load_generator(released).model, read_file(small / "a.png", "minmax"))
    assert np.array_equal(upscaled(Path("large"))["a.png"], wanted)


def test_a_released_generator_that_is_not_there(
    tmp_path: Path, small: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names its file."""
    monkeypatch.setattr("srpipe.cli.CODE", tmp_path / "nowhere/srpipe")
    message = refused("upscale", "--images", small / "a.png", "--out", "large")
    assert f"{paths.RELEASED_FIDELITY} does not exist" in message
    assert not Path("large").exists()


@pytest.mark.parametrize("images", ["own", "own/a.png"])
@pytest.mark.parametrize("out", ["own", "link", "own/sub/.."])
def test_inputs_are_not_overwritten(
    weights: Path, small: Path, refused: Refused, images: str, out: str
) -> None:
    """Whatever the folder is called by; nothing is written."""
    shutil.copytree(small, "own")
    Path("link").symlink_to("own")
    before = {path: path.read_bytes() for path in Path("own").rglob("*") if path.is_file()}
    message = refused("upscale", "--weights", weights, "--images", images, "--out", out)
    inside = "a.png is one of the images: give another folder"
    assert (
        inside if images == "own/a.png" else "results would be images of the next run"
    ) in message
    after = {path: path.read_bytes() for path in Path("own").rglob("*") if path.is_file()}
    assert after == before


def test_two_images_of_one_target_are_refused(weights: Path, small: Path, refused: Refused) -> None:
    """Both are named, and the file that they would become; nothing is written."""
    shutil.copytree(small, "own")
    shutil.copy(small / "b.JPG", "own/a.jpg")
    message = refused("upscale", "--weights", weights, "--images", "own", "--out", "large")
    assert "a.jpg and a.png would both become large/a.png: rename one" in message
    assert not Path("large").exists()


def test_a_bad_image_is_named_and_what_was_done_stays(
    weights: Path, small: Path, refused: Refused
) -> None:
    """Of the bad one nothing is written, not even a part."""
    shutil.copytree(small, "own")
    Path("own/b.JPG").write_text("<html>404</html>")
    message = refused("upscale", "--weights", weights, "--images", "own", "--out", "large")
    assert "own/b.JPG" in message
    assert list(upscaled(Path("large"))) == ["a.png"]


@pytest.mark.parametrize("size", [(1, 1), (2, 30), (30, 2)])
def test_an_image_too_small_to_upscale(ours: Path, refused: Refused, size: tuple[int, int]) -> None:
    """One message, no traceback."""
    Image.fromarray(np.zeros(size, dtype=np.uint8)).save("tiny.png")
    message = refused("upscale", "--weights", ours, "--images", "tiny.png", "--out", "large")
    assert "tiny.png" in message


def test_an_out_that_is_a_file_is_refused(weights: Path, small: Path, refused: Refused) -> None:
    """It stays as it was."""
    Path("large").write_text("mine")
    message = refused("upscale", "--weights", weights, "--images", small, "--out", "large")
    assert "large" in message
    assert Path("large").read_text() == "mine"


# ------------------------------------------------------------------ interpolate


def test_interpolation_writes_a_checkpoint_like_any_other(
    weights: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it was made of, loads, and is scored."""
    other = save_swift(Path("other.pt"), seed=1)
    command = ["interpolate", "--pixel", str(weights), "--adversarial", str(other)]
    main([*command, "--alpha", "0.25", "--out", "made/mixed.pt"])
    assert capsys.readouterr().out == "wrote made/mixed.pt\n"
    mixed = load_generator(Path("made/mixed.pt"))
    assert (mixed.architecture, mixed.hyperparameters) == ("swift_srgan", ARGUMENTS)
    assert mixed.record == {
        "training": {
            "interpolation": {
                "alpha": 0.25,
                "pixel_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
                "adversarial_sha256": hashlib.sha256(other.read_bytes()).hexdigest(),
            }
        },
        "metrics": {},
    }
    name = "final_conv.pointwise.weight"
    start, end = (load_generator(path).model.state_dict()[name] for path in (weights, other))
    torch.testing.assert_close(mixed.model.state_dict()[name], 0.75 * start + 0.25 * end)
    assert math.isfinite(evaluate(Path("made/mixed.pt"), images)["mean"]["content_distance"])


@pytest.mark.parametrize(("alpha", "parent"), [("0", "tiny.pt"), ("1", "other.pt")])
def test_the_ends_of_an_interpolation_are_the_parents(
    weights: Path, alpha: str, parent: str
) -> None:
    """Bit by bit."""
    other = save_swift(Path("other.pt"), seed=1)
    command = ["interpolate", "--pixel", str(weights), "--adversarial", str(other)]
    main([*command, "--alpha", alpha, "--out", "mixed.pt"])
    wanted = load_generator({weights.name: weights, other.name: other}[parent])
    assert same_weights(load_generator(Path("mixed.pt")), wanted)


def test_generators_that_do_not_fit_are_not_mixed(weights: Path, refused: Refused) -> None:
    """The message says what differs; nothing is written."""
    wide = save_swift(Path("wide.pt"), features=8)
    command = ("interpolate", "--pixel", weights, "--adversarial", wide)
    message = refused(*command, "--alpha", "0.5", "--out", "mixed.pt")
    assert "features (4 and 8)" in message
    assert not Path("mixed.pt").exists()


@pytest.mark.parametrize("alpha", ["-0.1", "1.5", "nan", "half", ""])
def test_a_wrong_alpha(weights: Path, alpha: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The usage is shown, with what was given and what is allowed."""
    command = ["interpolate", "--pixel", str(weights), "--adversarial", str(weights)]
    with pytest.raises(SystemExit) as caught:
        main([*command, f"--alpha={alpha}", "--out", "mixed.pt"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert repr(alpha) in message
    assert "a number from 0 to 1" in message


# ------------------------------------------------------------------ show, export, help


def write_metrics() -> None:
    """Write metrics as the pipeline does, all numbers made up."""
    values = (40.0, 0.95, 42.0, 0.96, 50.0, 7.0)
    numbers = dict(zip(Scores.names(), values, strict=True))
    gain = {"mean": 1.25, "low": 0.5, "high": 2.0, "better_images": 7}
    gains = dict.fromkeys(numbers, gain)
    evaluated = {name: {"mean": value + 1} for name, value in numbers.items()}
    Path("metrics").mkdir()
    Path("metrics/baseline.json").write_text(
        json.dumps({"images": 9, "bicubic": numbers, "bicubic_bp": numbers})
    )
    evaluated |= {"over_bicubic": gains, "over_bicubic_bp": gains}
    Path("metrics/evaluate.json").write_text(
        json.dumps({"consistent": False, "images": 9, "patients": 8, **evaluated}),
    )


def test_show_prints_the_last_results(capsys: pytest.CaptureFixture[str]) -> None:
    """Three methods, the number of images and patients, and the gains with their intervals."""
    write_metrics()
    main(["show"])
    out = capsys.readouterr().out
    assert "| trained generator " in out
    assert "41.00" in out
    assert "8.00" in out
    assert "9 test images of 8 patients" in out
    assert out.count("PSNR +1.25 [+0.50, +2.00] dB") == 2
    assert out.count("better on 7 and 7 images") == 2


def test_show_without_results(refused: Refused) -> None:
    """The message says what makes them."""
    message = refused("show")
    assert "metrics/baseline.json is missing" in message
    assert "make repro" in message


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"images": 9}'])
def test_show_with_damaged_results(refused: Refused, content: bytes) -> None:
    """A file that was cut is named."""
    write_metrics()
    Path("metrics/evaluate.json").write_bytes(content)
    assert "metrics/evaluate.json" in refused("show")


def test_export_is_what_other_tools_load(
    weights: Path, capsys: pytest.CaptureFixture[str], make_image: MakeImage
) -> None:
    """Spandrel, which chaiNNer and ComfyUI use, makes the same image of the exported file."""
    import spandrel

    main(["export", "--weights", str(weights), "--out", "made/plain.pth"])
    assert capsys.readouterr().out == "wrote made/plain.pth\n"
    theirs = spandrel.ModelLoader().load_from_file("made/plain.pth")
    ours = load_generator(weights)
    assert theirs.architecture.name == "Swift-SRGAN"
    assert (theirs.scale, theirs.input_channels) == (4, 1)
    lr = torch.from_numpy(make_image(0, 20, 28) / np.float32(255))[None, None]
    with torch.no_grad():
        torch.testing.assert_close(theirs(lr), ours.model(lr).clamp(0, 1), atol=1e-5, rtol=0)
    again = load_generator(Path("made/plain.pth"))
    assert again.hyperparameters == ours.hyperparameters


def test_export_refuses_what_the_plain_form_cannot_say(refused: Refused) -> None:
    """Nothing is written."""
    path = save_swift(Path("skip.pt"), bicubic_skip=True)
    message = refused("export", "--weights", path, "--out", "plain.pth")
    assert "bicubic_skip" in message
    assert not Path("plain.pth").exists()


@pytest.mark.parametrize("kind", ["swift_srgan", "plain_sr"])
def test_export_writes_a_released_file(
    weights: Path, ours: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the suffix: the same generator, with what it was trained on, its licence, its scores and
    the commit in its record.
    """
    given = weights if kind == "swift_srgan" else ours
    scores = {"mean": {"psnr": 41.5}, "images": [{"image": "a.png", "psnr": 41.5}]}
    Path("scores.json").write_text(json.dumps(scores), encoding="utf-8")
    command = ["export", "--weights", str(given), "--out", "made/mine.safetensors"]
    facts = ["--data", "88 radiographs", "--licence", "CC0-1.0", "--scores", "scores.json"]
    main([*command, *facts])
    assert capsys.readouterr().out == "wrote made/mine.safetensors\n"
    made, was = load_generator(Path("made/mine.safetensors")), load_generator(given)
    assert same_weights(made, was)
    assert made.architecture == kind
    record = {key: value for key, value in made.record.items() if key != "sha256"}
    assert record == {
        **was.record,
        "data": "88 radiographs",
        "licence": "CC0-1.0",
        "scores": scores,
        "commit": commit(),
    }


def test_export_needs_no_facts(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was not given is not recorded."""
    main(["export", "--weights", str(weights), "--out", "mine.safetensors"])
    assert capsys.readouterr().out == "wrote mine.safetensors\n"
    record = load_generator(Path("mine.safetensors")).record
    assert set(record) == {"training", "metrics", "commit", "sha256"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")
def test_the_commit_is_that_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And whether a file in git differs from it; files beside the code's folder do not count."""
    for name in [each for each in os.environ if each.startswith("GIT_")]:
        monkeypatch.delenv(name)
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    code = tmp_path / "project/code"
    code.mkdir(parents=True)

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], check=True, capture_output=True, text=True, cwd=code
        )
        return done.stdout.strip()

    git("init", "--quiet", "..")
    (code / "code.py").write_text("1\n")
    (code.parent / "params.yaml").write_text("1\n")
    git("add", "..")
    git(*who, "commit", "--quiet", "-m", "first")
    (code.parent / "params.yaml").write_text("2\n")
    assert commit(code) == git("rev-parse", "HEAD")
    (code / "code.py").write_text("2\n")
    assert commit(code) == git("rev-parse", "HEAD") + "-changed"


def test_no_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == "unknown"
    assert "the commit is recorded as unknown" in capsys.readouterr().err


def test_what_a_released_file_recorded_stays(weights: Path) -> None:
    """Exported again to add its scores, it keeps the commit and the data of the first time."""
    main(["export", "--weights", str(weights), "--out", "one.safetensors", "--data", "ours"])
    record = load_generator(Path("one.safetensors")).record
    assert record["commit"] == commit()
    Path("scores.json").write_text('{"psnr": 40}')
    first, second = "one.safetensors", "two.safetensors"
    main(["export", "--weights", first, "--out", second, "--scores", "scores.json"])
    assert load_generator(Path(second)).record == {**record, "scores": {"psnr": 40}}


def test_export_in_half_the_room(ours: Path) -> None:
    """`--half` is recorded, and stays when the file is exported again without it."""
    Path("scores.json").write_text("{}")
    for given, out, more in (
        (ours, "full.safetensors", ()),
        (ours, "half.safetensors", ("--half",)),
        (Path("half.safetensors"), "again.safetensors", ("--scores", "scores.json")),
    ):
        main(["export", "--weights", str(given), "--out", out, *more])
    half, again = (load_generator(Path(f"{name}.safetensors")) for name in ("half", "again"))
    assert half.record["kernels"] == again.record["kernels"] == "float16"
    assert same_weights(half, again)
    assert not same_weights(half, load_generator(Path("full.safetensors")))
    with safe_open("again.safetensors", "pt") as file:
        kernel = file.get_tensor("tail.weight")
    assert kernel.dtype == torch.float16


FACTS = [["--data", "x"], ["--licence", "x"], ["--scores", "scores.json"], ["--half"]]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact[0])
def test_the_plain_form_has_no_record(weights: Path, refused: Refused, fact: list[str]) -> None:
    """What it could not hold is not left out in silence."""
    Path("scores.json").write_text("{}")
    message = refused("export", "--weights", weights, "--out", "plain.pt", *fact)
    assert "only a .safetensors file can hold what comes with " + fact[0] in message
    assert not Path("plain.pt").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe", None])
def test_scores_that_are_no_evaluation_are_refused(
    weights: Path, refused: Refused, content: bytes | None
) -> None:
    """No JSON, no object, no text, no file; nothing is written."""
    if content is not None:
        Path("scores.json").write_bytes(content)
    command = ("export", "--weights", weights, "--out", "mine.safetensors")
    assert "--scores: " in refused(*command, "--scores", "scores.json")
    assert not Path("mine.safetensors").exists()


def test_help_tells_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    listed = [
        line.split()[0] for line in out.splitlines() if line.startswith("    ") and line[4:5] > " "
    ]
    assert [name for name in COMMANDS if name not in listed] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it does and each of its options."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: srpipe {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["evaluate"],
        ["export", "--out", "x"],
        ["interpolate"],
        ["upscale", "--images", "x"],
        ["upscale", "--images", "x", "--out", "y", "--precision", "fp16"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as of every command line tool."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: srpipe" in capsys.readouterr().err


def test_help_is_quick() -> None:
    """Neither help nor a wrong argument waits for torch and MLflow to load."""
    code = """
import sys
from srpipe.cli import main
try:
    main(["evaluate", "--help"])
finally:
    assert not {"torch", "mlflow"} & set(sys.modules)
"""
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage: srpipe evaluate" in done.stdout
