"""What tests of tables of scores share."""

import pandas as pd
import pytest

from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Scores

NAMES = Scores.names()


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Return five images of four patients; the model's gain over bicubic is known.

    Its PSNR is better by 1, 2, 3, -1 and 0 dB; every other score is equal.
    """
    gains = [1.0, 2.0, 3.0, -1.0, 0.0]
    rows = []
    for index, gain in enumerate(gains):
        row: dict[str, str | float] = {"image": f"{index}.png", "patient": "aabcd"[index]}
        row |= {name: 30.0 + index + (gain if name == "psnr" else 0) for name in NAMES}
        row |= {f"{baseline}_{name}": 30.0 + index for baseline in BASELINES for name in NAMES}
        rows.append(row)
    return pd.DataFrame(rows)
