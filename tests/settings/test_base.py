"""A section is read by itself, and refused with every problem named."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from srpipe.core.errors import SettingsError
from srpipe.settings.base import Section, Seed, Weight, load_section, read_params


class Inner(Section):
    weight: Weight
    name: str | None


class Block(Section):
    seed: Seed
    rate: float
    skip: bool
    inner: Inner


GOOD = "{seed: 1, rate: 0.5, skip: true, inner: {weight: 2, name: null}}"


def load(tmp_path: Path, block: str, rest: str = "") -> Block:
    """Write a file with the section `block` and what else there is, and load that section."""
    path = tmp_path / "params.yaml"
    path.write_text(f"block: {block}\n{rest}")
    return load_section("block", Block, path)


def refusal(tmp_path: Path, block: str, rest: str = "") -> str:
    """Return the message of the SettingsError that a section must give."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, block, rest)
    return str(caught.value)


def test_a_section_arrives_typed(tmp_path: Path) -> None:
    """With the values that the file gave; a whole number serves as a weight."""
    block = load(tmp_path, GOOD)
    assert block == Block(seed=1, rate=0.5, skip=True, inner=Inner(weight=2, name=None))
    assert isinstance(block.inner.weight, float)


@pytest.mark.parametrize("rest", ["other: {what: ever}", "other: 7", "block2: {seed: x}", ""])
def test_only_its_own_section_is_looked_at(tmp_path: Path, rest: str) -> None:
    """What another stage reads, or nobody, neither stops this one nor changes it."""
    assert load(tmp_path, GOOD, rest) == load(tmp_path, GOOD)


def test_a_missing_section_is_told(tmp_path: Path) -> None:
    """By its name, with the file and where to read what it means."""
    path = tmp_path / "params.yaml"
    path.write_text("other: {}\n")
    with pytest.raises(SettingsError) as caught:
        load_section("block", Block, path)
    assert str(caught.value) == (
        f"1 problem(s) in {path}:\n  block: missing\n"
        "What each key means and allows is written beside it in params.yaml."
    )


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Missing, unknown, wrongly typed and out of range, each with its whole dotted key."""
    message = refusal(
        tmp_path, "{seed: -1, rate: '0.5', sead: 3, inner: {weight: .nan, name: 4, depth: 2}}"
    )
    head, *problems, where = message.splitlines()
    assert head == f"7 problem(s) in {tmp_path / 'params.yaml'}:"
    for problem in (
        "  block.seed: given -1; input should be greater than or equal to 0",
        "  block.rate: given '0.5'; input should be a valid number",
        "  block.skip: missing",
        "  block.sead: unknown key (given 3)",
        "  block.inner.weight: given nan; input should be a finite number",
        "  block.inner.name: given 4; input should be a valid string",
        "  block.inner.depth: unknown key (given 2)",
    ):
        assert problem in problems
    assert "params.yaml" in where


@pytest.mark.parametrize("block", ["fast", "[1, 2]", "null", "3"])
def test_a_section_that_is_none_is_refused(tmp_path: Path, block: str) -> None:
    """A value where keys should stand is told by the section's name."""
    assert "\n  block: given " in refusal(tmp_path, block)


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "1.0"), ("seed", "'1'"), ("seed", "true"), ("rate", "'5e-4'"), ("skip", "1")],
)
def test_no_type_is_coerced(tmp_path: Path, key: str, value: str) -> None:
    """A value of another type is refused, even where it could be read."""
    values = {"seed": "1", "rate": "0.5", "skip": "true", "inner": "{weight: 2, name: a}"}
    block = ", ".join(f"{name}: {given}" for name, given in {**values, key: value}.items())
    message = refusal(tmp_path, f"{{{block}}}")
    assert message.startswith("1 problem(s)")
    assert f"\n  block.{key}: given " in message


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Nothing can change a setting after it was checked."""
    with pytest.raises(ValidationError, match="frozen"):
        load(tmp_path, GOOD).seed = 9


@pytest.mark.parametrize("text", ["5e-05", "1.e-3", "2E-4", "-3e+2", "0.5", "1.0e-4"])
def test_numbers_as_dvc_writes_them(tmp_path: Path, text: str) -> None:
    """`dvc exp run -S train.learning_rate=5e-5` writes 5e-05, which YAML 1.1 takes for text."""
    block = load(tmp_path, f"{{seed: 1, rate: {text}, skip: true, inner: {{weight: 0, name: e5}}}}")
    assert block.rate == float(text)
    assert block.inner.name == "e5"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"train: [", "is no YAML"),
        (b"", "must hold sections"),
        (b"- train", "must hold sections"),
        (b"train", "must hold sections"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_without_sections_is_refused(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    """What is no YAML mapping, no text, or a folder, is told as such."""
    path = tmp_path / "params.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    reads: tuple[Any, ...] = (read_params, lambda given: load_section("train", Block, given))
    for read in reads:
        with pytest.raises(SettingsError, match=rf"params\.yaml {told}"):
            read(path)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    """Outside the repository the message says what to do."""
    with pytest.raises(SettingsError, match="from the root of the repository"):
        load_section("block", Block, tmp_path / "params.yaml")


def test_the_file_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages run in the repository, or in the copy of it that DVC made."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"block: {GOOD}\n")
    assert load_section("block", Block).seed == 1
    assert list(read_params()) == ["block"]
