"""Recipes are arguments of `dvc exp run` that this version of the pipeline accepts."""

from pathlib import Path

import pytest
import yaml

from srpipe.core import paths
from srpipe.models.released import weights_file
from srpipe.settings.params import Params
from srpipe.training.start import load_start

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.txt"))


def changed(recipe: Path) -> Params:
    """Return the settings of the repository with a recipe's changes; every key must be there."""
    settings = yaml.safe_load((ROOT / paths.PARAMS).read_text(encoding="utf-8"))
    words = recipe.read_text(encoding="utf-8").split()
    assert words[::2] == ["-S"] * (len(words) // 2)
    for change in words[1::2]:
        key, value = change.split("=", 1)
        *sections, last = key.split(".")
        place = settings
        for section in sections:
            place = place[section]
        assert last in place, change
        place[last] = yaml.safe_load(value)
    return Params.model_validate(settings)


def test_there_is_a_recipe_for_each_released_training() -> None:
    """A stranger can make what srpipe/released/ holds."""
    assert {path.stem for path in RECIPES} >= {
        "plain_sr",
        "plain_sr_adversarial",
        "plain_sr_ideal",
        "plain_sr_base",
        "plain_sr_small",
        "swift_srgan_base",
        "swift_srgan_mid",
        "swift_srgan",
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_gives_valid_settings(recipe: Path) -> None:
    """All its keys exist, all its values are allowed, and it trains what its name says."""
    assert recipe.stem.startswith(changed(recipe).train.generator.name)


def test_swift_srgan_is_faithful() -> None:
    """The Swift-SRGAN that we release has the published form: no skip, 64 features, 16 blocks."""
    generator = changed(ROOT / "recipes/swift_srgan.txt").train.generator
    assert (generator.bicubic_skip, generator.features, generator.blocks) == (False, 64, 16)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_what_a_recipe_starts_from_is_there_and_fits(recipe: Path) -> None:
    """A clone can run it."""
    params = changed(recipe)
    if params.train.start is None:
        return
    file = weights_file(params.train.start)
    start = load_start(params.train.generator, params.downsample.scale, file)
    assert start.record["file"] == f"{params.train.start}.safetensors"


def test_our_generator_grows_from_the_small_one() -> None:
    """Step by step, each of which a recipe makes."""
    assert changed(ROOT / "recipes/plain_sr_adversarial.txt").train.start == "plain_sr_x4"
    assert changed(ROOT / "recipes/plain_sr.txt").train.start == "plain_sr_ideal_x4"
    assert changed(ROOT / "recipes/plain_sr_ideal.txt").train.start == "plain_sr_base_x4"
    assert changed(ROOT / "recipes/plain_sr_base.txt").train.start == "plain_sr_small_x4"
    assert changed(ROOT / "recipes/plain_sr_small.txt").train.start is None


def test_swift_srgan_is_trained_on_from_its_first_training() -> None:
    """With Muon, on more images, twice."""
    assert changed(ROOT / "recipes/swift_srgan.txt").train.start == "swift_srgan_mid_x4"
    assert changed(ROOT / "recipes/swift_srgan_mid.txt").train.start == "swift_srgan_base_x4"
    assert changed(ROOT / "recipes/swift_srgan_base.txt").train.start is None
