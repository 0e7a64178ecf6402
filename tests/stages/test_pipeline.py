"""The pipeline does what dvc.yaml says: run for real, on tiny images."""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from srpipe.core import paths
from srpipe.core.files import sha256
from srpipe.formats.raster import encode_png
from srpipe.metrics.scores import Scores
from srpipe.models.checkpoint import load_generator
from tests.conftest import MakeImage
from tests.server import unused

ROOT = Path(__file__).resolve().parents[2]
DVC_YAML = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = DVC_YAML["stages"]
# One run of the pipeline serves all tests: with `pytest -n 2 --dist loadgroup` they stay together.
pytestmark = pytest.mark.xdist_group("pipeline")
each_stage = pytest.mark.parametrize("stage", STAGES)
# MLflow's tables, made when its store is first opened, use what SQLAlchemy 2.1 deprecates.
uses_mlflow = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning"
)

# Five patients; one image in a subfolder, one whose sides are no multiples of 4.
IMAGES = {
    "a_1.png": (96, 128),
    "a_2.png": (97, 99),
    "b_1.png": (128, 96),
    "c_1.png": (96, 96),
    "sub/d_1.png": (100, 120),
    "d_2.png": (96, 96),
    "e_1.png": (112, 96),
    "e_2.png": (96, 104),
}

# Runs a module as `python -m` does and lists what it opens for reading below the working directory.
RUNNER = """\
import os, runpy, sys

here = os.getcwd() + os.sep
log = open(sys.argv[2], "w", encoding="utf-8")

def note(event, arguments):
    if event == "open" and not isinstance(arguments[0], int):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(here) and arguments[2] & os.O_ACCMODE != os.O_WRONLY:
            log.write(path[len(here):] + "\\n")

sys.addaudithook(note)
runpy.run_module(sys.argv[1], run_name="__main__")
"""


def declared(stage: str, *kinds: str, name: str = "folder") -> list[str]:
    """Return the paths (or parameters) of a stage's entries, their options left out."""
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return [each.replace("${data.name}", name) for each in names]


def is_code(path: str) -> bool:
    """Say whether a dependency is source code of the project."""
    return path.startswith(("srpipe/", "stages/"))


def covers(path: str, file: str) -> bool:
    """Say whether `path` is `file` or a folder above it."""
    return Path(file).is_relative_to(path)


# ------------------------------------------------------------------ stage by stage


@dataclass
class PipelineRun:
    """What each stage wrote and read, relative to the working directory."""

    folder: Path
    written: dict[str, set[str]] = field(default_factory=dict)
    read: dict[str, set[str]] = field(default_factory=dict)

    def json(self, name: str) -> Any:
        return json.loads((self.folder / "metrics" / name).read_text(encoding="utf-8"))

    def csv(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / name, keep_default_na=False, na_values=[""])


def clean_environment(**more: str) -> dict[str, str]:
    """Return this environment without what would change a run."""
    ours = ("DVC_", "MLFLOW_", "SRPIPE_", "GIT_", "XDG_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {
        **kept,
        "OMP_NUM_THREADS": "1",
        "SRPIPE_WORKERS": "1",
        "SRPIPE_DEVICE": "cpu",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **more,
    }


def run(command: list[str], cwd: Path, environment: dict[str, str]) -> str:
    """Run a command; return stdout and stderr, or fail with them."""
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{output}"
    return output


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Return time and digest of every file that DVC may own.

    MLflow's store is none of them, and neither is what an interrupted training would need.
    """
    return {
        name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
        and not (name := path.relative_to(folder).as_posix()).startswith(
            ("mlflow.db", "mlart", ".ckpt/")
        )
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> Path:
    """Return a folder of a person's own images, which lies outside the repository."""
    folder = tmp_path_factory.mktemp("own")
    for seed, (name, (height, width)) in enumerate(IMAGES.items()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encode_png(make_image(seed, height, width)))
    return folder


@pytest.fixture(scope="module")
def small_params(images: Path) -> dict[str, Any]:
    """Return params.yaml with every size made small."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["name"] = "folder"
    params["datasets"]["folder"]["path"] = str(images)
    params["datasets"]["phantom"].update(patients=3, max_images_per_patient=1)
    params["split"].update(validation=0.2, test=0.4)
    train = params["train"]
    train.update(epochs=2, batch_size=2, validation_images=1)
    train["generator"].update(features=8, blocks=1)
    train["crops"].update(size=32, per_image=2)
    train["adversarial"].update(epochs=1, crops={"size": 32, "per_image": 2})
    train["adversarial"]["discriminator"]["features"] = 8
    params["evaluate"]["bootstrap_samples"] = 100
    return params


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, small_params: dict[str, Any]) -> PipelineRun:
    """Run all stages, one process each as DVC does, and watch their files."""
    tools = tmp_path_factory.mktemp("tools")
    (tools / "runner.py").write_text(RUNNER, encoding="utf-8")
    done = PipelineRun(tmp_path_factory.mktemp("workspace"))
    (done.folder / "params.yaml").write_text(yaml.safe_dump(small_params), encoding="utf-8")
    before = snapshot(done.folder)
    for stage in STAGES:
        command = [sys.executable, str(tools / "runner.py"), f"stages.{stage}", str(tools / stage)]
        run(command, done.folder, clean_environment(PYTHONPATH=str(ROOT)))
        after = snapshot(done.folder)
        done.written[stage] = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        read = (tools / stage).read_text(encoding="utf-8").splitlines()
        done.read[stage] = set(read) & before.keys()
        before = after
    return done


@each_stage
def test_a_stage_writes_its_outputs_and_nothing_else(pipeline: PipelineRun, stage: str) -> None:
    """Files added, changed and removed are exactly its outs, metrics and plots."""
    outs = declared(stage, "outs", "metrics", "plots")
    written = pipeline.written[stage]
    assert [file for file in sorted(written) if not any(covers(out, file) for out in outs)] == []
    assert [out for out in outs if not any(covers(out, file) for file in written)] == []


@each_stage
def test_a_stage_reads_its_dependencies_and_nothing_else(pipeline: PipelineRun, stage: str) -> None:
    """Of the files that were there before it, and it needs every data dependency that it has."""
    deps = [path for path in declared(stage, "deps") if not is_code(path)]
    read = pipeline.read[stage]
    allowed = [*deps, "params.yaml"]
    assert "params.yaml" in read
    assert [file for file in sorted(read) if not any(covers(dep, file) for dep in allowed)] == []
    assert [dep for dep in deps if not any(covers(dep, file) for file in read)] == []


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in parsed JSON."""
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers(each)
    elif not isinstance(value, str):
        yield value


def test_the_baselines_metrics(pipeline: PipelineRun) -> None:
    """Means of each score of both baselines over the test images, which it names."""
    metrics, table = pipeline.json("baseline.json"), pipeline.csv("metrics/baseline.csv")
    split = pipeline.csv("data/split.csv")
    assert list(metrics) == ["images", "bicubic", "bicubic_bp"]
    assert list(table["image"]) == list(split["image"][split["subset"] == "test"])
    assert metrics["images"] == len(table)
    for name in ("bicubic", "bicubic_bp"):
        assert tuple(metrics[name]) == Scores.names()
        for score, mean in metrics[name].items():
            assert mean == pytest.approx(table[f"{name}_{score}"].mean(), abs=1e-4)
    assert metrics["bicubic_bp"]["lr_psnr"] > metrics["bicubic"]["lr_psnr"]


def test_the_training_metrics_and_history(pipeline: PipelineRun) -> None:
    """One pixel and one adversarial epoch; the metrics are those of the last."""
    metrics, history = pipeline.json("train.json"), pipeline.csv("metrics/history.csv")
    assert list(metrics) == ["epochs", "loss", "validation", "discriminator"]
    assert all(math.isfinite(number) for number in numbers(metrics))
    assert history["epoch"].tolist() == [1, 2]
    assert history["stage"].tolist() == ["pixel", "adversarial"]
    assert metrics["epochs"] == 2
    assert metrics["validation"]["psnr"] == pytest.approx(history["psnr"].iloc[-1], abs=1e-4)
    assert history["d_real"].isna().tolist() == [True, False]
    assert pipeline.json("validation.json") == {
        "val_psnr": metrics["validation"]["psnr"],
        "val_masked": metrics["validation"]["psnr_masked"],
    }


def test_the_plots_of_dvc_draw_columns_that_are_there(pipeline: PipelineRun) -> None:
    """`dvc plots show` finds every column and template that dvc.yaml names."""
    for plot in DVC_YAML["plots"]:
        (settings,) = plot.values()
        assert (ROOT / ".dvc" / "plots" / f"{settings['template']}.json").is_file()
        for axis in ("x", "y"):
            ((file, columns),) = settings[axis].items()
            wanted = [columns] if isinstance(columns, str) else columns
            assert set(wanted) <= set(pipeline.csv(file).columns)


def test_the_evaluations_metrics(pipeline: PipelineRun) -> None:
    """Each score and each gain has mean and interval; gains are the model less the baseline."""
    metrics, table = pipeline.json("evaluate.json"), pipeline.csv("metrics/evaluate.csv")
    baseline = pipeline.json("baseline.json")
    assert list(metrics) == [
        "consistent",
        "images",
        "patients",
        *Scores.names(),
        "over_bicubic",
        "over_bicubic_bp",
        "acquisitions",
    ]
    assert all(math.isfinite(number) for number in numbers(metrics))
    assert (metrics["images"], metrics["patients"]) == (
        len(table),
        table["patient"].nunique(),
    )
    for score in Scores.names():
        assert metrics[score]["low"] <= metrics[score]["mean"] <= metrics[score]["high"]
        for name in ("bicubic", "bicubic_bp"):
            gain = metrics[f"over_{name}"][score]["mean"]
            assert gain == pytest.approx(metrics[score]["mean"] - baseline[name][score], abs=2e-4)


def test_the_metrics_of_dvc_are_a_handful(pipeline: PipelineRun) -> None:
    """Numbers under names of their own: `dvc exp show` has a column for each."""
    files = [file for stage in STAGES for file in declared(stage, "metrics")]
    assert files == ["metrics/validation.json", "metrics/test.json"]
    shown = [pipeline.json(Path(file).name) for file in files]
    names = [name for numbers in shown for name in numbers]
    assert len(names) == len(set(names)) == 9
    assert all(isinstance(value, float) for numbers in shown for value in numbers.values())
    evaluated, numbers = pipeline.json("evaluate.json"), shown[1]
    assert numbers["test_psnr"] == evaluated["psnr"]["mean"]
    assert numbers["gain_masked"] == evaluated["over_bicubic"]["psnr_masked"]["mean"]


def test_the_scores_over_acquisitions(pipeline: PipelineRun) -> None:
    """Every acquisition of params.yaml, beside the ideal one, whose scores the evaluation has."""
    wanted = yaml.safe_load((pipeline.folder / "params.yaml").read_text())["evaluate"]
    table = pipeline.csv("metrics/acquisitions.csv")
    assert list(dict.fromkeys(table["acquisition"])) == ["ideal", *wanted["acquisitions"]]
    found = pipeline.json("evaluate.json")["acquisitions"]
    assert list(found) == ["ideal", *wanted["acquisitions"]]
    ideal = table[(table["acquisition"] == "ideal") & (table["method"] == "model")]
    known = pipeline.csv("metrics/evaluate.csv").set_index("image").loc[ideal["image"]]
    for score in ("psnr", "psnr_masked"):
        assert ideal[score].tolist() == pytest.approx(known[score].tolist(), rel=1e-6)
    assert found["noise_8"]["psnr"]["mean"] < found["noise_2"]["psnr"]["mean"]
    assert (pipeline.folder / "metrics" / "acquisitions.png").stat().st_size > 10_000


def test_the_perception_distortion_curve(pipeline: PipelineRun) -> None:
    """From the pixel epochs' generator to the final one, whose scores the evaluation has too."""
    points, table = pipeline.csv("metrics/curve.csv"), pipeline.csv("metrics/evaluate.csv")
    assert list(points) == ["alpha", "content_distance", "psnr", "psnr_masked", "lr_psnr"]
    assert points["alpha"].tolist() == [0, 0.5, 1]
    images = len(table)
    assert images <= 4  # as many as params.yaml has for the curve: all of them are on it
    for name in list(points)[1:]:
        assert points[name].iloc[-1] == pytest.approx(table[name].mean(), rel=1e-6)
        assert points[name].iloc[0] != points[name].iloc[-1]
    assert (pipeline.folder / "metrics" / "evaluate" / "curve.png").is_file()


def test_the_same_training_gives_the_same_bytes(pipeline: PipelineRun, tmp_path: Path) -> None:
    """Weights, history and plots, in another folder and untracked: nothing but settings counts."""
    shutil.copytree(pipeline.folder / "data", tmp_path / "data")
    shutil.copy(pipeline.folder / "params.yaml", tmp_path)
    environment = clean_environment(PYTHONPATH=str(ROOT), SRPIPE_MLFLOW="off")
    run([sys.executable, "-m", "stages.train"], tmp_path, environment)
    assert sorted(pipeline.written["train"]) == [
        "metrics/history.csv",
        "metrics/train.json",
        "metrics/train/losses.png",
        "metrics/train/validation.png",
        "metrics/validation.json",
        "models/generator.pt",
        "models/pixel.pt",
    ]
    for name in pipeline.written["train"]:
        assert (tmp_path / name).read_bytes() == (pipeline.folder / name).read_bytes(), name
    assert not (tmp_path / "mlflow.db").exists()


def test_a_training_goes_on_from_the_weights_it_is_given(
    pipeline: PipelineRun, tmp_path: Path
) -> None:
    """At a rate of nearly nothing it ends with them; what it started from is recorded."""
    shutil.copytree(pipeline.folder / "data", tmp_path / "data")
    shutil.copy(pipeline.folder / "models" / "generator.pt", tmp_path / "start.pt")
    params = yaml.safe_load((pipeline.folder / "params.yaml").read_text(encoding="utf-8"))
    params["train"].update(start="start.pt", epochs=1, learning_rate=1e-12)
    params["train"]["adversarial"]["epochs"] = 0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    environment = clean_environment(PYTHONPATH=str(ROOT), SRPIPE_MLFLOW="off")
    run([sys.executable, "-m", "stages.train"], tmp_path, environment)
    start, made = (load_generator(tmp_path / name) for name in ("start.pt", paths.GENERATOR))
    for ours, theirs in zip(made.model.parameters(), start.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)
    assert made.record["training"]["start"] == {
        "file": "start.pt",
        "sha256": sha256(tmp_path / "start.pt"),
    }


@uses_mlflow
def test_mlflow_has_the_whole_story_in_one_run(
    pipeline: PipelineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters, epochs, test scores, files, and a model that takes images of any size."""
    import mlflow

    monkeypatch.chdir(pipeline.folder)  # where the locations of artifacts are relative to
    client = mlflow.MlflowClient(f"sqlite:///{pipeline.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("srpipe")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "swift_srgan")
    assert found.data.params["train.generator.features"] == "8"
    assert found.data.params["data.name"] == "folder"

    history = pipeline.csv("metrics/history.csv")
    logged = client.get_metric_history(found.info.run_id, "validation_psnr")
    assert "psnr" not in found.data.metrics
    assert [each.step for each in logged] == [1, 2]
    assert [each.value for each in logged] == pytest.approx(history["psnr"].tolist())
    evaluated = pipeline.json("evaluate.json")
    assert found.data.metrics["test_psnr"] == evaluated["psnr"]["mean"]
    assert found.data.metrics["test_over_bicubic_psnr"] == evaluated["over_bicubic"]["psnr"]["mean"]

    artifacts = pipeline.folder / "mlartifacts" / found.info.run_id / "artifacts"
    assert sorted(path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*.*")) == [
        "evaluate/acquisitions.png",
        "evaluate/best.png",
        "evaluate/curve.png",
        "evaluate/fairness.png",
        "evaluate/median.png",
        "evaluate/worst.png",
        "plots/losses.png",
        "plots/validation.png",
        "weights/generator.pt",
        "weights/pixel.pt",
    ]
    (logged_model,) = client.search_logged_models([experiment.experiment_id])
    assert logged_model.source_run_id == found.info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{pipeline.folder / 'mlflow.db'}")
    model = mlflow.pytorch.load_model("models:/srpipe/1")
    weights = load_generator(pipeline.folder / "models" / "generator.pt")
    lr = torch.rand(1, 1, 20, 28)
    with torch.no_grad():
        torch.testing.assert_close(model(lr), weights.model(lr), atol=1e-5, rtol=0)
        assert model(lr).shape == (1, 1, 80, 112)


# ------------------------------------------------------------------ as DVC runs it


@dataclass(frozen=True)
class Repository:
    """A clone in which `dvc repro` has run."""

    folder: Path
    environment: dict[str, str]
    output: str = ""

    def dvc(self, *arguments: str, **more: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return run(command, self.folder, {**self.environment, **more})

    def git(self, *arguments: str) -> None:
        run(["git", *arguments], self.folder, self.environment)

    def set_params(self, params: dict[str, Any]) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.fixture(scope="module")
def reproduced(
    tmp_path_factory: pytest.TempPathFactory, small_params: dict[str, Any]
) -> Repository:
    """Clone the project into a small git repository and run `dvc repro`, with MLflow off."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    home = tmp_path_factory.mktemp("home")
    environment = clean_environment(
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        HOME=str(home),
        DVC_SITE_CACHE_DIR=str(home / "dvc"),
        DVC_NO_ANALYTICS="true",
        GIT_CONFIG_GLOBAL=str(home / "gitconfig"),
        GIT_CONFIG_NOSYSTEM="1",
    )
    folder = tmp_path_factory.mktemp("clone")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in (".dvc/plots", "srpipe", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    clone = Repository(folder, environment)
    clone.set_params(small_params)
    clone.git("init", "--quiet", ".")
    clone.git("config", "user.name", "A Tester")
    clone.git("config", "user.email", "tester@example.org")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "clone")
    output = clone.dvc("repro", SRPIPE_MLFLOW="off")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "dvc repro")
    return Repository(folder, environment, output)


@pytest.fixture
def clone(reproduced: Repository, tmp_path: Path) -> Repository:
    """Return a copy of the repository, to change."""
    shutil.copytree(reproduced.folder, tmp_path / "clone", symlinks=True)
    return Repository(tmp_path / "clone", reproduced.environment)


def ran(output: str) -> list[str]:
    """Return the stages that DVC ran."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def test_dvc_repro_runs_every_stage_once(reproduced: Repository, clone: Repository) -> None:
    """It makes the same as the stages by themselves, and has nothing to do a second time."""
    assert ran(reproduced.output) == list(STAGES)
    assert not (reproduced.folder / "mlflow.db").exists()
    again = clone.dvc("repro")
    assert ran(again) == []
    assert "Data and pipelines are up to date" in again


def test_dvc_runs_again_what_an_edit_concerns(clone: Repository) -> None:
    """Not what Python leaves behind in folders of code, not what another stage alone uses."""
    (clone.folder / "srpipe" / "models" / "__pycache__").mkdir(exist_ok=True)
    (clone.folder / "srpipe" / "models" / "__pycache__" / "left.pyc").write_bytes(b"behind")
    assert json.loads(clone.dvc("status", "--json")) == {}
    for edited in ("srpipe/models/plain_sr.py", "srpipe/settings/evaluate.py"):
        with (clone.folder / edited).open("a", encoding="utf-8") as file:
            file.write("# edited\n")
    changed = json.loads(clone.dvc("status", "--json"))
    assert set(changed) == {"download", "train", "evaluate"}
    assert changed["train"] == [{"changed deps": {"srpipe/models": "modified"}}]


def test_dvc_makes_the_same_bytes(reproduced: Repository, pipeline: PipelineRun) -> None:
    """Outputs do not depend on where or by whom the stages are run."""
    for name in sorted(set().union(*pipeline.written.values())):
        assert (reproduced.folder / name).read_bytes() == (pipeline.folder / name).read_bytes(), (
            name
        )


@uses_mlflow
def test_an_experiment_is_an_mlflow_run_of_its_name(clone: Repository) -> None:
    """`dvc exp run -S train.epochs=3` trains again; MLflow has it under the experiment's name."""
    import mlflow

    output = clone.dvc("exp", "run", "--name", "longer", "-S", "train.epochs=3", "train")
    assert ran(output) == ["download", "train"]
    assert len(pd.read_csv(clone.folder / "metrics" / "history.csv")) == 3
    client = mlflow.MlflowClient(f"sqlite:///{clone.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("srpipe")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("longer", "FINISHED")
    assert found.data.tags["dvc.exp_name"] == "longer"
    assert found.data.params["train.epochs"] == "3"
    locked = yaml.safe_load((clone.folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for dep in locked["train"]["deps"]:
        if dep["path"].startswith("data/"):
            assert found.data.tags[f"dvc.lock.{dep['path']}"] == dep["md5"]
    assert (clone.folder / "mlartifacts" / found.info.run_id).is_dir()


def test_without_a_curve_dvc_still_has_its_plots(clone: Repository) -> None:
    """The table has no row and there is no picture; `dvc plots show` draws the others."""
    output = clone.dvc(
        "exp", "run", "-S", "evaluate.curve_points=0", "evaluate", SRPIPE_MLFLOW="off"
    )
    assert ran(output) == ["download", "evaluate"]
    assert "no perception-distortion curve: evaluate.curve_points is 0" in output
    curve = (clone.folder / "metrics" / "curve.csv").read_text(encoding="utf-8")
    assert curve == "alpha,content_distance,psnr,psnr_masked,lr_psnr\n"
    assert not (clone.folder / "metrics" / "evaluate" / "curve.png").exists()
    shown = clone.dvc("plots", "show")
    assert "failed" not in shown.lower()
    page = (clone.folder / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "Validation PSNR" in page
    # It is complete: no script, style or picture is fetched from anywhere.
    assert not re.search(r"<(script|link|img)[^>]*(src|href)\s*=\s*.https?:", page)
    assert "vegaEmbed=" in page


def test_going_back_to_a_data_set_trains_nothing_again(
    clone: Repository, small_params: dict[str, Any]
) -> None:
    """Results of the first data set come from DVC's run cache when the name is set back."""
    outputs = [
        name for stage in list(STAGES)[1:] for name in declared(stage, "outs", "metrics", "plots")
    ]

    def contents() -> dict[str, bytes]:
        paths = [path for out in outputs for path in files_of(clone.folder / out)]
        return {path.relative_to(clone.folder).as_posix(): path.read_bytes() for path in paths}

    before = contents()
    clone.set_params({**small_params, "data": {"name": "phantom"}})
    assert ran(clone.dvc("repro", "train", SRPIPE_MLFLOW="off")) == [
        "download",
        "downsample",
        "split",
        "train",
    ]
    assert contents().keys() == before.keys()
    assert contents() != before

    clone.set_params(small_params)
    back = clone.dvc("repro", SRPIPE_MLFLOW="off")
    assert set(ran(back)) <= {"download"}
    assert "Stage 'train' is cached" in back
    assert contents() == before


def files_of(path: Path) -> list[Path]:
    """Return the files of an output, which is a file or a folder."""
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


# ------------------------------------------------------------------ shared with others


@contextlib.contextmanager
def s3() -> Iterator[dict[str, str]]:
    """Serve S3's protocol; yield the environment that leads DVC to it."""
    for package in ("moto", "dvc_s3"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install moto[server]")
    port = unused().rpartition(":")[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                put = urllib.request.Request(f"{url}/bucket", method="PUT")
                urllib.request.urlopen(put, timeout=60).close()
                break
            time.sleep(0.1)
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        yield {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_fresh_clone_pulls_and_has_nothing_to_do(
    clone: Repository, tmp_path: Path, kind: str
) -> None:
    """All that DVC caches goes through the remote; metrics are in git, and raw data nowhere."""
    with s3() if kind == "s3" else contextlib.nullcontext({}) as more:
        url = "s3://bucket/path" if kind == "s3" else str(tmp_path / "storage")
        clone.dvc("remote", "add", "--default", "storage", url)
        clone.git("commit", "--quiet", "--all", "--message", "remote")
        clone.dvc("push", **more)
        other = Repository(tmp_path / "other", clone.environment)
        clone.git("clone", "--quiet", ".", str(other.folder))
        other.dvc("pull", "--allow-missing", **more)
        again = other.dvc("repro", "--allow-missing", SRPIPE_MLFLOW="off")
    assert ran(again) == []
    for stage in STAGES:
        for out in declared(stage, "outs", "metrics", "plots"):
            files = files_of(clone.folder / out)
            assert files or out == "data/raw/folder"
            for file in files if out != "data/raw/folder" else ():
                pulled = other.folder / file.relative_to(clone.folder)
                assert pulled.read_bytes() == file.read_bytes(), file
    assert not (other.folder / "data/raw").exists()


def test_two_commands_at_once(clone: Repository) -> None:
    """The second says that the first works on the same, and which process it is; and after a
    SIGKILL of DVC, whose lock stays, the same command goes on.
    """
    running = clone.folder / "running"
    code = clone.folder / "stages/split.py"
    text = code.read_text(encoding="utf-8")
    wait = "import time\nopen('running', 'w').close()\ntime.sleep(600)\n"
    code.write_text(f"{text[: text.index('@console')]}{wait}{text[text.index('@console') :]}")
    first = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "split"],
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(6000):
            assert first.poll() is None
            if running.exists():
                break
            time.sleep(0.05)
        second = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", "split"],
            cwd=clone.folder,
            env=clone.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert second.returncode != 0
    assert f"(PID {first.pid})" in second.stderr
    assert "is busy" in second.stderr
    code.write_text(text, encoding="utf-8")
    clone.dvc("repro", "split")
    assert json.loads(clone.dvc("status", "--json", "split")) == {}
