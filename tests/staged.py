"""The stages that decide who is on which side, run in this process on a folder of images."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from srpipe.core import paths
from srpipe.data.packed import read_manifest
from stages import download, downsample, split

ROOT = Path(__file__).resolve().parents[1]


def work_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make a folder the working directory, whose `own` has the images; use one process."""
    (folder / "own").mkdir(parents=True)
    patch.chdir(folder)
    patch.delenv("DVC_ROOT", raising=False)
    patch.setenv("SRPIPE_WORKERS", "1")


def split_folder(folder: dict[str, Any], **settings: Any) -> pd.DataFrame | None:
    """Run download, downsample and split in the working directory, at 2x.

    Args:
        folder: of `datasets.folder`, what differs from params.yaml.
        settings: of `split`, the same.

    Returns:
        image, patient, subset and list, and pixels, equal for equal images; or None if a stage
        stopped with a message, as SystemExit says: any other exception is a bug.
    """
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["name"] = "folder"
    params["datasets"]["folder"].update(path="own", **folder)
    params["downsample"]["scale"] = 2
    params["split"].update(settings)
    paths.PARAMS.write_text(yaml.safe_dump(params), encoding="utf-8")
    try:
        for stage in (download, downsample, split):
            stage.main()
    except SystemExit:
        return None
    table = pd.read_csv(paths.SPLIT, dtype=str, keep_default_na=False)
    packed = read_manifest(paths.PACKED, ("pixels",))[["image", "list", "pixels"]]
    return table.merge(packed, on="image")
