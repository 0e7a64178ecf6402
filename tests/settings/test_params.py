"""`params.yaml` is taken as it stands or refused with every problem named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from srpipe.core import paths
from srpipe.core.errors import SettingsError
from srpipe.settings.params import Params, load_params
from tests.settings.valid import changed

ROOT = Path(__file__).resolve().parents[2]


def load(tmp_path: Path, changes: dict[str, Any]) -> Params:
    """Write changed settings to a file and load it."""
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(changes)))
    return load_params(path)


def refusal(tmp_path: Path, changes: dict[str, Any]) -> str:
    """Return the message of the SettingsError that changed settings must give."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, changes)
    return str(caught.value)


def test_a_valid_file_loads(tmp_path: Path) -> None:
    """Values arrive with the types that the file gave; a whole number serves as a weight."""
    params = load(tmp_path, {})
    assert params.train.learning_rate == 0.0005
    assert params.datasets.folder.patient_table is None
    assert params.downsample.scale == 4
    assert params.train.loss.total_variation == 0
    assert params.split.use_lists is True


def test_the_repository_brings_valid_settings() -> None:
    """`params.yaml` of the repository loads."""
    assert load_params(ROOT / paths.PARAMS).downsample.scale in (2, 4, 8)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Unknown, missing, wrongly typed, out-of-range and contradictory keys stand in one message."""
    message = refusal(
        tmp_path,
        {
            "train.optimiser": "adam",
            "train.batch_size": ...,
            "train.epochs": "10",
            "train.learning_rate": 1.5,
            "downsample.scale": 3,
            "split.test": 0.95,
            "evaluate": ...,
        },
    )
    assert message.startswith("7 problem(s)")
    for key, told in {
        "train.optimiser": "unknown key (given 'adam')",
        "train.batch_size": "missing",
        "train.epochs": "given '10'; input should be a valid integer",
        "train.learning_rate": "given 1.5; input should be less than 1",
        "downsample.scale": "given 3; input should be 2, 4 or 8",
        "split": "validation + test is 1.05",
        "evaluate": "missing",
    }.items():
        assert f"\n  {key}: {told}" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epochs", "10"),
        ("train.epochs", 10.0),
        ("train.epochs", True),
        ("train.seed", None),
        ("train.learning_rate", "0.0001"),
        ("train.generator.bicubic_skip", 1),
        ("train.generator.bicubic_skip", "yes"),
        ("train.crops.shifts", 1),
        ("train.crops.turns", True),
        ("evaluate.consistent", "no"),
        ("downsample.scale", "4"),
        ("datasets.folder.path", 7),
        ("datasets.nih.archive", False),
        ("train", "fast"),
    ],
)
def test_no_type_is_coerced(tmp_path: Path, key: str, value: Any) -> None:
    """A value of another type is refused with its key and itself, even where it could be read."""
    assert f"{key}: given {value!r}; " in refusal(tmp_path, {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.name", "mimic"),
        ("datasets.phantom.patients", 2),
        ("datasets.phantom.max_images_per_patient", 0),
        ("datasets.phantom.seed", -1),
        ("datasets.phantom.seed", 2**32),
        ("datasets.folder.path", ""),
        ("downsample.scale", 16),
        ("downsample.sixteen_bit", "window"),
        ("split.validation", 0),
        ("split.test", 1),
        ("baseline.back_projections", 0),
        ("baseline.content_images", 0),
        ("train.epochs", 0),
        ("train.adversarial.epochs", -1),
        ("train.batch_size", 1),
        ("train.crops.size", 16),
        ("train.crops.per_image", 0),
        ("train.adversarial.crops.size", 16),
        ("train.adversarial.crops.per_image", 0),
        ("train.fine_epochs", -1),
        ("train.crops.candidates", 0),
        ("train.crops.candidates", 65),
        ("train.crops.turns", -0.1),
        ("train.crops.turns", 1.1),
        ("train.crops.markers", float("nan")),
        ("train.crops.markers", 2),
        ("train.crops.jitter", -0.1),
        ("downsample.acquisition.noise", -1),
        ("downsample.seed", -1),
        ("train.crops.jitter", 1.1),
        ("train.crops.jitter", float("nan")),
        ("train.crops.margin", -1),
        ("train.learning_rate", 0),
        ("train.learning_rate", float("nan")),
        ("train.adversarial.learning_rate", 1),
        ("train.optimizer", "sgd"),
        ("train.schedule", "step"),
        ("train.adversarial.schedule", "linear"),
        ("train.final_rate", 0),
        ("train.final_rate", 1.5),
        ("train.warmup_steps", -1),
        ("train.weight_decay", -0.1),
        ("train.gradient_clip", float("inf")),
        ("train.ema", 1),
        ("train.adversarial.discriminator.name", "patch"),
        ("train.adversarial.form", "wgan"),
        ("evaluate.curve_points", 1),
        ("evaluate.curve_images", 0),
        ("train.precision", "fp16"),
        ("train.validation_images", 0),
        ("train.generator.name", "esrgan"),
        ("train.generator.channels", 2),
        ("train.generator.features", 3),
        ("train.generator.blocks", 0),
        ("train.adversarial.discriminator.features", 3),
        ("train.adversarial.discriminator.learning_rate", 0),
        ("train.loss.image", "huber"),
        ("train.loss.fine_image", "ssim"),
        ("train.loss.adversarial", -0.1),
        ("train.loss.content", float("inf")),
        ("train.loss.total_variation", float("nan")),
        ("train.adversarial.content.network", "vgg19"),
        ("evaluate.bootstrap_samples", 99),
        ("evaluate.seed", -1),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    """Each setting has limits, and the message gives the key and the value."""
    message = refusal(tmp_path, {key: value})
    assert message.startswith("1 problem(s)")
    assert f"{key}: given {value!r}; " in message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split.validation": 0.5, "split.test": 0.5}, "split: validation + test is 1"),
        ({"train.adversarial.epochs": 3}, "train: adversarial.epochs is 3 of 3 epochs"),
        ({"train.crops.size": 40}, "train.crops.size: given 40; must be a multiple of 16"),
        (
            {"train.adversarial.crops.size": 40},
            "train.adversarial.crops.size: given 40; must be a multiple of 16",
        ),
        (
            {"train.start": "models/pixel.pt"},
            "train: start is models/pixel.pt, which this training",
        ),
        ({"train.fine_epochs": 3}, "train: fine_epochs is 3 of 2 pixel epochs: must not be more"),
        (
            {"train.start": "models/../models/generator.pt"},
            "train: start is models/../models/generator.pt, which this training writes anew",
        ),
        (
            {"train.optimizer": "muon", "train.generator.features": 15},
            "train: generator.features is 15: optimizer: muon needs at least 16",
        ),
        (
            {"train.generator.name": "plain_sr", "train.generator.channels": 3},
            "train.generator: plain_sr needs channels: 1 and bicubic_skip: true",
        ),
        (
            {"train.generator.name": "plain_sr", "train.generator.bicubic_skip": False},
            "train.generator: plain_sr needs channels: 1 and bicubic_skip: true",
        ),
        (
            {"datasets.folder.patient_column": "image"},
            "datasets.folder: image_column and patient_column are both 'image'",
        ),
        (
            {"datasets.folder.patient_pattern": "("},
            "datasets.folder: patient_pattern is no regular expression",
        ),
        (
            {"datasets.folder.patient_pattern": "(.*)_"},
            "datasets.folder: patient_pattern must be one of file_name, nih, chexpert",
        ),
        (
            {"train.adversarial.content.weights": "net.pth"},
            "train.adversarial.content: weights must be null: efficientnet_lite0 brings its own",
        ),
    ],
)
def test_settings_must_fit_together(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    """Rules between settings are checked too, and named by their section."""
    assert f"\n  {told}" in refusal(tmp_path, changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"split.validation": 0.4, "split.test": 0.5},
        {"evaluate.curve_points": 0},
        {"evaluate.curve_points": 2},
        {"train.start": "plain_sr_x4"},
        {"train.start": "models/released.pt"},
        {"train.optimizer": "muon", "train.generator.features": 16},
        {"train.adversarial.epochs": 0},
        {"train.adversarial.epochs": 2},
        {"train.crops.size": 32},
        {"train.adversarial.crops.size": 32},
        {"train.fine_epochs": 2},
        {"train.crops.candidates": 64, "train.crops.turns": 0, "train.crops.markers": 1},
        {"downsample.acquisition": {"dose": 0.25, "noise": 1.0, "jpeg": 90}},
        {"train.crops.jitter": 1},
        {"train.crops.margin": 0, "train.loss.image": "psnr", "train.loss.fine_image": "mse"},
        {"train.generator.name": "plain_sr"},
        {
            "train.adversarial.content.network": "mobilenet_v2",
            "train.adversarial.content.weights": "net.pth",
        },
        {"train.adversarial.content.network": "mobilenet_v2"},
    ],
)
def test_settings_just_inside_the_rules_load(tmp_path: Path, changes: dict[str, Any]) -> None:
    """The rules refuse no more than they say."""
    assert load(tmp_path, changes).data.name == "phantom"


def test_lr_of_a_data_set_has_eight_bits(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"downsample.acquisition": {"bits": 10}})
    assert "downsample.acquisition" in message
    assert "bits is 10: LR images of a data set have 8" in message
