"""The images that are compared are the ones asked for, by every method, with the right patients."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import comparison, result_pictures
from benchmarks.comparison import chosen, cost, scored
from benchmarks.comparison_images import pair
from benchmarks.methods import (
    ADVERSARIAL,
    BACK_PROJECTED,
    BICUBIC,
    CONSISTENT,
    FIDELITY,
    PUBLISHED,
    PUBLISHED_PROJECTED,
    SWIFT_SRGAN,
    Weights,
    all_images,
    released,
)
from srpipe import paths
from srpipe.checkpoint import LoadedGenerator, load_generator, save_plain, save_released
from srpipe.errors import DataError
from srpipe.images import encode_png
from srpipe.inference import super_resolve
from srpipe.models.generators import SwiftSRGAN
from srpipe.models.plain_sr import PlainSR
from srpipe.resample import back_project, bicubic
from srpipe.scoring.metrics import reference, score
from tests.conftest import MakeImage

ROOT = Path(__file__).resolve().parents[2]
TINY = {"channels": 1, "features": 4, "blocks": 1, "scale": 4, "bicubic_skip": True}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with the repository's settings."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")


@pytest.fixture
def folder(tmp_path: Path, make_image: MakeImage) -> Path:
    """Return a folder of four radiographs of three patients, one of them in a folder below."""
    names = ("00000002_000.png", "00000001_000.png", "00000001_001.png", "sub/00000003_004.png")
    for seed, name in enumerate(names):
        path = tmp_path / "hr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(make_image(seed, 160, 192)))
    (tmp_path / "hr/notes.txt").write_text("not read")
    return tmp_path / "hr"


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    """Return two tiny generators in the places of ours, and a colour one for the published."""
    files = {}
    for seed, name in enumerate((FIDELITY, ADVERSARIAL)):
        torch.manual_seed(seed)
        model = PlainSR(**TINY)
        torch.nn.init.normal_(model.tail.weight, std=0.02)
        files[name] = tmp_path / f"{seed}.safetensors"
        save_released(files[name], LoadedGenerator(model, "plain_sr", TINY, 4, {}), {})
    arguments = {**TINY, "channels": 3, "bicubic_skip": False}
    colour = LoadedGenerator(SwiftSRGAN(**arguments), "swift_srgan", arguments, 4, {})
    save_plain(tmp_path / "published.pth.tar", colour)
    return Weights({PUBLISHED: tmp_path / "published.pth.tar", **files})


# ------------------------------------------------------------------ which images


def test_all_images_are_chosen_by_name(folder: Path) -> None:
    """Sorted, from folders below too, with the patients that the settings' pattern says."""
    assert chosen(folder, None) == [
        ("00000001", folder / "00000001_000.png"),
        ("00000001", folder / "00000001_001.png"),
        ("00000002", folder / "00000002_000.png"),
        ("00000003", folder / "sub/00000003_004.png"),
    ]


def test_a_list_chooses_images(folder: Path) -> None:
    """NIH's own where it lies in the folder, unless another is given."""
    (folder / "test_list.txt").write_text("00000003_004.png\n00000001_001.png\n")
    names = [path.name for _, path in chosen(folder, None)]
    assert names == ["00000001_001.png", "00000003_004.png"]
    Path("own.txt").write_text("00000002_000.png\r\n")
    assert [path.name for _, path in chosen(folder, Path("own.txt"))] == ["00000002_000.png"]


def test_a_name_that_is_no_patients_is_its_own(folder: Path) -> None:
    """Images whose name does not say whose they are count as different patients."""
    for name in ("-.png", "_.png"):
        shutil.copy(folder / "00000002_000.png", folder / name)
    found = {path.name: patient for patient, path in chosen(folder, None)}
    assert found["_.png"] == "_.png"


def test_a_list_of_what_is_missing_is_refused(folder: Path) -> None:
    """It is counted, and one is named."""
    (folder / "test_list.txt").write_text("00000001_001.png gone.png away.png")
    with pytest.raises(DataError, match=r"2 images of .*test_list\.txt are missing.*away\.png"):
        chosen(folder, None)


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_images_is_refused(tmp_path: Path, empty: bool) -> None:
    """Or none at all; or a list that chooses none."""
    if empty:
        (tmp_path / "hr").mkdir()
        (tmp_path / "hr/notes.txt").write_text("")
    with pytest.raises(DataError, match="holds no image" if empty else "is no folder"):
        chosen(tmp_path / "hr", None)


# ------------------------------------------------------------------ which methods


def test_the_released_generators_are_compared() -> None:
    """Each as it is and made consistent; the published one too, where its file is given."""
    ours = (SWIFT_SRGAN, FIDELITY, ADVERSARIAL)
    both = [name + end for name in ours for end in ("", CONSISTENT)]
    assert released(None).names == [BICUBIC, BACK_PROJECTED, *both]
    assert released(None).files[FIDELITY] == paths.RELEASED_FIDELITY
    theirs = [PUBLISHED, PUBLISHED_PROJECTED, PUBLISHED + CONSISTENT]
    found = released(Path("netG.pth.tar"))
    assert found.names == [BICUBIC, BACK_PROJECTED, *theirs, *both]
    assert found.files[PUBLISHED] == Path("netG.pth.tar")


def test_every_method_makes_its_image(folder: Path, weights: Weights) -> None:
    """As the pipeline's own functions make it, in the order of the tables."""
    _, lr = pair(folder / "00000001_000.png")
    assert lr.shape == (40, 48)
    made = all_images(lr, weights)
    assert list(made) == weights.names
    assert all((image.shape, image.dtype) == ((160, 192), np.uint8) for image in made.values())
    assert np.array_equal(made[BICUBIC], bicubic(lr, 4))
    assert np.array_equal(made[BACK_PROJECTED], back_project(lr, 4, 3))
    for name, path in weights.files.items():
        model = load_generator(path).model
        assert np.array_equal(made[name], super_resolve(model, lr))
        assert np.array_equal(made[name + CONSISTENT], super_resolve(model, lr, consistent=True))
    assert not np.array_equal(made[PUBLISHED_PROJECTED], made[PUBLISHED])


def test_every_method_is_scored(folder: Path, weights: Weights) -> None:
    """A row a method: image, patient, method and the scores that evaluation gives."""
    path = folder / "00000001_001.png"
    rows = scored(weights, ("00000001", path))
    assert [row["method"] for row in rows] == weights.names
    assert {(row["image"], row["patient"]) for row in rows} == {(path.name, "00000001")}
    hr, lr = pair(path)
    wanted = asdict(score(bicubic(lr, 4), reference(hr, lr)))
    assert {key: rows[0][key] for key in wanted} == {
        key: pytest.approx(value, abs=1e-5) for key, value in wanted.items()
    }


def test_the_cost_is_that_of_a_256_image(weights: Weights) -> None:
    """Parameters that learn, and multiply-accumulates: those of the convolutions."""
    parameters, macs = cost(weights.files[FIDELITY])
    model = load_generator(weights.files[FIDELITY]).model
    convolutions = [each for each in model.modules() if isinstance(each, torch.nn.Conv2d)]
    assert parameters == sum(each.numel() for each in model.parameters())
    wanted = 256**2 * sum(each.weight.numel() for each in convolutions) / 1e9
    # Interpolation and the like are not counted.
    assert macs == pytest.approx(wanted, rel=0.05)


# ------------------------------------------------------------------ pictures


def test_details_are_where_they_are_looked_for() -> None:
    """Each where its error is: invented, lost, gained, at a place that lies in the image."""
    hr = np.full((256, 320), 100, dtype=np.uint8)
    images = {name: hr.copy() for name in (BICUBIC, FIDELITY, ADVERSARIAL, PUBLISHED)}
    images[ADVERSARIAL][60:90, 60:90] += 40
    images[FIDELITY][180:200, 240:260] += 30
    images[BICUBIC][50:80, 200:230] += 30
    places = {
        "invented": (75, 75),
        "lost": (190, 250),
        "gained": (65, 215),
        "published": (190, 250),
    }
    found = result_pictures.details(Path("a.png"), hr, images)
    assert set(found) == {*places, "markers"}
    for name, (y, x) in places.items():
        detail = found[name]
        assert detail.strength > 0, name
        assert 0 <= detail.top <= 256 - 128, name
        assert 0 <= detail.left <= 320 - 128, name
        assert detail.top <= y < detail.top + 128, name
        assert detail.left <= x < detail.left + 128, name


def test_pictures_are_drawn_with_captions(
    tmp_path: Path, folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG a caption and nothing else, the same bytes each time."""
    monkeypatch.setattr(result_pictures, "ALPHAS", (0.0, 1.0))
    files = comparison.chosen(folder, None)[:1]
    table = comparison.pd.DataFrame(scored(weights, files[0]))
    drawn = []
    for name in ("one", "two"):
        pictures = result_pictures.draw(tmp_path / name, table, files, weights)
        assert all(caption for _, caption in pictures)
        assert {path for path, _ in pictures} == set((tmp_path / name).iterdir())
        drawn.append({path.name: path.read_bytes() for path, _ in pictures})
    assert drawn[0] == drawn[1]
    names = {"invented", "lost", "gained", "markers", "published", "curve"}
    assert set(drawn[0]) == {f"{name}.png" for name in names}
    assert all(data.startswith(b"\x89PNG") for data in drawn[0].values())
