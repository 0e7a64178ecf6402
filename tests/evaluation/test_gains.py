"""Gains are paired, and their intervals are over patients."""

import pandas as pd

from srpipe.evaluation.gains import summary, with_gains
from srpipe.metrics.baselines import BASELINES
from srpipe.metrics.scores import Scores

NAMES = Scores.names()


def test_gains_are_taken_image_by_image(table: pd.DataFrame) -> None:
    """The columns that were there stay; the table given is not changed."""
    before = table.copy()
    gained = with_gains(table)
    assert gained["over_bicubic_psnr"].tolist() == [1.0, 2.0, 3.0, -1.0, 0.0]
    assert gained["over_bicubic_bp_ssim"].tolist() == [0.0] * 5
    assert list(gained)[: len(before.columns)] == list(before)
    assert len(gained.columns) == len(before.columns) + len(BASELINES) * len(NAMES)
    pd.testing.assert_frame_equal(table, before)


def test_a_summary_has_means_intervals_and_counts(table: pd.DataFrame) -> None:
    """Intervals are over patients; an image that is equal is not better."""
    result = summary(with_gains(table), samples=500, seed=0)
    assert list(result) == ["images", "patients", *NAMES, "over_bicubic", "over_bicubic_bp"]
    assert (result["images"], result["patients"]) == (5, 4)
    assert set(result["psnr"]) == {"mean", "low", "high"}
    gain = result["over_bicubic"]["psnr"]
    assert set(gain) == {"mean", "low", "high", "better_images"}
    assert (gain["mean"], gain["better_images"]) == (1.0, 3)
    assert -1 <= gain["low"] < gain["mean"] < gain["high"] <= 3
    assert result["over_bicubic_bp"]["ssim"] == {
        "mean": 0.0,
        "low": 0.0,
        "high": 0.0,
        "better_images": 0,
    }


def test_of_a_distance_the_lower_is_better(table: pd.DataFrame) -> None:
    """Gains stay differences; an image counts as better where its distance is the lower."""
    nearer = table.assign(content_distance=table["bicubic_content_distance"] + [-2, -1, -1, 3, 0])
    gain = summary(with_gains(nearer), samples=100, seed=0)["over_bicubic"]["content_distance"]
    assert (gain["mean"], gain["better_images"]) == (-0.2, 3)


def test_a_score_of_a_sample_is_its_mean_over_the_sample(table: pd.DataFrame) -> None:
    """Content distances that were not computed are left out, and the number is told."""
    some = table.copy()
    columns = [name for name in some if name.endswith("content_distance")]
    some.loc[[0, 2], columns] = float("nan")
    found, whole = (summary(with_gains(each), samples=300, seed=0) for each in (some, table))
    alone = summary(with_gains(some.drop(index=[0, 2])), samples=300, seed=0)
    assert (found["images"], found.pop("content_images")) == (5, 3)
    assert found["content_distance"] == alone["content_distance"]
    of_bicubic = "over_bicubic", "content_distance"
    assert found[of_bicubic[0]][of_bicubic[1]] == alone[of_bicubic[0]][of_bicubic[1]]
    assert found["psnr"] == whole["psnr"]


def test_a_summary_depends_on_its_seed_alone(table: pd.DataFrame) -> None:
    """The same seed gives the same intervals, the order of images does not matter for means."""
    gained = with_gains(table)
    first = summary(gained, samples=200, seed=3)
    assert summary(gained, samples=200, seed=3) == first
    other = summary(gained, samples=200, seed=4)
    assert other["psnr"]["mean"] == first["psnr"]["mean"]
    assert other["psnr"] != first["psnr"]


def test_patients_are_drawn_whole(table: pd.DataFrame) -> None:
    """With all images of one patient there is nothing to resample: the interval is the mean."""
    result = summary(with_gains(table.assign(patient="a")), samples=100, seed=0)
    assert result["psnr"] == {"mean": 33.0, "low": 33.0, "high": 33.0}
