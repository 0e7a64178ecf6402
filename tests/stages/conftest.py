"""A workspace in which every stage has run, for tests of what befalls the stages."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from srpipe.formats.raster import encode_png
from tests.conftest import MakeImage
from tests.stages.finished import GENERATOR, ROOT, change_params, quiet_environment, stage_main


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, make_image: MakeImage) -> Path:
    """Return a workspace in which every stage has run once (training is left out)."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "own").mkdir()
    for seed, name in enumerate(("a_1", "a_2", "b_1", "c_1", "d_1")):
        image = encode_png(make_image(seed, 64, 80))
        (folder / "own" / f"{name}.png").write_bytes(image)
    shutil.copy(ROOT / "params.yaml", folder)

    def small(params: dict[str, Any]) -> None:
        params["data"]["name"] = "folder"
        params["datasets"]["folder"]["path"] = "own"
        params["split"].update(validation=0.25, test=0.25)
        params["train"].update(epochs=1, batch_size=2)
        params["train"]["crops"].update(size=32, per_image=1)
        params["train"]["adversarial"]["epochs"] = 0
        params["train"]["generator"] = GENERATOR.model_dump()
        params["evaluate"]["bootstrap_samples"] = 100

    with pytest.MonkeyPatch.context() as patch:
        quiet_environment(patch, folder)
        change_params(small)
        for stage in ("download", "downsample", "split", "baseline", "train", "evaluate"):
            stage_main(stage)()
    return folder


@pytest.fixture
def workspace(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of the finished workspace, images included."""
    folder = tmp_path / "workspace"
    shutil.copytree(finished, folder)
    quiet_environment(monkeypatch, folder)
    return folder
