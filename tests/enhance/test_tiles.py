"""In tiles an image comes out as it does whole, and takes the memory of a tile."""

import copy
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from srpipe.enhance.tiles import Network, consistent_network, in_tiles, pieces
from srpipe.enhance.upscale import upscale
from srpipe.imaging.arrays import FloatImage
from srpipe.imaging.resample import MIN_LR_SIDE
from srpipe.models.base import SRGenerator
from srpipe.models.checkpoint import LoadedGenerator
from srpipe.models.inference import unrounded
from srpipe.models.plain_sr import PlainSR
from srpipe.models.srresnet import SRGAN, SwiftSRGAN
from tests.conftest import MakeImage
from tests.enhance.generators import save_plain_sr

ROUNDING = 1e-6  # of values in [0, 1]


def randomised(model: SRGenerator) -> SRGenerator:
    """Return the generator in eval mode, with weights by which every pixel in reach counts."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


MODELS: dict[str, tuple[SRGenerator, int]] = {
    "plain_sr": (randomised(PlainSR(features=4, blocks=2)), 6),
    "plain_sr, 2x": (randomised(PlainSR(features=4, blocks=1, scale=2)), 5),
    "swift_srgan": (randomised(SwiftSRGAN(features=4, blocks=1)), 10),
    "swift_srgan, 8x": (randomised(SwiftSRGAN(features=4, blocks=2, scale=8)), 12),
    "srgan with skip": (randomised(SRGAN(features=4, blocks=1, scale=2, bicubic_skip=True)), 12),
}
EACH = pytest.mark.parametrize("name", MODELS)


def network(name: str) -> Network:
    model = MODELS[name][0]
    return Network(partial(unrounded, model), model.scale, model.reach)


def tiled(used: Network, lr: FloatImage, tile: int, overlap: int) -> FloatImage:
    made = np.full([side * used.scale for side in lr.shape], np.nan, np.float32)
    for piece, sr in in_tiles(used.run, lr, used.scale, tile, overlap):
        made[piece.place(used.scale)] = sr
    return made


# ------------------------------------------------------------------ the reach


@EACH
def test_the_reach_is_the_receptive_field(name: str) -> None:
    """No LR pixel beyond it has a gradient of an SR pixel, and to its end there are some: measured
    at each of the SR pixels that one LR pixel becomes, in float64.
    """
    model, reach = copy.deepcopy(MODELS[name][0]).double(), MODELS[name][1]
    assert model.reach == reach
    for parameter in model.parameters():  # so that no ReLU is shut, nor the output clamped
        parameter.data.abs_().clamp_(0.001, 0.02)
    at, side = reach + 3, 2 * reach + 7
    lr = torch.full((1, 1, side, side), 0.51, dtype=torch.float64, requires_grad=True)
    furthest = 0
    for phase in range(model.scale):
        pixel = at * model.scale + phase
        (gradient,) = torch.autograd.grad(model(lr)[0, 0, pixel, pixel], lr)
        seen = gradient[0, 0].abs().amax(0).nonzero() - at
        furthest = max(furthest, int(seen.abs().max()))
    assert furthest == reach


# ------------------------------------------------------------------ the pieces


@pytest.mark.parametrize("shape", [(16, 16), (16, 100), (33, 64), (65, 31)])
@pytest.mark.parametrize("tile", [16, 32, 50])
def test_pieces_cover_the_image_once(shape: tuple[int, int], tile: int) -> None:
    """None is larger than the tile, and what is seen goes no further than the image."""
    times = np.zeros(shape, int)
    for piece in pieces(shape, tile, 7):
        times[piece.inside] += 1
        assert max(times[piece.inside].shape) <= tile
        for axis, seen, length in zip(piece.inside, piece.seen, shape, strict=True):
            assert (seen.start, seen.stop) == (max(0, axis.start - 7), min(length, axis.stop + 7))
    assert (times == 1).all()


SIZES = [(64, 64), (16, 90), (90, 16), (41, 77), (20, 20)]


@EACH
@pytest.mark.parametrize("shape", SIZES)
def test_in_tiles_an_image_comes_out_as_it_does_whole(
    name: str, shape: tuple[int, int], make_image: MakeImage
) -> None:
    """Up to the rounding of float32: also in sizes that are no multiple of the tile, in strips and
    in images smaller than a tile; and with an overlap that is one less than the reach it does not.
    """
    lr = make_image(0, *shape).astype(np.float32) / np.float32(255)
    used = network(name)
    whole = used.run(lr)
    for tile in (16, 32, 37):
        assert np.abs(tiled(used, lr, tile, used.reach) - whole).max() < ROUNDING
    if min(shape) > 16:
        assert np.abs(tiled(used, lr, 16, used.reach // 2) - whole).max() > ROUNDING


@pytest.mark.parametrize("shape", SIZES)
def test_consistent_tiles_are_those_of_the_whole(
    shape: tuple[int, int], make_image: MakeImage
) -> None:
    """Within a hundredth of a grey level, saturated strokes and noise included."""
    lr = make_image(0, *shape).astype(np.float32)
    lr += np.random.default_rng(0).integers(-20, 20, shape)
    lr[4:8, 4:-4] = 255
    lr = np.clip(lr, 0, 255) / np.float32(255)
    used = consistent_network(network("plain_sr"))
    made = tiled(used, lr, 24, used.reach)
    assert np.abs(made - used.run(lr)).max() < 0.01 / 255


@pytest.mark.parametrize("consistent", [False, True])
def test_the_tile_does_not_change_grey_levels(consistent: bool, make_image: MakeImage) -> None:
    """Of the library's call."""
    loaded = LoadedGenerator(MODELS["plain_sr"][0], "plain_sr", {}, 4, {})
    lr = make_image(0, 70, 45)
    whole = upscale(lr, loaded, consistent=consistent)
    assert np.array_equal(upscale(lr, loaded, consistent=consistent, tile=MIN_LR_SIDE), whole)


# ------------------------------------------------------------------ memory

MEASURED = """
import resource, sys
import numpy as np
from srpipe.enhance.upscale import upscale
lr = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
upscale(lr[:192, :192], sys.argv[1], tile=64, consistent=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
upscale(lr, sys.argv[1], tile=64)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_is_bounded_by_the_tile(tmp_path: Path) -> None:
    """Above what tiles take, only LR and the result, of 8 bits, are held whole: as floats the
    result alone would be 17 MB.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(save_plain_sr(tmp_path / "ours.pt"))],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "OMP_NUM_THREADS": "1",
            "SRPIPE_DEVICE": "cpu",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    held = 512**2 * (16 + 4 + 4 + 4)  # the result, and LR as whole numbers, as floats, and in work
    assert int(done.stdout) * 1024 < held + 5e6
