"""All of `params.yaml`, which the first stage checks before anything is changed.

Every other stage reads only its own section (`settings.base.load_section`), so that a new key for
one stage does not rerun another.
"""

from pathlib import Path

from srpipe.core import paths
from srpipe.settings.base import Section, check, read_params
from srpipe.settings.baseline import Baseline
from srpipe.settings.data import Data
from srpipe.settings.datasets import Datasets
from srpipe.settings.downsample import Downsample
from srpipe.settings.evaluate import Evaluate
from srpipe.settings.split import Split
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
        SettingsError: the file is missing or not YAML, or any key is unknown, missing, of the wrong
            type or out of range; the message lists all of them.
    """
    return check(Params, read_params(path), path)
