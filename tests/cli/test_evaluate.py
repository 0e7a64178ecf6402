"""`srpipe evaluate` scores a folder as the pipeline does, and says in one message what is wrong."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srpipe.cli.main import main
from srpipe.evaluation.folder import evaluate_folder
from srpipe.formats.raster import encode_png
from srpipe.metrics.scores import Scores
from srpipe.models.checkpoint import load_generator
from tests.cli.conftest import SIZES, Refused
from tests.conftest import MakeImage
from tests.mixed import MIXED_COUNTS, MIXED_LEFT_OUT, put_mixed


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
    assert list(result) == ["consistent", "mean", "images", "left_out"]
    assert result["left_out"] == {}
    assert result["consistent"] is False
    assert list(result["mean"]) == keys
    assert [list(row) for row in result["images"]] == [["image", *keys]] * 3
    assert [row["image"] for row in result["images"]] == sorted(SIZES)
    for key in keys:
        values = [row[key] for row in result["images"]]
        assert all(math.isfinite(value) for value in values)
        assert result["mean"][key] == pytest.approx(sum(values) / 3, abs=2e-6)


def test_the_json_holds_what_the_options_ask_for(ours: Path, tmp_path: Path) -> None:
    """The scores of `evaluate_folder`, rounded: with the defaults, and with each switch turned."""
    dim = np.random.default_rng(0).integers(0, 4000, (64, 68), dtype=np.uint16)
    Image.fromarray(dim).save(tmp_path / "dim.png")
    files = {"dim.png": tmp_path / "dim.png"}
    turned = ("--consistent", "--back-projections", "10", "--sixteen-bit", "full_range")
    found = []
    for more, options in (
        ((), {"back_projections": 3, "consistent": False, "sixteen_bit": "minmax"}),
        (turned, {"back_projections": 10, "consistent": True, "sixteen_bit": "full_range"}),
    ):
        result = evaluate(ours, tmp_path / "dim.png", *more)
        (row,) = evaluate_folder(files, load_generator(ours), "cpu", **options)
        assert result["consistent"] == options["consistent"]
        assert result["images"] == [
            {key: value if key == "image" else round(value, 6) for key, value in row.items()}
        ]
        found.append(result["mean"])
    assert not [key for key in found[0] if found[0][key] == found[1][key]]


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


def test_a_mixed_folder(
    ours: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of less usual endings are scored; table and JSON count the other files by kind."""
    put_mixed(Path("own"), make_image)
    result = evaluate(ours, Path("own"))
    assert [row["image"] for row in result["images"]] == ["a.png", "b.jfif", "e.jpe"]
    assert result["left_out"] == MIXED_COUNTS
    assert capsys.readouterr().out.endswith(f"\nOf own {MIXED_LEFT_OUT}.\n")


@pytest.mark.parametrize(
    ("names", "encoding"),
    [("sub/c.png\n\na.png\r\n", "utf-8"), ("c.png\na\n", "utf-8-sig")],
)
def test_a_list_chooses_images(weights: Path, images: Path, names: str, encoding: str) -> None:
    """Only the names on it are scored, in its order, as the pipeline's lists name images."""
    Path("list.txt").write_text(names, encoding=encoding)
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


# ------------------------------------------------------------------ evaluate, done wrong


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
        (b"", "list.txt names no image"),
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
    assert "PNG, JPEG, TIFF, BMP and JPEG 2000" in message


def test_an_image_too_small(weights: Path, refused: Refused, make_image: MakeImage) -> None:
    """The message gives the least that the generator's scale allows."""
    Path("small.png").write_bytes(encode_png(make_image(0, 63, 64)))
    message = refused("evaluate", "--weights", weights, "--images", "small.png")
    assert "small.png is 64x63 pixels" in message
    assert "64" in message


def test_all_bad_images_are_told_before_any_is_scored(
    weights: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two bad images among three good ones: both are named with the reason, exit code 1, and there
    is neither a mean nor a file. The list that the message speaks of leaves them out.
    """
    own = Path(shutil.copytree(images, "own"))
    (own / "b_cut.png").write_bytes((images / "a.png").read_bytes()[:400])
    (own / "z_page.png").write_text("<html>404</html>")
    base = ["evaluate", "--weights", str(weights), "--images", str(own), "--json", "s.json"]
    with pytest.raises(SystemExit, match=r"^1$"):
        main(base)
    shown = capsys.readouterr()
    assert shown.out == ""
    message = shown.err[shown.err.index("error: ") :].splitlines()
    assert message[0].startswith("error: 2 of 5 images cannot be scored, and none was.")
    assert message[0].endswith("(--list):")
    assert [line.split(" is ")[0].strip() for line in message[1:]] == [
        str(own / "b_cut.png"),
        str(own / "z_page.png"),
    ]
    assert "evaluate:" not in shown.err
    assert not Path("s.json").exists()
    Path("list.txt").write_text("\n".join(SIZES))
    main([*base, "--list", "list.txt"])
    assert len(json.loads(Path("s.json").read_text())["images"]) == 3


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

# Measured with netG_4x_epoch5.pth.tar by this command; whole-image and masked PSNR (dB). On other
# CPUs, sums in another order turn a few grey levels over: 6e-5 dB at most between AVX-512, AVX2 and
# SSE4.1. The rest of the bound is the rounding here.
PUBLISHED = {
    "00000211_018.png": (44.050, 45.073),
    "00003441_000.png": (45.175, 46.772),
    "00010943_000.png": (43.482, 44.314),
}


def test_the_published_model_scores_what_it_should(
    published_checkpoint: Path, nih_sample: Path
) -> None:
    """On 3 of the 31 real test images, better than bicubic on each, masked too."""
    Path("list.txt").write_text("\n".join(PUBLISHED))
    rows = evaluate(published_checkpoint, nih_sample / "images", "--list", "list.txt")["images"]
    for row in rows:
        psnr, masked = PUBLISHED[row["image"]]
        assert row["psnr"] == pytest.approx(psnr, abs=1e-3)
        assert row["psnr_masked"] == pytest.approx(masked, abs=1e-3)
        assert row["psnr"] > row["bicubic_psnr"] + 2
        assert row["psnr_masked"] > row["bicubic_psnr_masked"] + 1
