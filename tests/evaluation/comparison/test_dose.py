"""The released generators over acquisitions: every method is scored, and the page says so."""

from pathlib import Path

import pandas as pd
import pytest

from srpipe.evaluation.acquisitions import LABELS
from srpipe.evaluation.comparison import dose
from srpipe.evaluation.comparison.examine import chosen
from srpipe.evaluation.comparison.methods import FIDELITY, IDEAL_ONLY, PUBLISHED, Weights
from srpipe.evaluation.comparison.pages import CLOSE, OPEN
from srpipe.evaluation.shown import SHOWN

NOISES = [name for name, how in SHOWN.items() if how.noise or how.dose < 1]


@pytest.fixture
def table(folder: Path, tmp_path: Path, weights: Weights) -> pd.DataFrame:
    """Return the scores of two images."""
    source, entries = chosen(folder, tmp_path)
    rows = [row for entry in entries[:2] for row in dose.acquired(weights, source, entry)]
    return pd.DataFrame(rows)


def test_every_method_is_scored_under_every_acquisition(table: pd.DataFrame) -> None:
    """Denoising only where there is noise."""
    always = {"bicubic", "bicubic_bp", PUBLISHED, IDEAL_ONLY, FIDELITY}
    for how, rows in table.groupby("acquisition"):
        denoised = {"denoised", dose.DENOISED_IDEAL} if how in NOISES else set()
        assert set(rows["method"]) == always | denoised, how
    assert list(dict.fromkeys(table["acquisition"])) == list(SHOWN)
    assert len(table) == 2 * (5 * len(SHOWN) + 2 * len(NOISES))


def test_the_page_has_all_of_it(table: pd.DataFrame) -> None:
    dose.PAGE.parent.mkdir()
    dose.FIGURE.parent.mkdir()
    dose.PAGE.write_text(f"# Dose\n\n{OPEN}\n{CLOSE}\n\nwritten by people\n", encoding="utf-8")
    dose.write(table)
    text = dose.PAGE.read_text(encoding="utf-8")
    assert text.startswith("# Dose")
    assert text.endswith("written by people\n")
    for name in (*SHOWN, *LABELS.values())[: len(SHOWN) + 3]:
        assert f"| {name}" in text
    bicubic = table[(table["acquisition"] == "noise 4") & (table["method"] == "bicubic")]
    assert "{psnr:.2f} / {psnr_masked:.2f}".format(**bicubic.mean(numeric_only=True)) in text
    assert dose.FIGURE.stat().st_size > 10_000
    assert len(pd.read_csv(dose.CSV)) == len(table)


def test_the_gain_is_over_simple_answers_alone(table: pd.DataFrame) -> None:
    """Another network is not a simple answer, but denoising before one is."""
    lines = dose.gain_table(table.replace({"method": LABELS})).splitlines()[2:]
    assert len(lines) == len(SHOWN)
    for line in lines:
        assert line.split("|")[2].strip() != IDEAL_ONLY
