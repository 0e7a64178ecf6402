"""`params.yaml` is taken as it stands or refused with every problem named."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from srpipe.core import paths
from srpipe.core.errors import SettingsError
from srpipe.settings.params import Params, load_params

ROOT = Path(__file__).resolve().parents[1]
VALID = """
data:
  name: phantom
datasets:
  phantom:
    patients: 12
    max_images_per_patient: 3
    seed: 0
  folder:
    path: data/own
    patient_pattern: "^(?P<patient>[^_]+)"
    patient_table: null
    image_column: image
    patient_column: patient
  nih:
    archive: null
downsample:
  scale: 4
  sixteen_bit: minmax
split:
  use_lists: true
  validation: 0.1
  test: 0.2
  seed: 0
baseline:
  back_projections: 3
train:
  seed: 0
  start: null
  epochs: 3
  adversarial_epochs: 1
  fine_epochs: 0
  batch_size: 4
  crop: 96
  crops_per_image: 2
  adversarial_crop: 96
  adversarial_crops_per_image: 2
  crop_candidates: 1
  crop_shifts: false
  crop_turns: 1.0
  crop_markers: 0.0
  crop_jitter: 0.0
  crop_margin: 2
  learning_rate: 0.0005
  adversarial_learning_rate: 0.0001
  optimizer: adamw
  schedule: cosine
  adversarial_schedule: constant
  final_rate: 0.05
  warmup_steps: 0
  weight_decay: 0.0
  gradient_clip: 0.0
  ema: 0.99
  precision: fp32
  validation_images: 8
  generator:
    name: swift_srgan
    channels: 1
    features: 64
    blocks: 16
    bicubic_skip: true
  discriminator:
    name: swift
    features: 64
    learning_rate: 0.001
  loss:
    image: l1
    fine_image: psnr
    adversarial_form: bce
    adversarial: 0.001
    content: 0.006
    total_variation: 0
  content:
    network: efficientnet_lite0
    weights: null
evaluate:
  consistent: false
  bootstrap_samples: 1000
  seed: 0
  curve_points: 5
  curve_images: 4
"""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the valid settings with dotted keys set; the value `...` takes the key away."""
    settings = copy.deepcopy(yaml.safe_load(VALID))
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = settings
        for section in sections:
            place = place[section]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return settings


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


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Nothing can change a setting after it was checked."""
    params = load(tmp_path, {})
    with pytest.raises(ValidationError, match="frozen"):
        params.train.epochs = 9


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
        ("train.crop_shifts", 1),
        ("train.crop_turns", True),
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
        ("train.epochs", 0),
        ("train.adversarial_epochs", -1),
        ("train.batch_size", 1),
        ("train.crop", 16),
        ("train.crops_per_image", 0),
        ("train.adversarial_crop", 16),
        ("train.adversarial_crops_per_image", 0),
        ("train.fine_epochs", -1),
        ("train.crop_candidates", 0),
        ("train.crop_candidates", 65),
        ("train.crop_turns", -0.1),
        ("train.crop_turns", 1.1),
        ("train.crop_markers", float("nan")),
        ("train.crop_markers", 2),
        ("train.crop_jitter", -0.1),
        ("train.crop_jitter", 1.1),
        ("train.crop_jitter", float("nan")),
        ("train.crop_margin", -1),
        ("train.learning_rate", 0),
        ("train.learning_rate", float("nan")),
        ("train.adversarial_learning_rate", 1),
        ("train.optimizer", "sgd"),
        ("train.schedule", "step"),
        ("train.adversarial_schedule", "linear"),
        ("train.final_rate", 0),
        ("train.final_rate", 1.5),
        ("train.warmup_steps", -1),
        ("train.weight_decay", -0.1),
        ("train.gradient_clip", float("inf")),
        ("train.ema", 1),
        ("train.discriminator.name", "patch"),
        ("train.loss.adversarial_form", "wgan"),
        ("evaluate.curve_points", 1),
        ("evaluate.curve_images", 0),
        ("train.precision", "fp16"),
        ("train.validation_images", 0),
        ("train.generator.name", "esrgan"),
        ("train.generator.channels", 2),
        ("train.generator.features", 3),
        ("train.generator.blocks", 0),
        ("train.discriminator.features", 3),
        ("train.discriminator.learning_rate", 0),
        ("train.loss.image", "huber"),
        ("train.loss.fine_image", "ssim"),
        ("train.loss.adversarial", -0.1),
        ("train.loss.content", float("inf")),
        ("train.loss.total_variation", float("nan")),
        ("train.content.network", "vgg19"),
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
        ({"train.adversarial_epochs": 3}, "train: adversarial_epochs is 3 of 3 epochs"),
        ({"train.crop": 40}, "train: crop is 40: must be a multiple of 16"),
        ({"train.adversarial_crop": 40}, "train: adversarial_crop is 40: must be a multiple of 16"),
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
            {"datasets.folder.patient_pattern": "("},
            "datasets.folder: patient_pattern is no regular expression",
        ),
        (
            {"datasets.folder.patient_pattern": "(.*)_"},
            "datasets.folder: patient_pattern needs a group named patient",
        ),
        (
            {"train.content.weights": "net.pth"},
            "train.content: weights must be null: efficientnet_lite0 brings its own",
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
        {"train.adversarial_epochs": 0},
        {"train.adversarial_epochs": 2},
        {"train.crop": 32},
        {"train.adversarial_crop": 32},
        {"train.fine_epochs": 2},
        {"train.crop_candidates": 64, "train.crop_turns": 0, "train.crop_markers": 1},
        {"train.crop_jitter": 1},
        {"train.crop_margin": 0, "train.loss.image": "psnr", "train.loss.fine_image": "mse"},
        {"train.generator.name": "plain_sr"},
        {"train.content.network": "mobilenet_v2", "train.content.weights": "net.pth"},
        {"train.content.network": "mobilenet_v2"},
    ],
)
def test_settings_just_inside_the_rules_load(tmp_path: Path, changes: dict[str, Any]) -> None:
    """The rules refuse no more than they say."""
    assert load(tmp_path, changes).data.name == "phantom"


@pytest.mark.parametrize(
    ("epochs", "weight", "expected"), [(1, 0.006, True), (0, 0.006, False), (1, 0, False)]
)
def test_the_feature_network_is_used_where_its_term_counts(
    tmp_path: Path, epochs: int, weight: float, expected: bool
) -> None:
    """Only adversarial epochs with a content weight need it."""
    changes = {"train.adversarial_epochs": epochs, "train.loss.content": weight}
    assert load(tmp_path, changes).train.uses_content is expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: [", "is no YAML"),
        ("", "must hold sections"),
        ("- train", "must hold sections"),
    ],
)
def test_a_file_without_sections_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """What is no YAML mapping is told as such."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=told):
        load_params(path)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    """Outside the repository the message says what to do."""
    with pytest.raises(SettingsError, match="from the root of the repository"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_is_told(tmp_path: Path, content: bytes | None) -> None:
    """Bytes that are no UTF-8, or a folder, are one SettingsError."""
    path = tmp_path / "params.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_params(path)


@pytest.mark.parametrize(("text", "value"), [("5e-05", 5e-05), ("1.e-3", 1e-3), ("2E-4", 2e-4)])
def test_numbers_as_dvc_writes_them(tmp_path: Path, text: str, value: float) -> None:
    """`dvc exp run -S train.learning_rate=5e-5` writes 5e-05, which YAML 1.1 takes for text."""
    given = (ROOT / paths.PARAMS).read_text()
    written = re.sub(r"(?m)^(  learning_rate:) \S+", rf"\1 {text}", given)
    (tmp_path / "params.yaml").write_text(written)
    assert load_params(tmp_path / "params.yaml").train.learning_rate == value
