"""The scores are those of the literature, pinned by known values and a second implementation."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from srpipe.imaging.resample import back_project, bicubic, downsample
from srpipe.metrics import perception
from srpipe.metrics import scores as module
from srpipe.metrics.scores import (
    LOWER_IS_BETTER,
    Original,
    Reference,
    Scores,
    original,
    reference,
    score,
)
from srpipe.metrics.ssim import ssim_map

Grey = npt.NDArray[np.uint8]


def wang(a: Grey, b: Grey) -> npt.NDArray[np.float64]:
    """Return the SSIM map of Wang et al. 2004, window by window, as the paper writes it."""
    offsets = np.arange(11) - 5
    row = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(row, row)
    weights /= weights.sum()
    c1, c2 = 0.01**2, 0.03**2
    x, y = a / 255, b / 255
    result = np.empty((a.shape[0] - 10, a.shape[1] - 10))
    for top, left in np.ndindex(result.shape):
        u, v = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
        mu, mv = (weights * u).sum(), (weights * v).sum()
        uu = (weights * (u - mu) ** 2).sum()
        vv = (weights * (v - mv) ** 2).sum()
        uv = (weights * (u - mu) * (v - mv)).sum()
        result[top, left] = ((2 * mu * mv + c1) * (2 * uv + c2)) / (
            (mu**2 + mv**2 + c1) * (uu + vv + c2)
        )
    return result


@pytest.fixture(scope="module")
def hr(make_image: object) -> Grey:
    """Return a made HR image of 96x80."""
    assert callable(make_image)
    image: Grey = make_image(7, 96, 80)
    return image


@pytest.fixture(scope="module")
def against(hr: Grey) -> Reference:
    """Return the reference at 4x."""
    return reference(hr, downsample(hr, 4))


def with_mask(against: Reference, mask: npt.NDArray[np.bool_]) -> Reference:
    """Return the reference with another mask."""
    return Reference(Original(against.hr, mask), against.lr, against.scale)


@pytest.mark.parametrize("offset", [1, 10, 51])
def test_psnr_of_a_constant_offset(offset: int) -> None:
    """An offset of d levels gives 20 log10(255 / d) dB: 48.13 dB for 1."""
    hr = np.full((32, 32), 100, np.uint8)
    scores = score(hr + np.uint8(offset), reference(hr, downsample(hr, 4)))
    assert scores.psnr == pytest.approx(20 * math.log10(255 / offset), abs=1e-9)
    assert scores.psnr_masked == pytest.approx(scores.psnr)
    assert scores.lr_psnr == pytest.approx(scores.psnr)
    if offset == 1:
        assert scores.psnr == pytest.approx(48.1308, abs=1e-4)


def test_the_peak_is_1_not_the_images_maximum() -> None:
    """A dark and a bright image with the same error score the same."""
    for level in (2, 60, 250):
        hr = np.full((32, 32), level, np.uint8)
        scores = score(hr + np.uint8(2), reference(hr, downsample(hr, 4)))
        assert scores.psnr == pytest.approx(42.1102, abs=1e-4)


def test_identical_images_score_the_maximum(hr: Grey, against: Reference) -> None:
    """100 dB and an SSIM of 1, everywhere, at no distance."""
    assert score(hr, against) == Scores(
        100.0, pytest.approx(1), 100.0, pytest.approx(1), 100.0, 0.0
    )


@pytest.mark.parametrize("case", ["blurred", "noisy", "inverted"])
def test_ssim_is_wangs(hr: Grey, case: str) -> None:
    """Every window agrees with a slow implementation that was written from the paper."""
    rng = np.random.default_rng(0)
    hr = hr[:40, :48]
    sr = {
        "blurred": bicubic(downsample(hr, 4), 4),
        "noisy": np.clip(hr + rng.normal(0, 25, hr.shape), 0, 255).astype(np.uint8),
        "inverted": 255 - hr,
    }[case]
    wanted = wang(sr, hr)
    assert ssim_map(sr, hr).shape == wanted.shape == (30, 38)
    assert np.abs(ssim_map(sr, hr) - wanted).max() < 1e-10
    scores = score(sr, reference(hr, downsample(hr, 4)))
    assert scores.ssim == pytest.approx(wanted.mean(), abs=1e-10)
    assert scores.ssim < 0.99


def test_scores_are_means_over_the_whole_image(hr: Grey, against: Reference) -> None:
    """An error in the corner counts in the whole-image PSNR: no border is cut."""
    sr = hr.copy()
    sr[0, 0] = (int(hr[0, 0]) + 128) % 256
    error = ((int(sr[0, 0]) - int(hr[0, 0])) / 255) ** 2 / hr.size
    assert score(sr, against).psnr == pytest.approx(-10 * math.log10(error))


def test_masked_scores_ignore_what_is_masked(hr: Grey, against: Reference) -> None:
    """Errors inside the mask cost the whole-image scores and nothing else."""
    mask = np.ones(hr.shape, bool)
    mask[30:60, 20:50] = False
    masked = with_mask(against, mask)
    sr = hr.copy()
    sr[40:50, 30:40] = 255 - sr[40:50, 30:40]
    scores = score(sr, masked)
    assert scores.psnr < 35
    assert scores.ssim < 0.99
    assert scores.psnr_masked == 100
    assert scores.ssim_masked == pytest.approx(1)


def test_masked_scores_see_what_is_not_masked(hr: Grey, against: Reference) -> None:
    """Errors outside the mask cost the masked scores more, since fewer pixels share them."""
    mask = np.ones(hr.shape, bool)
    mask[30:60, 20:50] = False
    sr = hr.copy()
    sr[70:80, 30:40] = 255 - sr[70:80, 30:40]
    scores = score(sr, with_mask(against, mask))
    share = mask.mean()
    assert scores.psnr_masked == pytest.approx(scores.psnr + 10 * math.log10(share))
    assert scores.ssim_masked < scores.ssim


def test_the_masked_ssim_is_that_of_windows_at_kept_pixels(hr: Grey, against: Reference) -> None:
    """A window counts where its centre is kept."""
    sr = bicubic(against.lr, 4)
    mask = np.zeros(hr.shape, bool)
    mask[20, 33] = True
    scores = score(sr, with_mask(against, mask))
    assert scores.ssim_masked == pytest.approx(ssim_map(sr, hr)[20 - 5, 33 - 5])


def test_an_image_masked_everywhere_is_scored_whole(hr: Grey, against: Reference) -> None:
    """There is always a score."""
    scores = score(bicubic(against.lr, 4), with_mask(against, np.zeros(hr.shape, bool)))
    assert scores.psnr_masked == pytest.approx(scores.psnr)
    assert scores.ssim_masked == pytest.approx(scores.ssim)


def test_back_projection_is_more_faithful_than_bicubic(hr: Grey, against: Reference) -> None:
    """`lr_psnr` tells how well the LR image is kept."""
    plain = score(bicubic(against.lr, 4), against)
    better = score(back_project(against.lr, 4, 3), against)
    assert better.lr_psnr > plain.lr_psnr + 6
    assert better.psnr > plain.psnr


def test_the_content_distance_is_that_of_the_whole_image(hr: Grey, against: Reference) -> None:
    """Between SR and HR; the mask does not change it."""
    sr = bicubic(against.lr, 4)
    wanted = perception.content_distance(perception.features(sr), perception.features(hr))
    assert wanted > 1
    nothing = with_mask(against, np.zeros(hr.shape, bool))
    assert score(sr, against).content_distance == wanted
    assert score(sr, nothing).content_distance == wanted


def test_the_features_of_hr_are_computed_once(
    hr: Grey, against: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method is compared with the same ones, and a method costs one pass of the network."""
    seen: list[Grey] = []

    def features(image: Grey) -> perception.Features:
        seen.append(image)
        return (np.float32(image)[None],)

    monkeypatch.setattr(perception, "features", features)
    fresh = with_mask(against, against.mask)
    methods = bicubic(against.lr, 4), back_project(against.lr, 4, 3), hr
    scores = [score(sr, fresh) for sr in methods]
    assert sum(image is hr for image in seen) == 2  # as HR, and as the last method's image
    assert len(seen) == 4
    assert scores[2].content_distance == 0 < scores[1].content_distance


def test_lr_images_of_one_original_share_its_mask_and_features(
    hr: Grey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are computed once, and the scores are those of each LR image alone."""
    lrs = downsample(hr, 4), downsample(hr, 2), np.asarray(downsample(hr, 4) // 2)
    alone = [score(bicubic(lr, hr.shape[0] // lr.shape[0]), reference(hr, lr)) for lr in lrs]
    counts = {"mask": 0, "features": 0}

    def counted(name: str, work: Callable[[Grey], Any]) -> Callable[[Grey], Any]:
        def run(image: Grey) -> Any:
            counts[name] += image is hr
            return work(image)

        return run

    monkeypatch.setattr(module, "anatomy_mask", counted("mask", module.anatomy_mask))
    monkeypatch.setattr(perception, "features", counted("features", perception.features))
    whole = original(hr)
    for lr, wanted in zip(lrs, alone, strict=True):
        against = reference(whole, lr)
        assert against.hr is hr
        assert score(bicubic(lr, against.scale), against) == wanted
    assert counts == {"mask": 1, "features": 1}
    with pytest.raises(ValueError, match="no multiple"):
        reference(whole, lrs[0][:-1])


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_reference_finds_the_scale(scale: int) -> None:
    """From the two sizes."""
    hr = np.zeros((48, 64), np.uint8)
    assert reference(hr, downsample(hr, scale)).scale == scale


def test_sizes_that_do_not_fit_are_refused() -> None:
    """The LR image must be the HR image's, side by side."""
    hr = np.zeros((48, 64), np.uint8)
    for lr in (np.zeros((12, 12), np.uint8), np.zeros((11, 16), np.uint8)):
        with pytest.raises(ValueError, match="no multiple"):
            reference(hr, lr)


def test_another_shape_or_type_is_refused(hr: Grey, against: Reference) -> None:
    """An SR image is not resized or rounded to be scored."""
    with pytest.raises(ValueError, match=r"SR must be uint8 \(96, 80\), got uint8 \(92, 80\)"):
        score(hr[:-4], against)
    with pytest.raises(ValueError, match="got float32"):
        score(hr.astype(np.float32), against)  # type: ignore[arg-type]


def test_names_are_those_of_the_fields() -> None:
    """In the order of the tables."""
    assert Scores.names() == (
        "psnr",
        "ssim",
        "psnr_masked",
        "ssim_masked",
        "lr_psnr",
        "content_distance",
    )
    assert set(Scores.names()) > LOWER_IS_BETTER == {"content_distance"}


def test_real_radiographs_score_as_measured_before(nih_sample: Path) -> None:
    """On real images back-projection is the more faithful and nearer one, and markers cost."""
    listed = (nih_sample / "test_list.txt").read_text().split()
    names = [name for name in listed if (nih_sample / "images" / name).exists()]
    scores = []
    for name in names[:2]:
        hr = np.asarray(Image.open(nih_sample / "images" / name).convert("L"))
        against = reference(hr, downsample(hr, 4))
        scores.append(
            (score(bicubic(against.lr, 4), against), score(back_project(against.lr, 4, 3), against))
        )
    for plain, better in scores:
        assert 30 < plain.psnr < 50
        assert plain.psnr_masked > plain.psnr
        assert better.psnr > plain.psnr
        assert better.lr_psnr > plain.lr_psnr + 6
        assert 4 < better.content_distance < plain.content_distance < 12
