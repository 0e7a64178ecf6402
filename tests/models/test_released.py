"""What comes with the package: small, whole, found by name, and better than no network."""

from pathlib import Path

import pytest
import spandrel
import torch

from srpipe.core.files import sha256
from srpipe.data.pairs import to_pair
from srpipe.formats.listing import list_files
from srpipe.formats.raster import read_file
from srpipe.imaging.consistency import make_consistent
from srpipe.imaging.resample import back_project, to_grey
from srpipe.metrics.scores import reference, score
from srpipe.models.checkpoint import load_generator
from srpipe.models.inference import super_resolve, unrounded
from srpipe.models.plain_sr import PlainSR
from srpipe.models.released import released_names, weights_file
from tests.models.made import assert_same_images

FIDELITY, ADVERSARIAL = "plain_sr_x4", "plain_sr_x4_adversarial"
IDEAL_ONLY, BASE, SMALL = "plain_sr_ideal_x4", "plain_sr_base_x4", "plain_sr_small_x4"
SWIFT, SWIFT_MID, SWIFT_BASE = "swift_srgan_x4", "swift_srgan_mid_x4", "swift_srgan_base_x4"
FACTS = ("data", "licence", "commit", "scores", "training", "metrics")


def test_every_released_model_has_a_name() -> None:
    """These are the names that every --weights option and `train.start` take."""
    names = [FIDELITY, IDEAL_ONLY, ADVERSARIAL, BASE, SMALL, SWIFT, SWIFT_MID, SWIFT_BASE]
    assert released_names() == sorted(names)


@pytest.mark.parametrize("name", released_names())
def test_a_name_finds_its_file_from_anywhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package brings it; a file or folder of that name in the working directory is not it."""
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    found = weights_file(name)
    assert found.is_absolute()
    assert (found.name, found.is_file()) == (f"{name}.safetensors", True)
    assert weights_file(Path(name)) == found


@pytest.mark.parametrize(
    "given",
    [
        "./plain_sr_x4",
        "models/generator.pt",
        "plain_sr_x4.safetensors",
        "folder/plain_sr_x4",
        "/plain_sr_x4",
        "plain_sr",
        "Plain_SR_x4",
        "plain_sr_x*",
        "../released/plain_sr_x4",
    ],
)
def test_a_path_is_a_path(given: str) -> None:
    """Only a whole name is a released model's; whether the file is there is for who opens it."""
    assert weights_file(given) == Path(given)


@pytest.mark.parametrize("name", released_names())
def test_a_released_file_is_small_and_says_what_it_is(name: str) -> None:
    """At most 1.5 MB, undamaged (its SHA-256 is checked at loading), with every fact recorded."""
    assert weights_file(name).stat().st_size <= 1_500_000
    loaded = load_generator(weights_file(name))
    assert loaded.scale == 4
    assert loaded.model.channels == 1
    assert set(FACTS) <= set(loaded.record)
    settings = loaded.record["training"]["settings"]
    assert settings["generator"]["name"] == loaded.architecture


def test_the_adversarial_variant_was_trained_on_from_the_fidelity_generator() -> None:
    """Same architecture, other kernels nearby: so that what lies between the two makes sense."""
    fidelity, adversarial = (load_generator(weights_file(n)) for n in (FIDELITY, ADVERSARIAL))
    assert isinstance(fidelity.model, PlainSR)
    assert fidelity.hyperparameters == adversarial.hyperparameters
    before, after = fidelity.model.state_dict(), adversarial.model.state_dict()
    kernels = [name for name, value in before.items() if value.ndim == 4]
    apart = [float((after[name] - before[name]).norm() / before[name].norm()) for name in kernels]
    assert 0 < max(apart) < 0.5


@pytest.mark.parametrize(
    ("name", "start"),
    [
        (ADVERSARIAL, FIDELITY),
        (FIDELITY, IDEAL_ONLY),
        (IDEAL_ONLY, BASE),
        (BASE, SMALL),
        (SWIFT, SWIFT_MID),
        (SWIFT_MID, SWIFT_BASE),
    ],
)
def test_what_was_trained_on_names_the_file_it_started_from(name: str, start: str) -> None:
    """By its SHA-256: these very bytes are here, so that the recipe can be run again."""
    trained, former = load_generator(weights_file(name)), load_generator(weights_file(start))
    assert trained.hyperparameters["blocks"] >= former.hyperparameters["blocks"]
    # The file may have had another name then.
    assert trained.record["training"]["start"]["sha256"] == sha256(weights_file(start))


def test_swift_srgan_is_the_published_form_for_others_too() -> None:
    """No skip, 64 features, 16 blocks; spandrel loads the file and makes the same image."""
    loaded = load_generator(weights_file(SWIFT))
    wanted = {"channels": 1, "features": 64, "blocks": 16, "scale": 4, "bicubic_skip": False}
    assert loaded.hyperparameters == wanted
    theirs = spandrel.ModelLoader().load_from_file(weights_file(SWIFT))
    assert isinstance(theirs, spandrel.ImageModelDescriptor)
    lr = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    assert_same_images(loaded.model, theirs, lr)


@pytest.mark.parametrize("name", [FIDELITY, SMALL])
@pytest.mark.parametrize("number", range(2))
def test_on_radiographs_the_fidelity_generators_beat_back_projection(
    nih_sample: Path, number: int, name: str
) -> None:
    """Whole and masked, and its consistent image agrees with LR within 8-bit rounding."""
    names = (nih_sample / "test_list.txt").read_text().split()
    path = next(
        nih_sample / each for each in list_files(nih_sample) if each.endswith(names[number])
    )
    hr, lr = to_pair(read_file(path, "minmax"), 4, path.name)
    against = reference(hr, lr)
    model = load_generator(weights_file(name)).model
    ours = score(super_resolve(model, lr), against)
    baseline = score(back_project(lr, 4, 3), against)
    assert ours.psnr > baseline.psnr
    assert ours.psnr_masked > baseline.psnr_masked
    consistent = score(to_grey(make_consistent(unrounded(model, lr), lr)), against)
    assert consistent.lr_psnr >= 65
    assert consistent.psnr >= ours.psnr - 1e-3
    assert consistent.psnr_masked >= ours.psnr_masked - 0.02
