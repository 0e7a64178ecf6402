"""What the page of `dvc plots show` draws, read from the charts in a browser without a network."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HISTORY = """\
epoch,loss,loss_image,loss_adversarial,loss_content,loss_discriminator,d_real,d_fake,psnr,psnr_masked,ssim
1,0.004,0.004,,,,,,38.5,40.5,0.95
2,0.003,0.003,,,,,,39.5,41.5,0.96
3,0.007,0.003,1.5,5.5,0.5,0.6,0.4,39.0,41.0,0.97
"""
CURVE = """\
alpha,content_distance,psnr,psnr_masked,lr_psnr
0,6.0,33.3,43.5,49.5
0.5,5.9,33.2,43.6,50.0
1,5.8,33.1,43.7,50.5
"""
# A chart as SVG, which names each mark by its values, where the page draws on a canvas.
AS_SVG = """async (spec) => {
    const box = document.body.appendChild(document.createElement("div"));
    return (await vegaEmbed(box, spec, {renderer: "svg"})).view.toSVG();
}"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a folder that has the two tables and nothing else."""
    folder = tmp_path_factory.mktemp("plots")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots", dirs_exist_ok=True)
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "history.csv").write_text(HISTORY, encoding="utf-8")
    (folder / "metrics" / "curve.csv").write_text(CURVE, encoding="utf-8")
    subprocess.run([*dvc, "plots", "show"], cwd=folder, check=True, capture_output=True)
    return folder / "dvc_plots" / "index.html"


@pytest.fixture(scope="module")
def page(shown: Path, browser: Any) -> Iterator[Any]:
    with browser.new_context(offline=True) as visitor:
        opened = visitor.new_page()
        opened.goto(shown.as_uri())
        yield opened


@pytest.fixture(scope="module")
def charts(shown: Path, page: Any) -> dict[str, str]:
    """Return the charts as SVG, by their titles, in the page's order."""
    written = re.findall(r"var spec = (.*);", shown.read_text(encoding="utf-8"))
    specs = [json.loads(each) for each in written]
    return {spec["title"]["text"]: page.evaluate(AS_SVG, spec) for spec in specs}


def points(chart: str) -> list[str]:
    return re.findall(r'aria-label="([^"]*)"[^>]*aria-roledescription="point"', chart)


def test_what_dvc_yaml_names_is_drawn_and_no_more(page: Any, charts: dict[str, str]) -> None:
    """Without a network; a table that charts are drawn from has no chart of its own."""
    assert list(charts) == [
        "Validation PSNR",
        "Validation PSNR, masked",
        "Loss and its image term",
        "Terms of the adversarial epochs, unweighted",
        "Discriminator",
        "Perception-distortion",
        "Validation SSIM",
    ]
    assert page.locator("canvas").count() == len(charts)
    assert [len(points(chart)) for chart in charts.values()] == [3, 3, 6, 3, 2, 3, 3]


def test_an_empty_cell_is_no_zero(charts: dict[str, str]) -> None:
    assert points(charts["Discriminator"]) == [
        "epoch: 3; mean probability of HR: 0.6; rev: workspace; field: d_real",
        "epoch: 3; mean probability of HR: 0.4; rev: workspace; field: d_fake",
    ]


def test_columns_of_a_chart_differ_in_shape(charts: dict[str, str]) -> None:
    """Which the legend shows; a dashed line would break the outlines of its symbols."""
    chart = charts["Terms of the adversarial epochs, unweighted"]
    shapes = re.findall(r'aria-roledescription="point"[^>]* d="([^"]*)"', chart)
    assert len(set(shapes)) == len(shapes) == 3
    assert chart.count('class="mark-symbol role-legend-symbol"') == 4  # and the revision
    assert "stroke-dasharray" not in chart


def test_the_curve_says_which_point_is_which(charts: dict[str, str]) -> None:
    """By the alpha that `srpipe interpolate` takes."""
    texts = re.findall(r">(alpha [^<]*)</text>", charts["Perception-distortion"])
    assert texts == ["alpha 0", "alpha 0.5", "alpha 1"]
