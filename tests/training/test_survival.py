"""A training that is killed at any moment ends as if it had been left alone.

`python -m tests.survival --kills 100` does the same as often as wanted.
"""

import contextlib
import json
import random
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
import yaml

from srpipe.data.packed import open_packed
from srpipe.models.checkpoint import load_generator
from srpipe.training.resume import fingerprint
from stages import train
from tests import survival
from tests.survival import after_a_change

# They share the training that was left alone with the tests of several processes.
pytestmark = pytest.mark.xdist_group("trainings")


def test_kills_at_random_moments_change_nothing(tmp_path: Path, left_alone: Path) -> None:
    """SIGKILL among the steps, and SIGKILL among the outputs: every output has the bits of the
    training that was left alone, and MLflow is told each epoch once, in one run.

    Starting Python takes longer than all of this training, so the moments count from its first
    step, and from its first output.
    """
    folder = survival.workspace(tmp_path / "killed")
    dice = random.Random(3)
    moments = iter(
        [
            lambda: after_a_change(lambda: folder.glob(".ckpt/*/state.pt"), dice.uniform(0, 1.5)),
            lambda: after_a_change(lambda: [folder / "models/pixel.pt"], dice.uniform(0, 1.0)),
            lambda: survival.LONG,
        ]
    )
    starts = survival.die_until_done(folder, lambda: next(moments)(), survival.kill_session)
    assert [each.killed_after is not None for each in starts] == [True, True, False]
    assert [each.resumed for each in starts[:2]] == [False, True]
    assert survival.hashes(folder) == survival.hashes(left_alone)
    assert survival.told_epochs(folder) == [(1, 1), (2, 1), (3, 1)]
    (finished,) = folder.glob(".ckpt/*/finished.json")
    left = sorted(path.name for path in finished.parent.iterdir())
    assert left == ["finished.json", "identity.json", "lock", "name.json", "state.pt"]
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        runs = database.execute("SELECT name, status FROM runs").fetchall()
    assert runs == [("swift_srgan", "FINISHED")]


# ------------------------------------------------------------------ the stage, left alone


def test_the_stage_says_what_decides_its_result(left_alone: Path) -> None:
    """All settings of training, the digests of the images, who is trained and validated on, the
    feature network and the code: where one differs, no state is gone on from.
    """
    (path,) = left_alone.glob(".ckpt/*/identity.json")
    identity = json.loads(path.read_text(encoding="utf-8"))
    params = yaml.safe_load((left_alone / "params.yaml").read_text(encoding="utf-8"))
    packed = open_packed(left_alone / "data/packed")
    keys = {"settings", "data", "train", "validation", "content", "start", "code"}
    assert set(identity) == keys
    assert identity["start"] is None
    assert identity["settings"] == params["train"]
    assert identity["data"] == list(packed.digests)
    assert identity["train"] == packed.rows(f"{index}.png" for index in range(4))
    assert sorted(identity["validation"]) == packed.rows(["4.png", "5.png"])
    assert identity["content"]["network"] == "efficientnet_lite0"
    assert path.parent.name == fingerprint(identity)


def test_the_stage_writes_both_generators(left_alone: Path) -> None:
    """Each with the epochs it was trained for, its scores, and the arithmetic that was used."""
    history = pd.read_csv(left_alone / "metrics/history.csv")
    for name, epochs in (("pixel", 2), ("generator", 3)):
        loaded = load_generator(left_alone / f"models/{name}.pt")
        training, metrics = loaded.record["training"], loaded.record["metrics"]
        assert (training["images"], training["epochs"]) == (4, epochs)
        assert metrics["psnr"] == pytest.approx(history["psnr"][epochs - 1], rel=1e-7)
        assert training["hardware"]["generator"] == "fp32"


def test_the_same_command_after_the_end_writes_the_same_again(
    left_alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when DVC was killed before it had seen the outputs: nothing is trained again."""
    before = survival.hashes(left_alone)
    monkeypatch.chdir(left_alone)
    monkeypatch.setenv("SRPIPE_DEVICE", "cpu")
    monkeypatch.setenv("SRPIPE_MLFLOW", "off")
    for name in survival.OUTPUTS:
        Path(name).unlink()
    train.main()
    assert "done already; its outputs are written again" in capsys.readouterr().out
    assert survival.hashes(left_alone) == before
