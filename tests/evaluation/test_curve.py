"""The curve runs from the pixel epochs' generator to the final one, on the same test images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from srpipe.core.errors import CheckpointError, OutputError
from srpipe.data.packed import Packed
from srpipe.data.split_file import sample_images
from srpipe.evaluation.curve import SCORES, Curve, curve_table, draw_curve, perception_distortion
from srpipe.models.architectures import ARCHITECTURES
from srpipe.models.checkpoint import LoadedGenerator
from srpipe.models.interpolate import interpolate
from srpipe.settings.evaluate import Evaluate
from tests.evaluation.rows import baseline_row, model_row

COLUMNS = ["alpha", *SCORES]


def generator(seed: int, features: int = 4) -> LoadedGenerator:
    """Return a small generator that makes something other than bicubic."""
    torch.manual_seed(seed)
    arguments = {
        "channels": 1,
        "features": features,
        "blocks": 1,
        "scale": 4,
        "bicubic_skip": True,
    }
    model = ARCHITECTURES["swift_srgan"](**arguments).eval()
    with torch.no_grad():
        model.state_dict()["final_conv.pointwise.weight"].normal_(std=0.02)
    return LoadedGenerator(model, "swift_srgan", arguments, 4, {})


def settings(points: int, images: int = 6, seed: int = 0, *, consistent: bool = False) -> Evaluate:
    """Return the evaluate section with these sizes of the curve."""
    return Evaluate(
        consistent=consistent,
        bootstrap_samples=100,
        seed=seed,
        curve_points=points,
        curve_images=images,
        acquisitions={},
        acquisition_images=1,
    )


@pytest.fixture(scope="module")
def pixel() -> LoadedGenerator:
    return generator(0)


@pytest.fixture(scope="module")
def final() -> LoadedGenerator:
    return generator(1)


@pytest.fixture(scope="module")
def table(packed: Packed, final: LoadedGenerator) -> pd.DataFrame:
    """Return what the evaluate stage knows by then: the final generator and the baselines."""
    rows = [
        {**baseline_row(packed, row), **model_row(final.model, packed, row)} for row in range(6)
    ]
    return pd.DataFrame(rows)


def means(model: LoadedGenerator, packed: Packed, rows: list[int]) -> list[float]:
    """Return the mean scores of a generator, each image scored by itself."""
    scored = pd.DataFrame([model_row(model.model, packed, row) for row in rows])
    return [float(scored[name].mean()) for name in SCORES]


def test_the_ends_are_the_two_generators(
    packed: Packed, pixel: LoadedGenerator, final: LoadedGenerator, table: pd.DataFrame
) -> None:
    """With their own mean scores over the images, and in between the generators in between."""
    curve = perception_distortion(pixel, final, settings(3), packed, table, "cpu")
    assert curve is not None
    assert list(curve.points) == COLUMNS
    assert curve.points["alpha"].tolist() == [0.0, 0.5, 1.0]
    rows = list(range(6))
    for point, model in zip(
        curve.points[list(SCORES)].to_numpy(),
        (pixel, interpolate(pixel, final, 0.5), final),
        strict=True,
    ):
        assert point.tolist() == pytest.approx(means(model, packed, rows), rel=1e-9)
    assert curve.images == 6
    assert curve.bicubic == {
        name: pytest.approx(table[f"bicubic_{name}"].mean()) for name in SCORES
    }
    assert curve.points["psnr"].nunique() == 3


def test_a_consistent_evaluation_has_a_consistent_curve(
    packed: Packed, pixel: LoadedGenerator, final: LoadedGenerator
) -> None:
    """All its points are of images that were made consistent, the last one as the others."""
    rows = [
        {
            **baseline_row(packed, row),
            **model_row(final.model, packed, row, consistent=True),
        }
        for row in range(6)
    ]
    given = settings(2, consistent=True)
    curve = perception_distortion(pixel, final, given, packed, pd.DataFrame(rows), "cpu")
    assert curve is not None
    for point, model in zip(curve.points[list(SCORES)].to_numpy(), (pixel, final), strict=True):
        wanted = pd.DataFrame(
            [model_row(model.model, packed, row, consistent=True) for row in range(6)]
        )
        assert point.tolist() == pytest.approx([wanted[name].mean() for name in SCORES], rel=1e-9)


@pytest.mark.parametrize(("points", "alphas"), [(2, [0, 1]), (5, [0, 0.25, 0.5, 0.75, 1])])
def test_points_are_evenly_spaced(
    packed: Packed,
    pixel: LoadedGenerator,
    final: LoadedGenerator,
    table: pd.DataFrame,
    points: int,
    alphas: list[float],
) -> None:
    """Both ends included."""
    curve = perception_distortion(pixel, final, settings(points, 1), packed, table, "cpu")
    assert curve is not None
    assert curve.points["alpha"].tolist() == alphas


def test_some_images_stand_for_all(
    packed: Packed, pixel: LoadedGenerator, final: LoadedGenerator, table: pd.DataFrame
) -> None:
    """Those that the seed chooses, the same for every point and for bicubic; patients first."""
    of_three = table.assign(patient=["a", "a", "b", "b", "c", "c"])
    wanted = sample_images(of_three, 3, 7)
    chosen = of_three[of_three["image"].isin(wanted)]
    assert sorted(chosen["patient"]) == ["a", "b", "c"]
    curve = perception_distortion(pixel, final, settings(2, 3, seed=7), packed, of_three, "cpu")
    assert curve is not None
    assert curve.images == 3
    assert curve.bicubic["psnr"] == pytest.approx(chosen["bicubic_psnr"].mean())
    first, last = curve.points[list(SCORES)].to_numpy().tolist()
    assert first == pytest.approx(means(pixel, packed, packed.rows(wanted)), rel=1e-9)
    assert last == pytest.approx([chosen[name].mean() for name in SCORES], rel=1e-9)


def test_more_images_than_there_are_is_all_of_them(
    packed: Packed, pixel: LoadedGenerator, final: LoadedGenerator, table: pd.DataFrame
) -> None:
    """A small test set needs no other setting."""
    part = table[:2]
    curve = perception_distortion(pixel, final, settings(2, 50), packed, part, "cpu")
    assert curve is not None
    assert curve.images == 2


def test_no_curve_is_drawn_where_none_is_asked_for(
    packed: Packed,
    pixel: LoadedGenerator,
    final: LoadedGenerator,
    table: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """This is said; the table that DVC plots has its columns and no row."""
    curve = perception_distortion(pixel, final, settings(0), packed, table, "cpu")
    assert curve is None
    assert "evaluate.curve_points is 0" in capsys.readouterr().out
    assert list(curve_table(curve)) == COLUMNS
    assert len(curve_table(curve)) == 0


def test_one_generator_has_no_curve(
    packed: Packed,
    final: LoadedGenerator,
    table: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without adversarial epochs both files hold the same weights, and nothing lies between."""
    assert perception_distortion(generator(1), final, settings(3), packed, table, "cpu") is None
    assert "no adversarial epoch" in capsys.readouterr().out


def test_generators_of_two_plans_are_refused(
    packed: Packed, final: LoadedGenerator, table: pd.DataFrame
) -> None:
    """What lies beside the final generator may be of another training."""
    with pytest.raises(CheckpointError, match=r"features \(8 and 4\)"):
        perception_distortion(generator(0, 8), final, settings(3), packed, table, "cpu")


# ------------------------------------------------------------------ the picture


@pytest.fixture
def made() -> Curve:
    """Return a curve of three points."""
    values = {"content_distance": [7.0, 6.0, 5.0], "psnr": [36.0, 35.9, 35.0]}
    points = pd.DataFrame(
        {"alpha": [0.0, 0.5, 1.0], **values, "psnr_masked": 40.0, "lr_psnr": [52.0, 51.0, 48.0]}
    )
    bicubic = {"content_distance": 8.0, "psnr": 34.0, "psnr_masked": 39.0, "lr_psnr": 47.0}
    return Curve(points, bicubic, 4)


def test_the_picture_has_two_panels(
    tmp_path: Path, made: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distance against PSNR and against LR-PSNR, each point with its alpha, bicubic marked."""
    lines: list[tuple[list[float], list[float]]] = []
    texts: list[str] = []
    plot, annotate = Axes.plot, Axes.annotate

    def note(axis: Axes, x: object, y: object, **more: object) -> object:
        lines.append((np.ravel(x).tolist(), np.ravel(y).tolist()))
        return plot(axis, x, y, **more)

    def text(axis: Axes, words: str, *arguments: object, **more: object) -> object:
        texts.append(words)
        return annotate(axis, words, *arguments, **more)

    monkeypatch.setattr(Axes, "plot", note)
    monkeypatch.setattr(Axes, "annotate", text)
    draw_curve(tmp_path / "new" / "curve.png", made)
    distances = [7.0, 6.0, 5.0]
    assert lines == [
        ([36.0, 35.9, 35.0], distances),
        ([34.0], [8.0]),
        ([52.0, 51.0, 48.0], distances),
        ([47.0], [8.0]),
    ]
    assert texts == ["0", "0.5", "1"] * 2
    with Image.open(tmp_path / "new" / "curve.png") as opened:
        opened.load()
        assert (opened.format, opened.size) == ("PNG", (1200, 500))


def test_the_same_curve_gives_the_same_bytes(tmp_path: Path, made: Curve) -> None:
    """DVC sees a change only where something changed."""
    for name in ("a.png", "b.png"):
        draw_curve(tmp_path / name, made)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_curve_that_cannot_be_written_is_told(tmp_path: Path, made: Curve) -> None:
    """The message names the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"curve\.png"):
        draw_curve(tmp_path / "file" / "curve.png", made)
