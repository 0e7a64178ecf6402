"""SECURITY.md's promises about names: text wherever they are written, and never anything else.

Those about files are in tests/formats/ and tests/test_mutants.py, those about archives and weights
in the tests of their modules, which SECURITY.md names.
"""

import ast
import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

pytest.importorskip("streamlit", reason="the page needs the extra app")

from app.uploads import plain, result_name, shown_name
from srpipe.cli.main import main
from srpipe.core import paths
from srpipe.core.files import for_spreadsheets, write_csv
from srpipe.enhance.batch import FAILED, Row, write_report
from srpipe.evaluation.panels import comparison_panel
from srpipe.evaluation.tables import aligned_table, text_table
from srpipe.formats.raster import encode_png
from srpipe.imaging.resample import bicubic, downsample
from srpipe.metrics.scores import Scores, reference, score
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr
from tests.staged import split_folder, work_in
from tests.stages.finished import quiet_environment, stage_main

ROOT = Path(__file__).resolve().parents[1]
# Each would do harm, or break a row, where a name is taken for anything but text.
NAMES = (
    "=cmd|' C calc'!A0.png",
    "@SUM(1+1).png",
    "-1+2.png",
    "a,b.png",
    'x"y.png',
    "one\ntwo.png",
    "one\rtwo.png",
    "<img src=x onerror=alert(1)>.png",
    "![](x).png",
    "|pipe|.png",
    r"$\frac$ $\nothing{$.png",
    "`code` **bold** <!-- -->.png",
    "\x1b[31mred\x1b]0;title\x07.png",
    "{{7*7}} %s {0}.png",
    "a..png",
    "Röntgen 胸部.png",
)
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def put(folder: Path, make_image: MakeImage, side: int = 64) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(NAMES):
        (folder / name).write_bytes(encode_png(make_image(seed, side, side + 4)))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


# ------------------------------------------------------------------ srpipe upscale


def test_each_image_has_its_result_and_its_row(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_image: MakeImage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Under its own name, in the folder that was given and nowhere else; no cell is a formula."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "in", make_image, 16)
    (tmp_path / "in" / "=broken\x1b[2J.png").write_bytes(b"no image")
    weights = save_plain_sr(tmp_path / "small.pt")
    command = ["upscale", "in", "-o", "out", "--weights", str(weights), "--device", "cpu"]
    with pytest.raises(SystemExit):
        main([*command, "--report", "report.csv"])
    shown = capsys.readouterr()
    assert "=broken\\x1b[2J.png is no image" in shown.err
    assert "\x1b" not in shown.out + shown.err.replace("\x1b[A", "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "small.pt", "report.csv"}
    found = rows_of(tmp_path / "report.csv")
    assert len(found) == len(NAMES) + 1
    assert {row["input"].replace("\\r", "\r") for row in found} > {f"in/{name}" for name in NAMES}


def test_a_report_holds_no_formula(tmp_path: Path) -> None:
    """Whatever a path begins with; numbers stay numbers."""
    rows = [Row(name, name, FAILED, f"{name}: no image", lr_psnr=-1.5) for name in NAMES]
    write_report(tmp_path / "report.csv", rows)
    found = rows_of(tmp_path / "report.csv")
    for name, row in zip(NAMES, found, strict=True):
        for cell in (row["input"], row["output"], row["reason"]):
            assert not cell.startswith(FORMULAS)
        wanted = name.replace("\r", "\\r")
        assert row["input"] == (f"'{wanted}" if name.startswith(FORMULAS) else wanted)
        assert row["lr_psnr"] == "-1.5"


# ------------------------------------------------------------------ srpipe evaluate


def test_scores_keep_names_as_they_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_image: MakeImage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In JSON; weights of such a name do not break the table, and a terminal obeys nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    monkeypatch.setenv("SRPIPE_WORKERS", "1")
    put(tmp_path / "in", make_image)
    (tmp_path / "in" / "\x1b[31mred.webp").write_bytes(b"")
    weights = save_plain_sr(tmp_path / "|a|<b>\x1b[0m.pt")
    main(["evaluate", "--weights", str(weights), "--images", "in", "--json", "scores.json"])
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert [row["image"] for row in scores["images"]] == sorted(NAMES)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[31mred.webp" in shown
    assert r"\|a\|\<b>" in shown


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_cell_of_a_markdown_table(name: str) -> None:
    """That holds no markup; the one below is a cell of its own."""
    scores = dict.fromkeys(Scores.names(), 1.0)
    for table in (
        text_table({name: scores, "next": scores}),
        aligned_table(["method", name], [[name, name], ["next", "1"]]),
    ):
        html = MarkdownIt("commonmark").enable("table").render(table)
        assert html.count("<tr>") == 3
        assert len(re.findall("<td[ >]", html)) == 2 * len(re.findall("<th[ >]", html))
        assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td|strong)\b)", html)


def test_a_name_is_text_above_a_picture(tmp_path: Path, make_image: MakeImage) -> None:
    """Not a formula, which need not be one that can be set; letters are those of every font."""
    hr = make_image(0, 64, 64)
    against = reference(hr, downsample(hr, 4))
    image = bicubic(against.lr, 4)
    methods = {"bicubic": image, "SR": image}
    scores = {method: score(image, against) for method in methods}
    for name in NAMES:
        comparison_panel(tmp_path / "panel.png", f"worst: {name}", against, methods, scores)
        assert (tmp_path / "panel.png").stat().st_size > 10_000


# ------------------------------------------------------------------ the pipeline


def test_the_pipeline_keeps_names_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    """Through each table that it reads again; the report that people open holds no formula."""
    work_in(tmp_path / "work", monkeypatch)
    put(tmp_path / "work/own", make_image)
    split = split_folder({"patient_pattern": r"(?s)(?P<patient>.+)\.png"}, use_lists=False)
    assert split is not None
    assert sorted(split["image"]) == sorted(NAMES)
    wanted = split["image"].str.removesuffix(".png").str.replace("\\", "/")
    assert sorted(split["patient"]) == sorted(wanted)
    for path in (paths.raw("folder") / "facts.csv", paths.PACKED / "manifest.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        assert sorted(table["image"]) == sorted(NAMES)
    opened = pd.read_csv(paths.IMAGES, dtype=str, keep_default_na=False)
    assert len(opened) == len(NAMES)
    for column in ("image", "patient", "same_as", "excluded"):
        assert not opened[column].str.startswith(FORMULAS).any()
    inside = {path.name for path in (tmp_path / "work").iterdir()}
    assert inside == {"own", "data", "metrics", "params.yaml"}


def test_scores_and_facts_find_each_other_by_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    """Through `data/images.csv`, whose names are no formulas; tables of scores keep them."""
    work_in(tmp_path / "work", monkeypatch)
    quiet_environment(monkeypatch, tmp_path / "work")
    put(tmp_path / "work/own", make_image)
    known = pd.DataFrame(
        {
            "Image Index": NAMES,
            "Patient ID": [f"p{index}" for index in range(len(NAMES))],
            "Patient Age": [str(20 + index) for index in range(len(NAMES))],
            "Finding Labels": "=cmd|Mass|<b>",
        }
    )
    write_csv(tmp_path / "work/table.csv", known)
    table = {"patient_table": str(tmp_path / "work/table.csv")}
    assert split_folder(table, use_lists=False, seed=1, test=0.8) is not None
    for path in (paths.GENERATOR, paths.PIXEL):
        path.parent.mkdir(exist_ok=True)
        save_plain_sr(path, scale=2)
    for stage in ("baseline", "evaluate"):
        stage_main(stage)()
    split = pd.read_csv(paths.SPLIT, dtype=str, keep_default_na=False)
    tested = split.loc[split["subset"] == "test", "image"]
    assert {name for name in NAMES if name != for_spreadsheets(name)} <= set(tested)
    for csv_path in (paths.BASELINE_CSV, paths.EVALUATE_CSV, paths.ACQUISITIONS_CSV):
        found = pd.read_csv(csv_path, dtype=str, keep_default_na=False)
        assert set(found["image"]) <= set(tested)
    scored = pd.read_csv(paths.EVALUATE_CSV, dtype=str, keep_default_na=False)
    assert sorted(scored["image"]) == sorted(tested)
    ages = scored.set_index("image")["age"]
    assert ages.to_dict() == known.set_index("Image Index").loc[ages.index, "Patient Age"].to_dict()
    groups = pd.read_csv(paths.FAIRNESS_CSV, dtype=str, keep_default_na=False)
    findings = groups[(groups["by"] == "findings") & (groups["images"] != "0")]
    assert set(findings["group"]) == {"Mass", "other"}
    assert not groups["group"].str.startswith(FORMULAS).any()


# ------------------------------------------------------------------ the page


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_a_name_as_text(name: str) -> None:
    """In messages, without markup; and hands back a file whose name is letters and little else."""
    html = MarkdownIt("commonmark").render(plain(f"{shown_name(name)} is no image"))
    assert re.fullmatch(r"<p>[^<]*is no image</p>\n", html)
    assert re.fullmatch(r"[\w.-]+_x4\.png", result_name(name, "x4", ".png"))
    assert not result_name(name, "x4", ".png").startswith(".")


# ------------------------------------------------------------------ code in files


def calls() -> list[tuple[str, str, ast.Call]]:
    """Return each call in the code that runs: the file, what is called, and the call."""
    found = []
    for folder in ("srpipe", "stages", "app"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    found.append((path.relative_to(ROOT).as_posix(), ast.unparse(node.func), node))
    return found


def test_nothing_from_outside_is_unpickled_or_run() -> None:
    """Only what a worker process is sent by its parent; torch reads tensors and plain values."""
    unpickling = {(file, called) for file, called, _ in calls() if called.startswith("pickle.load")}
    assert unpickling == {("srpipe/core/parallel.py", "pickle.loads")}
    loads = [call for _, called, call in calls() if called == "torch.load"]
    assert loads
    for call in loads:
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        assert given["weights_only"] == "True"
    forbidden = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.unsafe_load"}
    forbidden |= {"np.load", "pd.read_pickle", "joblib.load", "shelve.open", "marshal.loads"}
    forbidden |= {"shutil.unpack_archive", "tarfile.open"}
    assert not {called for _, called, _ in calls()} & forbidden
    assert not [called for _, called, _ in calls() if called.endswith((".extract", ".extractall"))]
