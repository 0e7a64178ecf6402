"""Tables say what the scores come to, for people and for metrics files."""

import pandas as pd
import pytest

from srpipe.evaluation.tables import aligned_table, means, text_table
from srpipe.metrics.scores import Scores

NAMES = Scores.names()


def test_means_are_over_images_and_rounded(table: pd.DataFrame) -> None:
    """Every score once, of the method that the prefix names."""
    assert means(table) == {name: 33.0 if name == "psnr" else 32.0 for name in NAMES}
    assert means(table, "bicubic_") == dict.fromkeys(NAMES, 32.0)
    thirds = pd.DataFrame({name: [0.0, 0.0, 1.0] for name in NAMES})
    assert set(means(thirds).values()) == {0.3333}


def test_a_mean_that_is_not_finite_is_refused(table: pd.DataFrame) -> None:
    """No metrics file says NaN."""
    with pytest.raises(ValueError, match="finite"):
        means(table.assign(psnr=float("nan")))


def test_the_text_table_is_markdown_with_a_row_a_method() -> None:
    """PSNR and content distance with two digits, SSIM with four; notes stand below."""
    rows = {
        "bicubic": {name: 0.91234 if "ssim" in name else 36.456 for name in NAMES},
        "a longer name": {name: 0.9 if "ssim" in name else 7 for name in NAMES},
    }
    lines = text_table(rows, ["A note."]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == [
        "method",
        "PSNR (dB)",
        "PSNR masked (dB)",
        "SSIM",
        "SSIM masked",
        "LR-PSNR (dB)",
        "content dist.",
    ]
    assert all(set(cell) <= {"-", ":"} for cell in cells[1])
    assert cells[2] == ["bicubic", "36.46", "36.46", "0.9123", "0.9123", "36.46", "36.46"]
    assert cells[3] == ["a longer name", "7.00", "7.00", "0.9000", "0.9000", "7.00", "7.00"]
    assert lines[4:] == ["A note."]


def test_the_text_table_is_aligned_in_a_terminal() -> None:
    """Every bar stands below a bar."""
    rows = {
        name: {score: 0.5 if "ssim" in score else 40.0 for score in NAMES}
        for name in ("bicubic", "x", "a trained generator of a long name")
    }
    lines = text_table(rows).splitlines()
    places = [[i for i, letter in enumerate(line) if letter == "|"] for line in lines]
    assert all(place == places[0] for place in places)


def test_tables_are_aligned() -> None:
    """Text to the left, numbers to the right."""
    assert aligned_table(["what", "x"], [["one", "1"], ["eleven", "11.0"]]).splitlines() == [
        "| what   |    x |",
        "|--------|-----:|",
        "| one    |    1 |",
        "| eleven | 11.0 |",
    ]
