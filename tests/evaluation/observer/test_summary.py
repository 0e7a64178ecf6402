"""Results say what the scores say."""

import numpy as np
import pandas as pd
import pytest

from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.observer.examine import HR, NOT_ACQUIRED
from srpipe.evaluation.observer.nodules import CONTRASTS
from srpipe.evaluation.observer.page import table
from srpipe.evaluation.observer.summary import (
    AREA,
    GAIN,
    INVENTED,
    LOST,
    TOGETHER,
    results,
    scored,
)

# By method: at how many of each patient's four places the nodule is seen, by size.
SEEN = {HR: (4, 4, 4, 4), BICUBIC: (0, 2, 4, 4), "ours": (2, 2, 4, 4)}


@pytest.fixture
def scores() -> pd.DataFrame:
    """Return scores of three patients, 1 where a nodule is seen and 0 elsewhere."""
    return pd.DataFrame(
        [
            {
                "image": f"{patient}.png",
                "patient": patient,
                "acquisition": NOT_ACQUIRED if method == HR else "ideal",
                "method": method,
                "diameter": diameter,
                "y": place,
                "x": index,
                "absent": 0.0,
                "present": float(place < seen[index]),
            }
            for method, seen in SEEN.items()
            for patient in "abc"
            for index, diameter in enumerate(CONTRASTS)
            for place in range(4)
        ]
    )


@pytest.fixture
def detail() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"patient": p, "acquisition": "ideal", "method": m, "lost": lost, "invented": 0.25}
            for m, lost in ((BICUBIC, 0.5), ("ours", 0.125))
            for p in "abc"
        ]
    )


def test_areas_gains_and_shares_are_those_of_the_scores(
    scores: pd.DataFrame, detail: pd.DataFrame
) -> None:
    """Sizes apart and averaged; gains are over bicubic's; nothing varies, so nothing has width."""
    found = results(scores, detail, 0).set_index(["quantity", "size", "method"])
    assert (found["low"] == found["mean"]).all()
    assert (found["high"] == found["mean"]).all()
    mean = found["mean"].to_dict()
    assert mean[AREA, TOGETHER, HR] == 1
    assert mean[AREA, TOGETHER, BICUBIC] == pytest.approx((0.5 + 0.75 + 1 + 1) / 4, abs=1e-4)
    assert mean[AREA, "3 mm", BICUBIC] == 0.5
    assert mean[AREA, "3 mm", "ours"] == 0.75
    assert mean[GAIN, "3 mm", "ours"] == 0.25
    assert mean[GAIN, TOGETHER, "ours"] == pytest.approx(0.0625, abs=1e-4)
    assert mean[LOST, "", "ours"] == 0.125
    assert mean[INVENTED, "", BICUBIC] == 0.25
    assert not any(key[0] == GAIN and key[2] in (HR, BICUBIC) for key in mean)


def test_tables_have_methods_by_acquisitions(scores: pd.DataFrame, detail: pd.DataFrame) -> None:
    """Areas as they are, gains with a sign, shares in per cent."""
    found = results(scores, detail, 0)
    assert table(found, AREA, "3 mm").splitlines() == [
        "| method  |                ideal |",
        "|---------|---------------------:|",
        "| HR      | 1.000 [1.000, 1.000] |",
        "| bicubic | 0.500 [0.500, 0.500] |",
        "| ours    | 0.750 [0.750, 0.750] |",
    ]
    assert "| ours   | +0.250 [+0.250, +0.250] |" in table(found, GAIN, "3 mm")
    assert "| ours    | 12.5 [12.5, 12.5] |" in table(found, LOST)


def test_each_observer_is_trained_for_its_own_images(scores: pd.DataFrame) -> None:
    """Scores of a method do not depend on what other methods show."""
    rng = np.random.default_rng(0)
    seen = scores.copy()
    for name in ("absent", "present"):
        seen[name] = list(rng.normal(size=(len(seen), 3)))
    whole = scored(seen)
    assert list(whole.index) == list(seen.index)
    alone = scored(seen[seen["method"] == "ours"])
    assert whole.loc[alone.index, "present"].tolist() == alone["present"].tolist()
