"""Content distance: how far apart two images are in ImageNet features.

J. Johnson et al., "Perceptual Losses", ECCV 2016, used as a metric. The network is always
EfficientNet-Lite0 (its weights are installed), whatever network the content loss uses, so that
figures are comparable. It is the network of the default content loss: a generator trained with that
loss is favoured, as one trained on MSE is favoured by PSNR.

Images are processed in independent tiles of at most 512x512: memory stays at a few hundred MB
whatever the image size, and on one core it is faster than the whole image at once. The network pads
tiles with grey at their edges, in both images alike, which raises the distance on whole 1024x1024
radiographs by about 2%.
"""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srpipe.imaging.arrays import GreyImage
from srpipe.imaging.tensors import one_thread, to_image_tensor
from srpipe.metrics.efficientnet_lite0 import MEAN, STD, pretrained
from srpipe.metrics.features import LITE0_BLOCKS
from srpipe.metrics.folded import folded_features

TILE = 512

# Per tile, in row-major order: float32 (112, ceil(h/16), ceil(w/16)).
Features = tuple[npt.NDArray[np.float32], ...]


def features(image: GreyImage) -> Features:
    """Return the features of `uint8 (H, W)`, of any size, tile by tile.

    Computed on the CPU in float32 by one thread: with more, the last digits would depend on the
    number of CPUs, and the stages already score with one process per CPU.
    """
    network = _network()
    with one_thread(), torch.inference_mode():
        return tuple(network(to_image_tensor(tile)[0, 0]).numpy() for tile in tiles(image))


def content_distance(a: Features, b: Features) -> float:
    """Return the mean squared difference of the features of two images of one size, at least 0.

    Raises:
        ValueError: the features are of images of different sizes.
    """
    if [each.shape for each in a] != [each.shape for each in b]:
        raise ValueError("the features must be of images of one size")
    # Summed in float64, to keep precision over a large image.
    total = sum(float(np.square(x - y, dtype=np.float64).sum()) for x, y in zip(a, b, strict=True))
    return total / sum(each.size for each in a)


def tiles(image: GreyImage) -> list[GreyImage]:
    """Cut `(H, W)` into as few tiles of at most 512x512 as possible, equal to within a pixel."""
    height, width = image.shape
    return [
        tile
        for row in np.array_split(image, -(-height // TILE))
        for tile in np.array_split(row, -(-width // TILE), axis=1)
    ]


@functools.cache
def _network() -> Callable[[Tensor], Tensor]:
    """Return the network, folded once per process."""
    return folded_features(pretrained(), LITE0_BLOCKS, MEAN, STD)
