"""The images that are compared are the ones asked for, by every method, with the right patients."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from srpipe.core.errors import DataError
from srpipe.data.packed import Pair
from srpipe.data.pairs import make_pair
from srpipe.evaluation.comparison import pictures
from srpipe.evaluation.comparison.examine import MADE, chosen, examined
from srpipe.evaluation.comparison.methods import (
    ADVERSARIAL,
    BACK_PROJECTED,
    BICUBIC,
    CONSISTENT,
    FIDELITY,
    IDEAL_ONLY,
    PUBLISHED,
    PUBLISHED_PROJECTED,
    SMALL,
    SWIFT_SRGAN,
    Weights,
    all_images,
    released,
)
from srpipe.imaging.resample import back_project, bicubic
from srpipe.metrics.scores import reference, score
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve
from srpipe.models.released import weights_file


def first(folder: Path, listed: Path) -> Pair:
    """Return the first image of a folder that is compared."""
    source, entries = chosen(folder, listed)
    return make_pair(source, MADE, entries[0])


# ------------------------------------------------------------------ which images


def test_all_images_of_a_folder_without_lists(folder: Path, tmp_path: Path) -> None:
    """From folders below too, with the patients that the settings' pattern says."""
    _, entries = chosen(folder, tmp_path)
    assert [(entry.patient, entry.image) for entry in entries] == [
        ("00000001", "00000001_000.png"),
        ("00000001", "00000001_001.png"),
        ("00000002", "00000002_000.png"),
        ("00000003", "sub/00000003_004.png"),
    ]


def test_nihs_test_list_chooses(folder: Path, tmp_path: Path) -> None:
    """Where the lists lie in the folder, training images are not compared."""
    (folder / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (folder / "test_list.txt").write_text("00000003_004.png\n00000002_000.png\n")
    _, entries = chosen(folder, tmp_path)
    assert [entry.patient for entry in entries] == ["00000002", "00000003"]


def test_an_image_without_a_patient_is_refused(folder: Path, tmp_path: Path) -> None:
    """A patient made up for it would narrow the intervals."""
    shutil.copy(folder / "00000002_000.png", folder / "_.png")
    with pytest.raises(DataError, match="patient"):
        chosen(folder, tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """As the pipeline refuses it."""
    with pytest.raises(DataError, match="hr"):
        chosen(tmp_path / "hr", tmp_path)


# ------------------------------------------------------------------ which methods


def test_the_released_generators_are_compared() -> None:
    """Each as it is and made consistent; the published one too, where its file is given."""
    ours = (SWIFT_SRGAN, SMALL, IDEAL_ONLY, FIDELITY, ADVERSARIAL)
    both = [name + end for name in ours for end in ("", CONSISTENT)]
    assert released(None).names == [BICUBIC, BACK_PROJECTED, *both]
    assert released(None).files[FIDELITY] == weights_file("plain_sr_x4")
    theirs = [PUBLISHED, PUBLISHED_PROJECTED, PUBLISHED + CONSISTENT]
    found = released(Path("netG.pth.tar"))
    assert found.names == [BICUBIC, BACK_PROJECTED, *theirs, *both]
    assert found.files[PUBLISHED] == Path("netG.pth.tar")


def test_every_method_makes_its_image(folder: Path, tmp_path: Path, weights: Weights) -> None:
    """As the pipeline's own functions make it, in the order of the tables."""
    lr = first(folder, tmp_path).lr
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


def test_every_method_is_scored(folder: Path, tmp_path: Path, weights: Weights) -> None:
    """A row a method: image, patient, method and the scores that evaluation gives."""
    source, entries = chosen(folder, tmp_path)
    rows, _ = examined(weights, source, entries[1])
    assert [row["method"] for row in rows] == weights.names
    assert {(row["image"], row["patient"]) for row in rows} == {("00000001_001.png", "00000001")}
    pair = make_pair(source, MADE, entries[1])
    wanted = asdict(score(bicubic(pair.lr, 4), reference(pair.hr, pair.lr)))
    assert {key: rows[0][key] for key in wanted} == {
        key: pytest.approx(value, abs=1e-5) for key, value in wanted.items()
    }


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
    found = pictures.details(hr, images)
    assert set(found) == {*places, "markers"}
    for name, (y, x) in places.items():
        detail = found[name]
        assert detail.strength > 0, name
        assert 0 <= detail.top <= 256 - 128, name
        assert 0 <= detail.left <= 320 - 128, name
        assert detail.top <= y < detail.top + 128, name
        assert detail.left <= x < detail.left + 128, name


def test_a_picture_is_drawn_for_each_caption(
    tmp_path: Path, folder: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PNG a caption and nothing else, the same bytes each time."""
    monkeypatch.setattr(pictures, "ALPHAS", (0.0, 1.0))
    source, entries = chosen(folder, tmp_path)
    _, found = examined(weights, source, entries[0])
    pairs = [make_pair(source, MADE, entries[0])]
    drawn = []
    for number, details in enumerate((found, {"lost": found["lost"]})):
        pictures.draw(tmp_path / str(number), [details], pairs, weights)
        files = (tmp_path / str(number)).iterdir()
        drawn.append({path.name: path.read_bytes() for path in files})
    every, again = drawn
    assert set(every) == {f"{name}.png" for name in pictures.CAPTIONS}
    assert all(data.startswith(b"\x89PNG") for data in every.values())
    assert again == {name: every[name] for name in ("lost.png", "curve.png")}
