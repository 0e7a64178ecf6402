"""`srpipe show` prints the results of the last pipeline run."""

import json
from pathlib import Path

import pytest

from srpipe.cli.main import main
from srpipe.metrics.scores import Scores
from tests.cli.conftest import Refused


def write_metrics() -> None:
    """Write metrics as the pipeline does, all numbers made up."""
    values = (40.0, 0.95, 42.0, 0.96, 50.0, 7.0)
    numbers = dict(zip(Scores.names(), values, strict=True))
    gain = {"mean": 1.25, "low": 0.5, "high": 2.0, "better_images": 7}
    gains = dict.fromkeys(numbers, gain)
    evaluated = {name: {"mean": value + 1} for name, value in numbers.items()}
    Path("metrics").mkdir()
    Path("metrics/baseline.json").write_text(
        json.dumps({"images": 9, "bicubic": numbers, "bicubic_bp": numbers})
    )
    evaluated |= {"over_bicubic": gains, "over_bicubic_bp": gains}
    Path("metrics/evaluate.json").write_text(
        json.dumps({"consistent": False, "images": 9, "patients": 8, **evaluated}),
    )


def test_show_prints_the_last_results(capsys: pytest.CaptureFixture[str]) -> None:
    """Three methods, the number of images and patients, and the gains with their intervals."""
    write_metrics()
    main(["show"])
    out = capsys.readouterr().out
    assert "| trained generator " in out
    assert "41.00" in out
    assert "8.00" in out
    assert "9 test images of 8 patients" in out
    assert out.count("PSNR +1.25 [+0.50, +2.00] dB") == 2
    assert out.count("better on 7 and 7 images") == 2


def test_show_without_results(refused: Refused) -> None:
    """The message says what makes them."""
    message = refused("show")
    assert "metrics/baseline.json is missing" in message
    assert "make repro" in message


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"images": 9}'])
def test_show_with_damaged_results(refused: Refused, content: bytes) -> None:
    """A file that was cut is named."""
    write_metrics()
    Path("metrics/evaluate.json").write_bytes(content)
    assert "metrics/evaluate.json" in refused("show")
