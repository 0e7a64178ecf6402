"""`srpipe export` and `srpipe interpolate` write weights that load again, with their record."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

from srpipe.cli.main import main
from srpipe.cli.weights import commit
from srpipe.models.checkpoint import load_generator
from srpipe.models.interpolate import same_weights
from srpipe.models.released import weights_file
from tests.cli.conftest import Refused
from tests.conftest import MakeImage
from tests.enhance.generators import ARGUMENTS, save_swift


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
    main(["upscale", "--weights", "made/mixed.pt", "--images", str(images), "--out", "large"])


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


@pytest.mark.parametrize("linked", ["tiny.pt", "other.pt"])
def test_neither_parent_of_an_interpolation_is_replaced(
    weights: Path, refused: Refused, linked: str
) -> None:
    """By whatever path it is named, such as a link."""
    other = save_swift(Path("other.pt"), seed=1)
    before = weights.read_bytes(), other.read_bytes()
    Path("out.pt").symlink_to({weights.name: weights, other.name: other}[linked])
    command = ("interpolate", "--pixel", weights, "--adversarial", other, "--alpha", "0.5")
    assert "one of the two that are mixed" in refused(*command, "--out", "out.pt")
    assert (weights.read_bytes(), other.read_bytes()) == before


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
    (code / "__init__.py").write_text("1\n")
    (code.parent / "params.yaml").write_text("1\n")
    git("add", "..")
    git(*who, "commit", "--quiet", "-m", "first")
    (code.parent / "params.yaml").write_text("2\n")
    assert commit(code) == git("rev-parse", "HEAD")
    (code / "__init__.py").write_text("2\n")
    assert commit(code) == git("rev-parse", "HEAD") + "-changed"
    installed = code / "installed"
    installed.mkdir()
    (installed / "__init__.py").write_text("1\n")
    assert commit(installed) == "unknown"


def test_no_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == "unknown"
    assert "its commit is recorded as unknown" in capsys.readouterr().err


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


@pytest.mark.parametrize("kind", ["weights", "ours", "plain_sr_x4"])
def test_export_writes_a_graph(
    kind: str, request: pytest.FixtureRequest, make_image: MakeImage
) -> None:
    """ONNX Runtime alone makes the same image of it, of any size; the record is in its metadata."""
    given = str(request.getfixturevalue(kind)) if kind != "plain_sr_x4" else kind
    main(["export", "--weights", given, "--out", "made/mine.onnx", "--data", "88 radiographs"])
    engine = onnxruntime.InferenceSession("made/mine.onnx")
    (lr,) = engine.get_inputs()
    record = json.loads(engine.get_modelmeta().custom_metadata_map["srpipe"])
    assert (lr.name, record["data"], "commit" in record) == ("lr", "88 radiographs", True)
    ours = load_generator(weights_file(given))
    for shape in ((20, 28), (33, 17)):
        image = make_image(0, *shape) / np.float32(255)
        (sr,) = engine.run(["sr"], {"lr": image[None, None]})
        with torch.no_grad():
            wanted = ours.model(torch.from_numpy(image)[None, None])
        np.testing.assert_allclose(sr, wanted.numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("out", ["mine.onxx", "mine", "mine.ckpt", "mine.safetensors.bak"])
def test_an_unknown_suffix_is_refused(weights: Path, refused: Refused, out: str) -> None:
    """A torch file under another tool's name would be found out only there."""
    message = refused("export", "--weights", weights, "--out", out)
    assert f"--out is {out}: its suffix says the form, and must be .safetensors, .onnx" in message
    assert not Path(out).exists()


def test_a_graph_has_no_half_precision(weights: Path, refused: Refused) -> None:
    """It is float32, and `--half` is not left out in silence."""
    message = refused("export", "--weights", weights, "--out", "mine.onnx", "--half")
    assert "only a .safetensors file can hold what comes with --half" in message
    assert not Path("mine.onnx").exists()


FACTS = [["--data", "x"], ["--licence", "x"], ["--scores", "scores.json"], ["--half"]]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact[0])
def test_the_plain_form_has_no_record(weights: Path, refused: Refused, fact: list[str]) -> None:
    """What it could not hold is not left out in silence."""
    Path("scores.json").write_text("{}")
    message = refused("export", "--weights", weights, "--out", "plain.pt", *fact)
    forms = ".safetensors" if fact[0] == "--half" else ".safetensors or .onnx"
    assert f"only a {forms} file can hold what comes with {fact[0]}" in message
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
