"""What is seen of an image: the same places with and without, for every method."""

import dataclasses
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from srpipe.data.packed import Pair
from srpipe.evaluation.comparison.methods import BICUBIC
from srpipe.evaluation.observer import examine
from srpipe.evaluation.observer.examine import HR, NOT_ACQUIRED, drawn, examined
from srpipe.evaluation.observer.hotelling import HALF, channels, outputs
from srpipe.evaluation.observer.methods import ACQUISITIONS, DENOISED
from srpipe.evaluation.observer.nodules import CONTRASTS, profile, with_nodules
from srpipe.imaging.resample import downsample
from tests.evaluation.observer.chests import chest


@pytest.fixture(autouse=True)
def few_acquisitions(monkeypatch: pytest.MonkeyPatch) -> None:
    some = {name: ACQUISITIONS[name] for name in ("ideal", "noise 4")}
    monkeypatch.setattr(examine, "ACQUISITIONS", MappingProxyType(some))


@pytest.fixture(scope="module")
def pair() -> Pair:
    hr = chest()
    return Pair("1_000.png", "1", "", hr, downsample(hr, 4))


def test_each_size_has_as_many_nodules() -> None:
    nodules = drawn(chest(), np.random.default_rng(0))
    assert nodules
    counts = pd.Series([nodule.diameter for nodule in nodules]).value_counts()
    assert set(counts.index) == set(CONTRASTS)
    assert counts.nunique() == 1


def test_every_method_is_seen_at_the_same_places(pair: Pair) -> None:
    """HR once, all else in each acquisition; detail for all but HR."""
    found = examined({}, 0, pair)
    seen = pd.DataFrame(found.seen)
    places = {
        key: list(rows[["y", "x", "diameter"]].itertuples(index=False, name=None))
        for key, rows in seen.groupby(["acquisition", "method"], sort=False)
    }
    acquired = [(how, method) for how in ("ideal", "noise 4") for method in (BICUBIC, DENOISED)]
    assert list(places) == [(NOT_ACQUIRED, HR), *acquired]
    assert all(found == places[NOT_ACQUIRED, HR] for found in places.values())
    assert [(row["acquisition"], row["method"]) for row in found.detail] == acquired
    assert all(0 <= row["lost"] <= 1 and 0 <= row["invented"] <= 1 for row in found.detail)


def test_what_is_seen_of_hr_is_its_crops_without_and_with_the_nodule(pair: Pair) -> None:
    """At the place that is named, in the whole image; the difference is the nodule's response."""
    for row in examined({}, 0, pair).seen:
        if row["method"] != HR:
            continue
        y, x, diameter = row["y"], row["x"], row["diameter"]
        assert row["absent"] == pytest.approx(outputs(pair.hr, y, x, diameter))
        nodule = profile(diameter, CONTRASTS[diameter])
        reach = len(nodule) // 2
        near = slice(HALF - reach, HALF + reach + 1)
        response = np.tensordot(channels(diameter)[:, near, near], nodule, 2)
        # Rounding to grey levels changes it a little.
        assert np.abs(row["present"] - row["absent"] - response).max() < 0.1 * response.max()


def test_nodules_survive_an_ideal_acquisition(pair: Pair) -> None:
    """Without noise, all that differs between the two images is the nodule, brighter."""
    for row in examined({}, 0, pair).seen:
        if row["acquisition"] == "ideal" and row["method"] == BICUBIC:
            assert row["present"][0] - row["absent"][0] > 0.2 * CONTRASTS[row["diameter"]]


def test_an_image_is_examined_alike_whatever_else_there_is(pair: Pair) -> None:
    """The same seed and name give the same places and noise; another seed does not."""

    def table(seed: int, name: str) -> list[list[float]]:
        found = examined({}, seed, dataclasses.replace(pair, image=name))
        return [[row["y"], row["x"], *row["absent"], *row["present"]] for row in found.seen]

    first = table(0, "1_000.png")
    assert table(0, "1_000.png") == first
    assert table(1, "1_000.png") != first
    assert table(0, "1_001.png") != first


def test_the_two_exposures_have_noise_of_their_own(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the observer would see the nodule by what the noise did not change."""
    monkeypatch.setattr(examine, "with_nodules", lambda hr, _: hr)
    for row in examined({}, 0, pair).seen:
        same = np.array_equal(row["absent"], row["present"])
        assert same == (row["acquisition"] != "noise 4")


def test_an_image_without_lungs_gives_nothing() -> None:
    flat = np.full((512, 512), 100, np.uint8)
    found = examined({}, 0, Pair("a.png", "a", "", flat, downsample(flat, 4)))
    assert (found.seen, found.detail) == ([], [])
    assert np.array_equal(with_nodules(flat, []), flat)
