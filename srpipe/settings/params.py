"""The whole of `params.yaml`, which the first stage checks before anything is touched.

Every other stage reads its own section alone (`settings.base.load_section`), so that a new key of
one stage does not run another again.
"""

from pathlib import Path

from srpipe.core import paths
from srpipe.settings.base import Section, check, read_params
from srpipe.settings.data import Data, Datasets, Downsample, Split
from srpipe.settings.scoring import Baseline, Evaluate
from srpipe.settings.train import Train


class Params(Section):
    """All of `params.yaml`."""

    data: Data
    datasets: Datasets
    downsample: Downsample
    split: Split
    baseline: Baseline
    train: Train
    evaluate: Evaluate


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check `params.yaml`.

    Raises:
        SettingsError: the file is missing or no YAML, or any key is unknown, missing, of the wrong
            type or out of range; the message lists all of them.
    """
    return check(Params, read_params(path), path)
