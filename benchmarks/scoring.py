"""How fast are test images scored, beside the straightforward way?

    python -m benchmarks.scoring [--images N] [--rounds N] [--json OUT]

Both ways score the same three methods as the stages do, on one core: both baselines, then a
generator, each time beginning with HR. The SR images are made before; who stands for the generator
does not change what its scores cost. The straightforward way, that of version 0.3.0, is kept here:
every median of the mask and SSIM by scikit-image, and the feature network as it was trained. The
figures must agree to the digits that are printed.

Content distances are computed for a sample of the images (`baseline.content_images`), which of a
large test set is a small part: the ratio is given for NIH's test list at the settings of
params.yaml, and for a set that is smaller than the sample.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import rank
from skimage.metrics import structural_similarity

from benchmarks import turns
from benchmarks.full_nih import sampled_share
from benchmarks.training import phantoms
from srpipe.core import console
from srpipe.core.errors import SrpipeError
from srpipe.core.files import rounded, write_json
from srpipe.evaluation.scorer import scores
from srpipe.evaluation.tables import aligned_table
from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.resample import downsample
from srpipe.imaging.tensors import one_thread, to_image_tensor
from srpipe.metrics import mask, perception
from srpipe.metrics.baselines import baseline_images
from srpipe.metrics.error import psnr, squared_error
from srpipe.metrics.features import ContentFeatures, efficientnet_lite0_features
from srpipe.settings.base import load_section
from srpipe.settings.baseline import Baseline

SCALE = 4
METHODS = 3
# What figures may differ by: far below the digits that are printed, four of SSIM and two of others.
SSIM_AGREES, OTHERS_AGREE = 1e-6, 1e-4

Images = Mapping[str, GreyImage]


def straightforward(
    hr: GreyImage, lr: GreyImage, images: Images, network: ContentFeatures
) -> dict[str, float]:
    """Return what `scorer.scores` returns, without any of its shortcuts."""
    median = rank.median(np.array(hr), np.ones((mask.MEDIAN, mask.MEDIAN), np.uint8))
    marker = np.abs(hr.astype(np.int16) - median) > mask.CONTRAST
    inside = ~ndimage.maximum_filter(marker, size=2 * mask.DILATION + 1)
    inside[: mask.BORDER] = inside[-mask.BORDER :] = False
    inside[:, : mask.BORDER] = inside[:, -mask.BORDER :] = False
    of_hr = _features(hr, network)
    found = {}
    for prefix, sr in images.items():
        error = squared_error(sr, hr)
        _, whole = structural_similarity(
            sr / 255.0,
            hr / 255.0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        similarity = whole[5:-5, 5:-5]
        found[f"{prefix}psnr"] = psnr(float(error.mean()))
        found[f"{prefix}ssim"] = float(similarity.mean())
        found[f"{prefix}psnr_masked"] = psnr(float(error[inside].mean()))
        found[f"{prefix}ssim_masked"] = float(similarity[inside[5:-5, 5:-5]].mean())
        again = squared_error(downsample(sr, SCALE), lr)
        found[f"{prefix}lr_psnr"] = psnr(float(again.mean()))
        found[f"{prefix}content_distance"] = perception.content_distance(
            _features(sr, network), of_hr
        )
    return found


def _features(image: GreyImage, network: ContentFeatures) -> perception.Features:
    with torch.inference_mode():
        return tuple(
            network(to_image_tensor(tile).contiguous(memory_format=torch.channels_last))[0].numpy()
            for tile in perception.tiles(image)
        )


def require_agreement(ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    """Refuse to compare the speeds of ways whose figures differ where they are printed.

    Raises:
        SrpipeError: a score differs.
    """
    for name, value in theirs.items():
        limit = SSIM_AGREES if "ssim" in name else OTHERS_AGREE
        if not abs(ours[name] - value) < limit:
            raise SrpipeError(f"{name} is {ours[name]!r}, by the straightforward way {value!r}")


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of one core, a number a round, of each way to score all methods."""
    network = efficientnet_lite0_features().to(memory_format=torch.channels_last)
    work = []
    for hr in phantoms(count):
        lr = downsample(hr, SCALE)
        made = baseline_images(lr, SCALE, 3)
        simple = {f"{name}_": image for name, image in made.items()}
        # Stands for a generator's image.
        generated = {"": np.asarray(ndimage.uniform_filter(made["bicubic_bp"], 2))}
        require_agreement(
            scores(hr, lr, simple | generated),
            straightforward(hr, lr, simple | generated, network),
        )
        work += [(hr, lr, simple), (hr, lr, generated)]

    def before() -> None:
        for hr, lr, images in work:
            straightforward(hr, lr, images, network)

    def after(content: bool) -> None:
        for hr, lr, images in work:
            scores(hr, lr, images, content=content)

    with one_thread():
        cases = {
            "before": turns.timed(before, count, "cpu"),
            "all": turns.timed(lambda: after(True), count, "cpu"),
            "without": turns.timed(lambda: after(False), count, "cpu"),
        }
        speeds = turns.in_turn(cases, rounds)
    share = sampled_share(load_section("baseline", Baseline))
    parts = {"all": share, "without": 1 - share}
    return {name: speeds[name] for name in ("before", "all")} | {"nih": turns.mixed(parts, speeds)}


def figures(speeds: Mapping[str, list[float]]) -> dict[str, turns.Spread]:
    """Return what was found, by the names that the JSON has; seconds are of an image and method."""
    return {
        "score_ratio": turns.ratios(speeds["nih"], speeds["before"]),
        "score_ratio_all": turns.ratios(speeds["all"], speeds["before"]),
        **{
            f"seconds_{name}": turns.spread([1 / (METHODS * speed) for speed in each])
            for name, each in speeds.items()
        },
    }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--images", type=int, default=2, help="radiographs (default: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the medians to this file")
    given = parser.parse_args()
    if min(given.images, given.rounds) < 1:
        parser.error("--images and --rounds must be at least 1")
    found = figures(measure(given.images, given.rounds))
    words = {
        "score_ratio": "times faster, NIH's test list",
        "score_ratio_all": "times faster, content distances of all images",
        "seconds_before": "straightforward (seconds an image, method and core)",
        "seconds_all": "ours, content distances of all images (the same)",
        "seconds_nih": "ours, NIH's test list (the same)",
    }
    console.say(f"on one thread of {turns.cpu()}")
    rows = [[words[name], value.text(3)] for name, value in found.items()]
    console.say(aligned_table(["what", "measured"], rows))
    if given.json is not None:
        write_json(given.json, {name: rounded(value.median) for name, value in found.items()})


if __name__ == "__main__":
    main()
