"""A folder is scored as the pipeline scores its test images, at the scale of the generator."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srpipe.core.errors import ImageError
from srpipe.evaluation.folder import evaluate_folder, summary_text
from srpipe.evaluation.scorer import Row, baselines, scores
from srpipe.formats.raster import encode_png, read_file
from srpipe.imaging.resample import downsample
from srpipe.metrics.scores import Scores, reference, score
from srpipe.models.checkpoint import LoadedGenerator, load_generator
from srpipe.models.inference import super_resolve
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr, save_swift

NAMES = Scores.names()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> dict[str, Path]:
    """Return two radiographs by name; the sides of one are no multiples of 4."""
    folder = tmp_path_factory.mktemp("images")
    made = {"b.png": (71, 66), "a.png": (64, 80)}
    for seed, (name, size) in enumerate(made.items()):
        (folder / name).write_bytes(encode_png(make_image(seed, *size)))
    return {name: folder / name for name in made}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> LoadedGenerator:
    """Return a generator that makes something near bicubic."""
    return load_generator(save_plain_sr(tmp_path_factory.mktemp("weights") / "ours.pt"))


def evaluate(files: dict[str, Path], generator: LoadedGenerator, **changed: Any) -> list[Row]:
    """Score a folder on the CPU, as the command does by default."""
    options = {"back_projections": 3, "consistent": False, "sixteen_bit": "minmax", **changed}
    return evaluate_folder(files, generator, "cpu", **options)


def test_a_row_has_the_scorers_scores(files: dict[str, Path], ours: LoadedGenerator) -> None:
    """In the order given; each image is cut to a multiple of the scale, made small, enlarged and
    compared with itself.
    """
    rows = evaluate(files, ours)
    assert [row["image"] for row in rows] == ["b.png", "a.png"]
    for row in rows:
        whole = read_file(files[str(row["image"])], "minmax")
        hr = whole[: whole.shape[0] // 4 * 4, : whole.shape[1] // 4 * 4]
        lr = downsample(hr, 4)
        assert row == {
            "image": row["image"],
            **asdict(score(super_resolve(ours.model, lr), reference(hr, lr))),
            **scores(hr, lr, baselines(4, 3, lr)),
        }


def test_consistent_images_are_the_generators_alone(
    files: dict[str, Path], ours: LoadedGenerator
) -> None:
    """They downsample to LR; the baselines stay as they were."""
    for plain, row in zip(
        evaluate(files, ours), evaluate(files, ours, consistent=True), strict=True
    ):
        assert row["lr_psnr"] > plain["lr_psnr"] + 5
        assert row["psnr"] > plain["psnr"]
        for key, value in plain.items():
            assert (row[key] == value) == (key.startswith("bicubic") or key == "image"), key


def test_back_projections_change_that_baseline_alone(
    files: dict[str, Path], ours: LoadedGenerator
) -> None:
    """More steps are more faithful to the LR image."""
    for three, ten in zip(
        evaluate(files, ours), evaluate(files, ours, back_projections=10), strict=True
    ):
        assert ten["bicubic_bp_lr_psnr"] > three["bicubic_bp_lr_psnr"]
        changed = {key for key in ten if ten[key] != three[key]}
        assert changed <= {f"bicubic_bp_{name}" for name in NAMES}


def test_sixteen_bit_is_read_as_asked(ours: LoadedGenerator, tmp_path: Path) -> None:
    """A dim 16-bit image is stretched by default and stays dim with full_range."""
    dim = np.random.default_rng(0).integers(0, 4000, (64, 64), dtype=np.uint16)
    Image.fromarray(dim).save(tmp_path / "dim.png")
    files = {"dim.png": tmp_path / "dim.png"}
    ((stretched,), (full,)) = (
        evaluate(files, ours, sixteen_bit=each) for each in ("minmax", "full_range")
    )
    assert full["bicubic_psnr"] > stretched["bicubic_psnr"] + 10


def test_a_colour_generator_sees_grey(files: dict[str, Path], tmp_path: Path) -> None:
    """Three channels, as published, and the plain form: both are scored, and alike."""
    colour = load_generator(save_swift(tmp_path / "colour.pt", channels=3))
    torch.save(colour.model.state_dict(), tmp_path / "plain.pth.tar")
    plain = load_generator(tmp_path / "plain.pth.tar")
    assert evaluate(files, colour) == evaluate(files, plain)


def test_the_scale_is_the_generators(files: dict[str, Path], tmp_path: Path) -> None:
    """A 2x generator is scored on LR images of half the size, which say more."""
    two = load_generator(save_swift(tmp_path / "two.pt", scale=2))
    four = load_generator(save_swift(tmp_path / "four.pt"))
    for half, quarter in zip(evaluate(files, two), evaluate(files, four), strict=True):
        assert half["bicubic_psnr"] > quarter["bicubic_psnr"] + 1


def test_an_image_too_small_for_the_scale_is_named(
    ours: LoadedGenerator, tmp_path: Path, make_image: MakeImage
) -> None:
    """With its size and the least that is allowed."""
    (tmp_path / "small.png").write_bytes(encode_png(make_image(0, 63, 64)))
    told = r"sub/small\.png is 64x63 pixels: at 4x both sides must be at least 64"
    with pytest.raises(ImageError, match=told):
        evaluate({"sub/small.png": tmp_path / "small.png"}, ours)


def test_the_summary_counts_images_on_which_the_generator_is_better() -> None:
    """Bicubic first, the generator last; equal is not better."""
    row = dict.fromkeys(NAMES, 40.0)
    bicubic = {f"bicubic_{name}": 40.0 for name in NAMES}
    projected = {f"bicubic_bp_{name}": 42.0 for name in NAMES}
    rows: list[Row] = [
        {"image": f"{index}.png", **row, **bicubic, **projected, "psnr": psnr, "psnr_masked": 41.0}
        for index, psnr in enumerate((40.0, 41.0, 43.0))
    ]
    lines = summary_text(rows, "mine.pt (plain_sr 4x)", 7).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:5]]
    assert [cell[0] for cell in cells] == [
        "bicubic + 7 back-projections",
        "bicubic",
        "mine.pt (plain_sr 4x)",
    ]
    assert [cell[1] for cell in cells] == ["42.00", "40.00", "41.33"]
    assert lines[5:] == [
        "PSNR better than bicubic on 2 of 3 images, masked on 3.",
        "PSNR better than bicubic_bp on 1 of 3 images, masked on 0.",
    ]
