"""Reading settings: typed, frozen sections of `params.yaml`.

Every key is required, unknown keys are refused, types are not coerced, and all problems are
reported at once. Each setting is explained beside it in `params.yaml`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srpipe.core import paths
from srpipe.core.errors import SettingsError

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Scale = Literal[2, 4, 8]


class Section(BaseModel):
    """A block of settings: immutable, strict types, nothing unknown, nothing missing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


S = TypeVar("S", bound=Section)


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which also reads 5e-05 as a number, as YAML 1.2 and DVC write it."""


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_params(path: Path = paths.PARAMS) -> dict[str, Any]:
    """Return the content of `params.yaml`, unchecked.

    Raises:
        SettingsError: the file is missing or not a YAML mapping.
    """
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} is missing in {Path.cwd()}: run this from the root of the repository"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as text: {error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {error}") from error
    if not isinstance(given, dict):
        raise SettingsError(f"{path} must hold sections such as 'train:', got {given!r}")
    return given


def load_section(name: str, kind: type[S], path: Path = paths.PARAMS) -> S:
    """Read and check one section of `params.yaml`; the others are ignored.

    Raises:
        SettingsError: the file cannot be read, or a key of the section is unknown, missing, of the
            wrong type or out of range; the message lists all of them.
    """
    given = read_params(path)
    if name not in given:
        raise SettingsError(f"1 problem(s) in {path}:\n  {name}: missing\n{_WHERE}")
    return check(kind, given[name], path, (name,))


def check(kind: type[S], given: Any, path: Path, within: tuple[str, ...] = ()) -> S:
    """Return settings of a kind from plain values; `within` is their place in the file.

    Raises:
        SettingsError: a value is not allowed.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(each, within)}" for each in error.errors())
        raise SettingsError(
            f"{error.error_count()} problem(s) in {path}:\n{problems}\n{_WHERE}"
        ) from error


_WHERE = "What each key means and allows is written beside it in params.yaml."


def _problem(error: Any, within: tuple[str, ...]) -> str:
    key = ".".join(str(part) for part in (*within, *error["loc"]))
    given = error["input"]
    match error["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden":
            return f"{key}: unknown key (given {given!r})"
        case "value_error":
            return f"{key}: {error['ctx']['error']}"
        case _:
            return f"{key}: given {given!r}; {error['msg'][0].lower()}{error['msg'][1:]}"
