"""The whole study by its one command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch

from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.comparison.pages import CLOSE, OPEN
from srpipe.evaluation.observer import __main__ as command
from srpipe.evaluation.observer import examine, page
from srpipe.evaluation.observer.examine import HR
from srpipe.evaluation.observer.methods import ACQUISITIONS, CONSISTENT, DENOISED
from srpipe.evaluation.observer.nodules import CONTRASTS
from srpipe.evaluation.observer.summary import AREA, GAIN, INVENTED, LOST, SIZES, TOGETHER
from srpipe.formats.raster import encode_png
from srpipe.models.checkpoint import LoadedGenerator, save_released
from srpipe.models.plain_sr import PlainSR
from tests.evaluation.observer.chests import chest

ROOT = Path(__file__).resolve().parents[3]
TINY = {"channels": 1, "features": 4, "blocks": 1, "scale": 4, "bicubic_skip": True}
WRITTEN = (page.PAGE, page.SCORES, page.DETAIL, page.SUMMARY, page.FIGURE)
HOWS = ("ideal", "noise 8")
# Fewer span too few directions to train an observer on.
CHESTS = 4


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with settings, a page, chests and a tiny generator."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    monkeypatch.setattr(command, "DEFAULT", ())
    some = {name: ACQUISITIONS[name] for name in HOWS}
    monkeypatch.setattr(examine, "ACQUISITIONS", MappingProxyType(some))
    Path("docs").mkdir()
    page.PAGE.write_text(f"# Ours\n\n{OPEN}\n{CLOSE}\n\nThe end.\n")
    Path("hr").mkdir()
    for index in range(CHESTS):
        Path(f"hr/{index}_000.png").write_bytes(encode_png(chest(index)))
    torch.manual_seed(0)
    model = PlainSR(**TINY)
    torch.nn.init.normal_(model.tail.weight, std=0.02)
    save_released(Path("tiny.safetensors"), LoadedGenerator(model, "plain_sr", TINY, 4, {}), {})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["observer", *arguments])
    command.main()


def test_one_command_makes_scores_summary_figure_and_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every method, acquisition and size; again, to the same bytes; other seeds, others."""
    run(monkeypatch, "hr", "--weights", "tiny.safetensors")
    methods = [BICUBIC, DENOISED, "tiny", "tiny" + CONSISTENT]
    scores = pd.read_csv(page.SCORES)
    places = len(scores[["image", "y", "x"]].drop_duplicates())
    assert places >= CHESTS * len(CONTRASTS)
    assert len(scores) == places * (1 + len(HOWS) * len(methods))
    assert np.isfinite(scores[["absent", "present"]]).all(axis=None)
    assert len(pd.read_csv(page.DETAIL)) == CHESTS * len(HOWS) * len(methods)

    summary = json.loads(page.SUMMARY.read_text())
    assert (summary["images"], summary["patients"], summary["places"]) == (CHESTS, CHESTS, places)
    assert list(summary["weights"]) == ["tiny"]
    results = pd.DataFrame(summary["results"])
    counts = results.groupby("quantity").size().to_dict()
    acquired = len(HOWS) * len(methods)
    assert counts == {
        AREA: (1 + acquired) * len(SIZES),
        GAIN: (acquired - len(HOWS)) * len(SIZES),
        LOST: acquired,
        INVENTED: acquired,
    }
    shares = results[results["quantity"] != GAIN]
    assert shares[["low", "mean", "high"]].apply(lambda side: side.between(0, 1)).all(axis=None)
    assert page.FIGURE.read_bytes().startswith(b"\x89PNG")

    text = page.PAGE.read_text()
    seen = f"{places} places in {CHESTS} images of {CHESTS} patients."
    assert text.startswith(f"# Ours\n\n{OPEN}\n{seen}\n")
    assert text.endswith(f"{CLOSE}\n\nThe end.\n")
    table = page.table(results, AREA, TOGETHER)
    assert table in text
    assert table in capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [HR, *methods]

    made = {path: path.read_bytes() for path in WRITTEN}
    run(monkeypatch, "hr", "--weights", "tiny.safetensors")
    assert {path: path.read_bytes() for path in WRITTEN} == made
    run(monkeypatch, "hr", "--seed", "1")
    assert page.SCORES.read_bytes() != made[page.SCORES]


def test_a_limit_takes_images_from_all_over_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hr/4_000.png").write_bytes(encode_png(chest(4)))
    run(monkeypatch, "hr", "--images", "4")
    wanted = {f"{index}_000.png" for index in (0, 1, 2, 3)}
    assert set(pd.read_csv(page.SCORES)["image"]) == wanted
    run(monkeypatch, "hr", "--images", "9")
    assert pd.read_csv(page.SCORES)["image"].nunique() == 5


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """Return the message of a refused run, which writes nothing."""
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *arguments)
    assert stopped.value.code == 1
    assert not any(path.exists() for path in WRITTEN[1:])
    return capsys.readouterr().err


def test_a_page_without_markers_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page.PAGE.write_text("# Ours\n")
    monkeypatch.setattr(command, "chosen", None)
    assert "docs/observer.md must have the markers" in refused(monkeypatch, capsys, "hr")


def test_images_without_places_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is left out by name; all are refused."""
    flat = encode_png(np.full((512, 512), 100, np.uint8))
    Path("hr/9_000.png").write_bytes(flat)
    run(monkeypatch, "hr")
    assert "without enough places for nodules: 9_000.png" in capsys.readouterr().err
    assert pd.read_csv(page.SCORES)["image"].nunique() == CHESTS
    for path in WRITTEN[1:]:
        path.unlink()
    for index in range(CHESTS):
        Path(f"hr/{index}_000.png").unlink()
    message = refused(monkeypatch, capsys, "hr")
    assert "in none of 1 image(s) are places for nodules" in message


def test_worker_processes_examine_images_for_the_command() -> None:
    """As it is called, images reach workers and what they found comes back."""
    flat = encode_png(np.full((128, 128), 100, np.uint8))
    for index in range(CHESTS):
        Path(f"hr/{index}_000.png").write_bytes(flat)
    done = subprocess.run(
        [sys.executable, "-m", "srpipe.evaluation.observer", "hr"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SRPIPE_WORKERS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"error: in none of {CHESTS} image(s) are places for nodules" in done.stderr
