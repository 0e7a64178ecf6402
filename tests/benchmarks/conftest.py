"""A measurement of everything that takes seconds: tiny networks, tiny images, one round."""

from pathlib import Path

import pytest

from benchmarks.options import Effort
from srpipe.settings.params import Params, load_params

ROOT = Path(__file__).resolve().parents[2]
TINY = Effort(
    rounds=2,
    variant_rounds=1,
    share=0.5,
    process_rounds=2,
    process_steps=1,
    loading_rounds=2,
    loading_seconds=0.005,
    images=2,
    copies=2,
    thorough=True,
)
# What makes the default settings tiny: lines of params.yaml.
LINES = {
    "  batch_size: 16 ": "  batch_size: 2 ",
    "  crop: 96 ": "  crop: 32 ",
    "adversarial_crop: 96": "adversarial_crop: 32",
    "    features: 64 # hidden": "    features: 4 # hidden",
    "    features: 64 # channels": "    features: 4 # channels",
    "    blocks: 16 ": "    blocks: 1 ",
}


@pytest.fixture(scope="session")
def tiny_effort() -> Effort:
    """Return how much is measured in tests."""
    return TINY


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a params.yaml of tiny networks and crops."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for usual, tiny in LINES.items():
        assert usual in text
        text = text.replace(usual, tiny)
    folder = tmp_path_factory.mktemp("benchmarks")
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_params(tiny_folder: Path) -> Params:
    """Return the settings of `tiny_folder`."""
    return load_params(tiny_folder / "params.yaml")
