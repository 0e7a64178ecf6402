"""What comes with the repository in `models/released`: small, whole, and better than no network."""

from pathlib import Path

import pytest
import spandrel
import torch

from srpipe.core import paths
from srpipe.core.files import sha256
from srpipe.data.pairs import to_pair
from srpipe.data.sources.folder import list_files
from srpipe.formats.raster import read_file
from srpipe.imaging.consistency import make_consistent
from srpipe.imaging.resample import back_project, to_grey
from srpipe.metrics.scores import reference, score
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve, unrounded
from srpipe.models.plain_sr import PlainSR

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    paths.RELEASED_FIDELITY,
    paths.RELEASED_ADVERSARIAL,
    paths.RELEASED_SMALL,
    paths.RELEASED_BASE,
    paths.RELEASED_SWIFT_SRGAN,
)
FACTS = ("data", "licence", "commit", "scores", "training", "metrics")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_released_file_is_small_and_says_what_it_is(path: Path) -> None:
    """At most 1.5 MB, undamaged (its SHA-256 is checked at loading), with every fact recorded."""
    assert (ROOT / path).stat().st_size <= 1_500_000
    loaded = load_generator(ROOT / path)
    assert loaded.scale == 4
    assert loaded.model.channels == 1
    assert set(FACTS) <= set(loaded.record)
    settings = loaded.record["training"]["settings"]
    assert settings["generator"]["name"] == loaded.architecture


def test_the_sister_was_trained_on_from_the_fidelity_generator() -> None:
    """Same architecture, other kernels nearby: so that what lies between the two makes sense."""
    fidelity, sister = (load_generator(ROOT / path) for path in FILES[:2])
    assert isinstance(fidelity.model, PlainSR)
    assert fidelity.hyperparameters == sister.hyperparameters
    before, after = fidelity.model.state_dict(), sister.model.state_dict()
    kernels = [name for name, value in before.items() if value.ndim == 4]
    apart = [float((after[name] - before[name]).norm() / before[name].norm()) for name in kernels]
    assert 0 < max(apart) < 0.5


@pytest.mark.parametrize(
    ("path", "start"),
    [
        (paths.RELEASED_FIDELITY, paths.RELEASED_BASE),
        (paths.RELEASED_BASE, paths.RELEASED_SMALL),
    ],
    ids=["plain_sr", "base"],
)
def test_what_was_trained_on_names_the_file_it_started_from(path: Path, start: Path) -> None:
    """By its SHA-256: these very bytes are here, so that the recipe can be run again."""
    trained, former = load_generator(ROOT / path), load_generator(ROOT / start)
    assert trained.hyperparameters["blocks"] >= former.hyperparameters["blocks"]
    assert trained.record["training"]["start"] == {
        "file": start.name,
        "sha256": sha256(ROOT / start),
    }


def test_swift_srgan_is_the_published_form_for_others_too() -> None:
    """No skip, 64 features, 16 blocks; spandrel loads the file and makes the same image."""
    loaded = load_generator(ROOT / paths.RELEASED_SWIFT_SRGAN)
    wanted = {"channels": 1, "features": 64, "blocks": 16, "scale": 4, "bicubic_skip": False}
    assert loaded.hyperparameters == wanted
    theirs = spandrel.ModelLoader().load_from_file(ROOT / paths.RELEASED_SWIFT_SRGAN)
    assert isinstance(theirs, spandrel.ImageModelDescriptor)
    lr = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (loaded.model(lr) - theirs.eval()(lr)).abs().max() < 1e-5


@pytest.mark.parametrize("file", [paths.RELEASED_FIDELITY, paths.RELEASED_SMALL], ids=str)
@pytest.mark.parametrize("number", range(2))
def test_on_radiographs_the_fidelity_generators_beat_back_projection(
    nih_sample: Path, number: int, file: Path
) -> None:
    """Whole and masked, and its consistent image agrees with LR within 8-bit rounding."""
    names = (nih_sample / "test_list.txt").read_text().split()
    path = next(
        nih_sample / each for each in list_files(nih_sample) if each.endswith(names[number])
    )
    hr, lr = to_pair(read_file(path, "minmax"), 4, path.name)
    against = reference(hr, lr)
    model = load_generator(ROOT / file).model
    ours = score(super_resolve(model, lr), against)
    baseline = score(back_project(lr, 4, 3), against)
    assert ours.psnr > baseline.psnr
    assert ours.psnr_masked > baseline.psnr_masked
    consistent = score(to_grey(make_consistent(unrounded(model, lr), lr)), against)
    assert consistent.lr_psnr >= 65
    assert consistent.psnr >= ours.psnr - 1e-3
    assert consistent.psnr_masked >= ours.psnr_masked - 0.02
