"""The tables say what the scores say, and a page keeps what people wrote."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import results_pages
from benchmarks.inference import Figures
from benchmarks.methods import (
    BACK_PROJECTED,
    BICUBIC,
    FIDELITY,
    PUBLISHED,
    PUBLISHED_PROJECTED,
    Weights,
)
from benchmarks.results_pages import (
    CLOSE,
    OPEN,
    interval_table,
    mean_table,
    paired,
    paired_table,
    replace_block,
)
from benchmarks.turns import Spread
from srpipe.core.errors import DataError
from srpipe.metrics.scores import Scores

OURS = Weights({FIDELITY: Path("ours.safetensors")})
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
    ],
)
def test_a_page_without_its_markers_is_refused(tmp_path: Path, text: str | None) -> None:
    """Missing, absent, one of them, or twice: it is left as it is."""
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"page\.md must have the markers .* once, in this order"):
        replace_block(page, "new")
    assert page.exists() == (text is not None)
    assert text is None or page.read_text(encoding="utf-8") == text


def test_markers_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """The page is left as it is."""
    page = tmp_path / "page.md"
    page.write_text(f"before {CLOSE} between {OPEN} after", encoding="utf-8")
    with pytest.raises(DataError):
        replace_block(page, "new")
    assert page.read_text(encoding="utf-8") == f"before {CLOSE} between {OPEN} after"


@pytest.mark.parametrize("page", [results_pages.README, results_pages.PAGE])
def test_the_repositorys_pages_have_their_markers(page: Path) -> None:
    """So that `make results` can write them."""
    text = (Path(__file__).resolve().parents[2] / page).read_text(encoding="utf-8")
    assert (text.count(OPEN), text.count(CLOSE)) == (1, 1)
    assert text.index(OPEN) < text.index(CLOSE)


# ------------------------------------------------------------------ the tables


def test_means_and_costs_are_told(scores: pd.DataFrame) -> None:
    """A row a method in their order; what a method costs where it is known."""
    even = Spread(1.5, 1.4, 1.6)
    figures = {FIDELITY: Figures(Spread(10.04, 9, 11), even, 4.26, 1e8, 4.26e8)}
    found = cells(mean_table(scores, OURS, {FIDELITY: (234_567, 15.04)}, figures))
    assert list(found) == ["method", BICUBIC, BACK_PROJECTED, FIDELITY, f"{FIDELITY}, consistent"]
    assert len({len(row) for row in found.values()}) == 1
    start = ["41.50", "42.00", "0.9000", "0.9500", "50.00", "7.00"]
    assert found[BICUBIC] == [*start, *[""] * 5]
    assert found[BACK_PROJECTED][0] == "42.00"
    costs = ["235k", "15.0", "1/10.0", "1/1.5", "1/4.3"]
    assert found[FIDELITY] == ["42.75", *start[1:], *costs]
    assert found[f"{FIDELITY}, consistent"][6:] == [""] * 5


def test_the_published_generator_costs_one(scores: pd.DataFrame) -> None:
    """Times and memory are told as parts of its own."""
    weights = Weights({PUBLISHED: Path("published.pth.tar"), **OURS.files})
    more = [
        scores[scores["method"] == BICUBIC].assign(method=name)
        for name in (PUBLISHED, PUBLISHED_PROJECTED, f"{PUBLISHED}, consistent")
    ]
    found = cells(mean_table(pd.concat([scores, *more]), weights, {PUBLISHED: (201_209, 45.5)}, {}))
    assert found[PUBLISHED][6:] == ["201k", "45.5", "1", "1", "1"]
    assert found[PUBLISHED_PROJECTED][6:] == [""] * 5
    assert found[FIDELITY][6:] == [""] * 5


def test_intervals_are_over_patients(scores: pd.DataFrame) -> None:
    """Mean and 95% interval; what is the same on all images has no width."""
    found = cells(interval_table(scores, OURS))
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
    found = cells(paired_table(scores, OURS, BICUBIC))
    assert list(found) == ["method", BACK_PROJECTED, FIDELITY, f"{FIDELITY}, consistent"]
    assert found["method"] == ["PSNR", "masked", "SSIM", "masked SSIM", "content distance"]
    assert found[BACK_PROJECTED][0] == "+0.50 [+0.50, +0.50] (4)"
    mean, low, high = 1.25, -1.0, 3.0
    assert found[FIDELITY][0] == f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] (3)"
    assert found[FIDELITY][2] == "+0.0000 [+0.0000, +0.0000] (0)"


def test_the_order_of_rows_does_not_matter(scores: pd.DataFrame) -> None:
    """Images are matched by name."""
    mixed = scores.sample(frac=1, random_state=3)
    assert paired_table(mixed, OURS, BICUBIC) == paired_table(scores, OURS, BICUBIC)
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
    found = cells(paired_table(nearer, OURS, BICUBIC))
    assert found[FIDELITY][4] == "-4.00 [-4.00, -4.00] (4)"
    assert found[BACK_PROJECTED][4] == "+0.00 [+0.00, +0.00] (0)"
