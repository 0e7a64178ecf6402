"""The tables say what the scores say, and a page keeps what people wrote."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from srpipe.core.errors import DataError
from srpipe.evaluation.comparison import pages
from srpipe.evaluation.comparison.__main__ import main
from srpipe.evaluation.comparison.methods import (
    BACK_PROJECTED,
    BICUBIC,
    FIDELITY,
)
from srpipe.evaluation.comparison.pages import (
    CLOSE,
    OPEN,
    interval_table,
    mean_table,
    paired,
    paired_table,
    replace_block,
)
from srpipe.metrics.scores import Scores

ROOT = Path(__file__).resolve().parents[3]
NAMES = [BICUBIC, BACK_PROJECTED, FIDELITY, f"{FIDELITY}, consistent"]
# Scores of bicubic's four images of three patients; every method's are these and its gain.
START = {
    "psnr": 40.0,
    "ssim": 0.9,
    "psnr_masked": 42.0,
    "ssim_masked": 0.95,
    "lr_psnr": 50.0,
    "content_distance": 7.0,
}
PATIENTS = ("a", "a", "b", "c")


def frame(**gains: tuple[float, ...]) -> pd.DataFrame:
    """Return scores of four images; a method's PSNR gains so much, and its content distance and
    all else stay as they are.
    """
    names = {"bicubic": BICUBIC, "projected": BACK_PROJECTED, "ours": FIDELITY}
    rows = []
    for key, gained in gains.items():
        for name in [names[key]] + ([f"{FIDELITY}, consistent"] if key == "ours" else []):
            for index, gain in enumerate(gained):
                scores = {**START, "psnr": START["psnr"] + index + gain}
                rows.append(
                    {"image": f"{index}.png", "patient": PATIENTS[index], "method": name, **scores}
                )
    return pd.DataFrame(rows)


@pytest.fixture
def scores() -> pd.DataFrame:
    """Return scores of bicubic, of back-projection 0.5 dB above it, and of ours."""
    return frame(bicubic=(0,) * 4, projected=(0.5,) * 4, ours=(1.0, 2.0, 3.0, -1.0))


def cells(table: str) -> dict[str, list[str]]:
    """Return a Markdown table's rows by their first cell, the head under "method"."""
    lines = [line.strip("|").split("|") for line in table.splitlines() if not line.startswith("|-")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


# ------------------------------------------------------------------ the page


def test_the_block_is_replaced_and_the_rest_is_kept(tmp_path: Path) -> None:
    """Again and again; the new text stands on lines of its own."""
    page = tmp_path / "page.md"
    page.write_text(f"# Ours\n\n{OPEN}\nold\n{CLOSE}\n\nThe end \u2192\n", encoding="utf-8")
    for content in ("| a |\n\n| b |", "new"):
        replace_block(page, content)
        text = page.read_text(encoding="utf-8")
        assert text == f"# Ours\n\n{OPEN}\n{content}\n{CLOSE}\n\nThe end \u2192\n"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        f"{OPEN}\n",
        f"{CLOSE}\n",
        f"{OPEN}\n{CLOSE}\n{OPEN}\n{CLOSE}\n",
        f"{OPEN}\n{OPEN}\n{CLOSE}\n",
        f"before {CLOSE} between {OPEN} after",
    ],
)
def test_a_page_without_its_markers_is_refused(tmp_path: Path, text: str | None) -> None:
    """Missing, absent, one of them, twice, in the wrong order: it is left as it is."""
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"page\.md must have the markers .* once, in this order"):
        replace_block(page, "new")
    assert page.exists() == (text is not None)
    assert text is None or page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("page", [pages.README, pages.PAGE])
def test_the_repositorys_pages_have_their_markers(page: Path) -> None:
    """So that `make results` can write them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert (text.count(OPEN), text.count(CLOSE)) == (1, 1)
    assert text.index(OPEN) < text.index(CLOSE)


# ------------------------------------------------------------------ the tables


def test_means_are_a_row_a_method(scores: pd.DataFrame) -> None:
    """In the order and with the columns that are asked for."""
    found = cells(mean_table(scores, [FIDELITY, BICUBIC], ("psnr", "ssim_masked")))
    assert found == {
        "method": ["PSNR", "masked SSIM"],
        FIDELITY: ["42.75", "0.9500"],
        BICUBIC: ["41.50", "0.9500"],
    }


def test_pages_are_written_again_from_the_scores(
    scores: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an image; the repository's own give back its pages to the byte."""
    kept = [pages.README, pages.PAGE, pages.SUMMARY]
    for page in (*kept, pages.SCORES):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["comparison", "--from-csv", str(pages.SCORES)])
    main()
    for page in kept:
        assert (tmp_path / page).read_bytes() == (ROOT / page).read_bytes(), page


def test_scores_that_are_none_are_refused(tmp_path: Path) -> None:
    """A missing file and another table, by name."""
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name in ("gone.csv", "other.csv"):
        with pytest.raises(DataError, match=name):
            pages.read_scores(tmp_path / name)


def test_the_readmes_table_fits_a_screen() -> None:
    """Under 100 characters wide, at most ten methods below the counts and the head."""
    block = (ROOT / pages.README).read_text(encoding="utf-8").split(OPEN)[1].split(CLOSE)[0]
    lines = block.strip().splitlines()
    assert max(map(len, lines)) < 100
    assert len(lines) <= 2 + 2 + 10


def test_intervals_are_over_patients(scores: pd.DataFrame) -> None:
    """Mean and 95% interval; what is the same on all images has no width."""
    found = cells(interval_table(scores, NAMES))
    assert found["method"] == [
        "PSNR",
        "masked",
        "SSIM",
        "masked SSIM",
        "LR-PSNR",
        "content distance",
    ]
    # The patients' means of PSNR are 40.5 (of two images), 42 and 43.
    assert found[BICUBIC][0] == "41.50 [40.50, 43.00]"
    assert found[BICUBIC][2] == "0.9000 [0.9000, 0.9000]"
    assert found[BICUBIC][5] == "7.00 [7.00, 7.00]"


def test_gains_are_paired_by_image(scores: pd.DataFrame) -> None:
    """An even gain has no width, however the images differ; the method itself is left out."""
    found = cells(paired_table(scores, NAMES, BICUBIC))
    assert list(found) == ["method", BACK_PROJECTED, FIDELITY, f"{FIDELITY}, consistent"]
    assert found["method"] == ["PSNR", "masked", "SSIM", "masked SSIM", "content distance"]
    assert found[BACK_PROJECTED][0] == "+0.50 [+0.50, +0.50] (4)"
    mean, low, high = 1.25, -1.0, 3.0
    assert found[FIDELITY][0] == f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] (3)"
    assert found[FIDELITY][2] == "+0.0000 [+0.0000, +0.0000] (0)"


def test_the_order_of_rows_does_not_matter(scores: pd.DataFrame) -> None:
    """Images are matched by name."""
    mixed = scores.sample(frac=1, random_state=3)
    assert paired_table(mixed, NAMES, BICUBIC) == paired_table(scores, NAMES, BICUBIC)
    difference = paired(mixed, FIDELITY, BICUBIC)
    assert difference["psnr"].tolist() == [1, 2, 3, -1]
    assert difference["patient"].tolist() == list(PATIENTS)
    assert set(Scores.names()) < set(difference)


def test_a_lower_content_distance_is_better(scores: pd.DataFrame) -> None:
    """A gain is below 0 there, and counts where it is."""
    ours = scores["method"] == FIDELITY
    nearer = scores.assign(
        content_distance=scores["content_distance"].where(~ours, [3.0] * len(scores))
    )
    found = cells(paired_table(nearer, NAMES, BICUBIC))
    assert found[FIDELITY][4] == "-4.00 [-4.00, -4.00] (4)"
    assert found[BACK_PROJECTED][4] == "+0.00 [+0.00, +0.00] (0)"
