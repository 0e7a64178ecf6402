"""Help, wrong usage, and what it costs to start."""

from importlib.metadata import version

import pytest

from srpipe.cli.main import main

COMMANDS = ("upscale", "evaluate", "interpolate", "show", "export")


def test_help_tells_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    listed = [
        line.split()[0] for line in out.splitlines() if line.startswith("    ") and line[4:5] > " "
    ]
    assert [name for name in COMMANDS if name not in listed] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it does and each of its options."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: srpipe {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["evaluate"],
        ["export", "--out", "x"],
        ["interpolate"],
        ["upscale", "--images", "x"],
        ["upscale", "--images", "x", "--out", "y", "--precision", "fp16"],
    ],
)
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as of every command line tool."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: srpipe" in capsys.readouterr().err


def test_an_unknown_option_is_told_with_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["upscale", "a.png", "-o", "large", "--wieghts", "x.pt"])
    said = capsys.readouterr().err
    assert said.startswith("usage: srpipe upscale")
    assert "unrecognized arguments: --wieghts" in said


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """The installed one's, as pip knows it."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"srpipe {version('srpipe')}\n"
